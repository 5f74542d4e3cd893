"""Processes that work side by side end with the one that wants their work, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest

from courtlistener_assets.operations.child_processes import in_processes
from tests.acceptance.readme_blocks import ROOT
from tests.child_work import work


def test_each_job_has_its_own_end() -> None:
    found = dict(in_processes(work, ["one", "fail", "two"], 2))
    assert found["one"].result() != os.getpid()
    with pytest.raises(ValueError, match="no"):
        found["fail"].result()
    # One at a time needs no other process.
    here = dict(in_processes(work, ["one", "fail"], 1))
    assert here["one"].result() == os.getpid()
    assert isinstance(here["fail"].exception(), ValueError)


def test_a_process_that_dies_is_told() -> None:
    found = dict(in_processes(work, ["die", "wait"], 2))
    assert isinstance(found["die"].exception(), BrokenProcessPool)


def test_whoever_stops_ends_what_is_at_work() -> None:
    results = in_processes(work, ["one", "wait"], 2)
    job, future = next(results)
    assert job == "one"
    results.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(future.result(), 0)


def test_they_do_not_outlive_one_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.child_work"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline())
        parent.kill()
        # Its end comes when nobody can write to it any more.
        assert parent.stdout.read() == ""
