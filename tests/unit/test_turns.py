"""When a waiter that hears announcements asks again: with a clock that only its own sleep moves."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import redis

from resources.errors import Stopped
from resources.quota import turns
from resources.quota.permits import Wait
from resources.quota.turns import EVERYBODY, HEARTBEAT_SECONDS, Announced, Line
from resources.stopping import Stopping


class Radio:
    """A subscription that says what a test puts into it, to a listener that runs in the test's own thread."""

    def __init__(self) -> None:
        self.line = Line(self._never)
        self.line.listen = lambda: None  # type: ignore[method-assign]
        self.line._set_listening(True)

    def _never(self) -> Any:
        raise AssertionError("nobody listens here")

    def say(self, text: str) -> None:
        self.line._take({"type": "message", "data": text})

    def breaks(self) -> None:
        self.line._set_listening(False)

    def comes_back(self) -> None:
        self.line._take({"type": "subscribe", "data": 1})


class World:
    """A clock, and what happens at which second of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, Callable[[], None]]] = []
        self.radio = Radio()
        self.turns = Announced(self.radio.line, self.sleep, lambda: self.now)

    def at(self, seconds: float, event: Callable[[], None]) -> None:
        self.events.append((seconds, event))

    def sleep(self, seconds: float, alarm: threading.Event) -> None:
        until = self.now + seconds
        while self.events and self.events[0][0] <= until and not alarm.is_set():
            self.now, event = self.events[0][0], self.events[0][1]
            del self.events[0]
            event()
        if not alarm.is_set():
            self.now = until

    def asks_again(self, wait: Wait, longest_seconds: float = 600.0) -> float:
        """The second at which a waiter named `me` asks again."""
        with self.turns.place("me") as place:
            place.patience(longest_seconds)
            place.pause(wait, longest_seconds)
        return round(self.now, 3)


@pytest.fixture
def world() -> World:
    return World()


def second_in_line(look_seconds: float) -> Wait:
    return Wait(wait_ms=100_000, ahead=1, look_us=round(look_seconds * 1e6))


def test_the_first_in_line_asks_when_its_turn_has_come(world: World) -> None:
    assert world.asks_again(Wait(wait_ms=900, ahead=0, look_us=1_000_000)) == 1.0


def test_the_others_ask_when_their_turn_is_announced(world: World) -> None:
    world.at(2, lambda: world.radio.say("1500000 other 0 me 40000"))
    assert world.asks_again(second_in_line(10)) == 2.04


def test_an_announcement_moves_the_turn_both_ways(world: World) -> None:
    world.at(1, lambda: world.radio.say("1500000 me 5000000"))
    world.at(2, lambda: world.radio.say("9500000 me 8000000"))
    world.at(3, lambda: world.radio.say("1500000 me 500000"))
    assert world.asks_again(Wait(wait_ms=1500, ahead=0, look_us=1_500_000)) == 3.5


def test_others_turns_put_off_the_look_after_them(world: World) -> None:
    world.at(9, lambda: world.radio.say("21500000 other 20000000"))
    assert world.asks_again(second_in_line(10)) == pytest.approx(30.5, abs=0.05)


def test_whoever_stands_further_back_looks_later(world: World) -> None:
    assert world.asks_again(Wait(wait_ms=100_000, ahead=5, look_us=1_000_000)) == 1.05


def test_everybody_answers_a_roll_call(world: World) -> None:
    world.at(2, lambda: world.radio.say(f"1500000 {EVERYBODY} 0"))
    assert world.asks_again(second_in_line(10)) == 2


def test_a_turn_that_is_announced_before_the_answer_is_read_is_not_missed(world: World) -> None:
    with world.turns.place("me") as place:
        place.patience(600)
        world.radio.say("1500000 me 0")
        place.pause(second_in_line(10), 600)
        assert world.now == 0
        place.patience(600)
        place.pause(second_in_line(10), 600)
        assert round(world.now, 2) == 10.01


def test_turns_of_others_before_the_answer_is_read_are_older_than_it(world: World) -> None:
    with world.turns.place("me") as place:
        place.patience(600)
        world.radio.say("1500000 other 0")
        place.pause(second_in_line(10), 600)
    assert round(world.now, 2) == 10.01


def test_the_wait_ends_with_the_budget(world: World) -> None:
    assert world.asks_again(second_in_line(10), longest_seconds=4) == 4


def test_a_subscription_that_breaks_makes_the_waiter_ask(world: World) -> None:
    world.at(2, world.radio.breaks)
    assert world.asks_again(second_in_line(10)) == 2


def test_without_a_subscription_a_waiter_asks_every_few_seconds_until_it_has_one(world: World) -> None:
    world.radio.breaks()
    assert world.asks_again(Wait(wait_ms=10_000, ahead=1)) == HEARTBEAT_SECONDS
    world.at(4, world.radio.comes_back)
    assert world.asks_again(Wait(wait_ms=10_000, ahead=1)) == 4


@pytest.mark.parametrize("change", ["breaks", "comes_back"])
def test_a_subscription_that_changes_while_the_waiter_asks_makes_it_ask_again(world: World, change: str) -> None:
    if change == "comes_back":
        world.radio.breaks()
    with world.turns.place("me") as place:
        place.patience(600)
        getattr(world.radio, change)()
        place.pause(second_in_line(10), 600)
    assert world.now == 0


def test_what_postgres_says_is_not_announced(world: World) -> None:
    world.at(1, lambda: world.radio.say("1500000 me 0"))
    assert world.asks_again(Wait(wait_ms=2000, ahead=0)) == 1
    assert world.asks_again(Wait(wait_ms=20_000, ahead=0)) == 1 + HEARTBEAT_SECONDS


def test_a_wait_for_an_announcement_ends_at_once_when_the_run_is_told_to_stop() -> None:
    stopping, raised = Stopping(), threading.Event()
    waiting = Announced(Radio().line, stopping.sleep)

    def wait() -> None:
        with waiting.place("me") as place:
            place.patience(600)
            with pytest.raises(Stopped):
                place.pause(second_in_line(3600), 3600)
        raised.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    stopping.stop()
    assert raised.wait(5)
    with pytest.raises(Stopped):
        stopping.sleep(3600, threading.Event())


class Subscription:
    """Connects as a test says, then says what it has and breaks."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.closed = False

    def get_message(self, timeout: float) -> dict[str, Any] | None:
        if not self.messages:
            raise redis.ConnectionError("gone")
        return self.messages.pop(0)

    def close(self) -> None:
        self.closed = True


