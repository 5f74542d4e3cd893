"""What child processes do in tests; a module of its own, which they import quickly."""

from __future__ import annotations

import os
import threading


def work(job: str) -> int:
    """Return the id of this process, or do what the job says."""
    if job == "die":
        os._exit(9)
    if job == "fail":
        raise ValueError("no")
    if job == "wait":
        threading.Event().wait()
    return os.getpid()


def main() -> None:
    """Start children of which one waits for ever, say so, and wait with it."""
    from courtlistener_assets.operations.child_processes import in_processes

    for _, future in in_processes(work, ["first", "wait"], 2):
        print(future.result(), flush=True)


if __name__ == "__main__":
    main()
