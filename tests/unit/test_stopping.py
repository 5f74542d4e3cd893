"""A run that is told to stop: its waits end, its threads hold nothing up, and what is left asks for nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from courtlistener_assets.defs.assets import threads
from courtlistener_assets.defs.assets.threads import each_in_threads
from resources.errors import Stopped
from resources.stopping import Stopping


def walks(work: Any, items: list[int], stopping: Stopping, most: int = 4) -> Any:
    return each_in_threads(work, items, threads=most, name="test", stopping=stopping)


def test_a_wait_ends_at_once_when_the_run_is_told_to_stop() -> None:
    stopping, raised = Stopping(), []

    def wait() -> None:
        try:
            stopping.sleep(3600)
        except Stopped as error:
            raised.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    stopping.stop()
    thread.join(5)
    assert len(raised) == 1


def test_no_wait_begins_after_that() -> None:
    stopping = Stopping()
    stopping.check()
    stopping.stop()
    for wait in (stopping.check, lambda: stopping.sleep(3600)):
        with pytest.raises(Stopped):
            wait()


def test_every_item_is_worked_on_once_and_errors_stay_with_their_items() -> None:
    def work(item: int) -> int:
        return 10 // item

    ended = {item: future for item, future in walks(work, list(range(8)), Stopping(), most=3)}
    assert isinstance(ended.pop(0).exception(), ZeroDivisionError)
    assert {item: future.result() for item, future in ended.items()} == {item: 10 // item for item in range(1, 8)}


def test_no_thread_for_nothing() -> None:
    assert list(walks(lambda item: item, [], Stopping())) == []


def test_a_thread_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "GRACE_SECONDS", 0.0)
    stopping, never, begun = Stopping(), threading.Event(), []

    def work(item: int) -> None:
        begun.append(item)
        if item:
            never.wait()

    running = walks(work, list(range(100)), stopping, most=2)
    next(running)
    running.close()
    assert stopping.stopped
    assert len(begun) <= 3
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("test_"))
    never.set()


def test_what_is_under_way_may_end() -> None:
    stopping, stored, begun = Stopping(), [], threading.Event()

    def work(item: int) -> None:
        if not item:
            assert begun.wait(60)
        else:
            begun.set()
            with pytest.raises(Stopped):
                stopping.sleep(3600)
            stored.append(item)

    running = walks(work, [0, 1], stopping)
    next(running)
    running.close()
    assert stored == [1]