def test_the_listener_connects_again_as_long_as_anybody_waits_and_then_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_IDLE_SECONDS", 0.0)
    pauses: list[float] = []
    subscribed: dict[str, Any] = {"type": "subscribe", "data": 1}
    attempts: list[Any] = [
        redis.ConnectionError("refused"),
        Subscription(subscribed),
        redis.exceptions.NoPermissionError("this user has no permissions to run the 'subscribe' command"),
        Subscription(subscribed, {"type": "message", "data": "1500000 me 0"}),
    ]
    heard: list[bool] = []

    def subscribe() -> Any:
        heard.append(line.listening)
        attempt = attempts.pop(0)
        if isinstance(attempt, Exception):
            raise attempt
        return attempt

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if not attempts:
            line.leave(seat)

    line = Line(subscribe)
    monkeypatch.setattr("time.sleep", sleep)
    seat = turns.Seat("me", line, lambda seconds, alarm: None, lambda: 0.0)
    line.enter(seat)
    line._run()
    assert pauses == [0.25, 0.25, 30.0, 0.25]
    assert heard == [False] * 4
    assert not line.listening


def test_the_child_of_a_fork_listens_for_itself(world: World) -> None:
    with world.turns.place("parent"):
        world.radio.line._lock.acquire()
        child = os.fork()
        if child == 0:
            with world.turns.place("child"):
                os._exit(0 if len(world.radio.line._seats) == 1 and not world.radio.line.listening else 1)
        world.radio.line._lock.release()
        _, status = os.waitpid(child, 0)
    assert status == 0


class OpenSubscription:
    """A subscription that hears what a test puts into it."""

    def __init__(self) -> None:
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.messages.put({"type": "subscribe", "data": 1})
        self.is_open = True

    def get_message(self, timeout: float) -> dict[str, Any] | None:
        with suppress(queue.Empty):
            return self.messages.get(timeout=timeout)
        return None

    def close(self) -> None:
        self.is_open = False


class Listening:
    """A line that a thread of its own listens to."""

    def __init__(self) -> None:
        self.made: list[OpenSubscription] = []
        self.line = Line(self._subscribe)

    def _subscribe(self) -> Any:
        self.made.append(OpenSubscription())
        return self.made[-1]

    def open(self) -> list[OpenSubscription]:
        return [each for each in self.made if each.is_open]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("nonsense", ["one two", "1 two three", ""])
def test_a_message_that_nobody_understands_is_an_end_of_the_subscription_but_not_of_listening(nonsense: str) -> None:
    radio = Listening()
    with Announced(radio.line).place("me"):
        radio.line.listen()
        until(lambda: radio.line.listening)
        radio.made[0].messages.put({"type": "message", "data": nonsense})
        until(lambda: len(radio.made) == 2 and radio.line.listening)
        assert not radio.made[0].is_open
    radio.line.close()


def test_a_line_that_was_idle_is_listened_to_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_IDLE_SECONDS", 0.05)
    radio = Listening()
    for _ in range(3):
        until(lambda: not radio.line.listening)
        with Announced(radio.line).place("me"):
            radio.line.listen()
            until(lambda: radio.line.listening)
    with Announced(radio.line).place("me"):
        radio.line.listen()
        time.sleep(2 * turns._RETRY_SECONDS)
        assert len(radio.open()) == 1
    radio.line.close()
