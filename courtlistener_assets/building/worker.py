"""`python -m courtlistener_assets.building.worker FD`: a process that builds partitions for its parent.

Belongs here: what such a process does with the messages of its parent, and that it ends with it. Does not belong here:
how it is started (`processes.py`), how a partition is built (`partition.py`).

It is not the run: its log lines go to the run's standard error, and only errors go back.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import NoReturn

from courtlistener_assets import logs
from courtlistener_assets.building.partition import Builder, Built, Partition


def main() -> None:
    """Build what comes until nothing does."""
    # A terminal interrupts all of its processes: the parent hears of it too, and decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with Connection(int(sys.argv[1])) as parent:
            _build(parent)
    finally:
        # The interpreter ends now, where nobody takes notice of an exception but to print it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _build(parent: Connection) -> None:
    job = parent.recv()
    logs.configure(job.log_format)
    builder = job.builder()
    while True:
        try:
            partition = parent.recv()
        except EOFError:
            return
        parent.send_bytes(_pickled(_outcome(builder, partition)))


def _outcome(builder: Builder, partition: Partition) -> Built | Exception:
    try:
        return builder.build(partition)
    except Exception as error:
        # Where it happened would be lost on the way.
        error.add_note("".join(traceback.format_exception(error)))
        return error


def _pickled(outcome: Built | Exception) -> bytes:
    try:
        content = pickle.dumps(outcome)
        pickle.loads(content)
    except Exception:
        text = RuntimeError(f"{type(outcome).__name__}: {outcome}")
        for note in getattr(outcome, "__notes__", []):
            text.add_note(note)
        return pickle.dumps(text)
    return content


def _leave(*_: object) -> NoReturn:
    """Roll back and delete what is not finished, undisturbed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(1)


def _end_with_parent() -> None:
    # Not by `sys.stdin`, whose lock this thread would hold when the interpreter ends, which aborts it.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
