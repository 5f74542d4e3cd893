"""Settles on a thread of their own: all of them, in order, and nobody waits for servers that do not answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from resources.quota.settling import Settling


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What servers that do not answer are waited for with; they answer at last."""
    event = threading.Event()
    yield event
    event.set()


def test_settles_come_in_order_and_all_of_them_before_it_is_finished() -> None:
    settling, done = Settling(), list[int]()
    for number in range(100):
        settling.soon(partial(done.append, number))
    settling.finish(60)
    assert sorted(done) == list(range(100))


def test_whoever_is_far_ahead_of_the_servers_settles_itself(hanging: threading.Event) -> None:
    settling, by_caller = Settling(), list[int]()
    caller = threading.get_ident()

    def settle() -> None:
        if threading.get_ident() == caller:
            by_caller.append(1)
        else:
            hanging.wait()

    for _ in range(12):
        settling.soon(settle)
    assert len(by_caller) == 4


def test_servers_that_do_not_answer_keep_no_worker_from_ending(hanging: threading.Event) -> None:
    settling, done = Settling(), list[int]()
    settling.soon(hanging.wait)
    settling.soon(lambda: done.append(1))
    settling.finish(0.01)
    settling.soon(lambda: done.append(2))
    assert done == [2], "what comes later is done by its caller"


def test_whoever_catches_up_waits_for_what_is_not_done(hanging: threading.Event) -> None:
    settling, done = Settling(), list[int]()
    assert not settling.catch_up(60)

    def settle() -> None:
        hanging.wait()
        done.append(1)

    settling.soon(settle)
    assert settling.catch_up(0.01)
    hanging.set()
    settling.catch_up(60)
    assert done == [1]
    assert not settling.catch_up(60)


def test_no_thread_is_left_when_it_is_finished() -> None:
    settling, threads = Settling(), list[threading.Thread]()
    settling.soon(lambda: threads.append(threading.current_thread()))
    settling.finish(60)
    [thread] = threads
    thread.join(60)
    assert not thread.is_alive()


def test_what_fails_is_said_and_does_not_keep_the_others_from_being_settled(caplog: pytest.LogCaptureFixture) -> None:
    settling, done = Settling(), list[int]()
    settling.soon(lambda: [][0])
    settling.soon(lambda: done.append(1))
    settling.finish(60)
    assert done == [1]
    assert "a permit stays in flight until it ages out: IndexError" in caplog.text


def test_what_is_given_up_is_said(hanging: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    settling = Settling()
    for _ in range(2):
        settling.soon(hanging.wait)
    settling.finish(0.01)
    assert "a permit stays in flight until it ages out: the worker has ended" in caplog.text


def test_what_is_left_when_python_ends_is_settled() -> None:
    code = (
        "import time; from resources.quota.settling import Settling\n"
        "Settling().soon(lambda: (time.sleep(0.2), print('settled')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"settled\n"


def test_the_child_of_a_fork_settles_for_itself(hanging: threading.Event) -> None:
    settling = Settling()
    for _ in range(8):
        settling.soon(hanging.wait)
    if (child := os.fork()) == 0:
        done: list[int] = []
        settling.soon(lambda: done.append(threading.get_ident()))
        settling.finish(60)
        os._exit(0 if done and done[0] != threading.get_ident() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
