"""A process that builds partitions ends without a word when it is told to, also if it is told while it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
#: The interpreter calls what was registered when all is over.
_TOLD_WHILE_IT_ENDS = """
import atexit, os, signal
from courtlistener_assets.building import worker
atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))
worker.main()
"""


class ToldTwice:
    """Builds nothing: it is told to end, and told again while it rolls back."""

    def build(self, partition: str) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            print("rolled back", flush=True)


@pytest.mark.parametrize(
    ("builder", "partitions", "status", "printed"), [(dict, [], 0, ""), (ToldTwice, ["one"], 1, "rolled back\n")]
)
def test_it_ends_without_a_word(builder: type[Any], partitions: list[str], status: int, printed: str) -> None:
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", _TOLD_WHILE_IT_ENDS, str(theirs.fileno())],
            pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))},
        )  # fmt: skip
    with ours, process:
        for message in (SimpleNamespace(log_format="text", builder=builder), *partitions):
            ours.send(message)
        if not partitions:
            ours.close()
        assert process.stdout
        assert process.stderr
        # Its input stays open: it ends by itself when that ends.
        assert (process.stdout.read(), process.stderr.read(), process.wait()) == (printed, "", status)
