"""A process of its own that outlives its parent by a moment, to end what the parent leaves behind.

It reads `+PID` and `-PID` lines from standard input. When the input ends, the parent is gone, however it died
(kill -9 included), and every process group that is still on the list is told to stop. Run as a script, so it may
import the standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import time

#: Seconds that a process group has for a clean stop before it is killed.
GRACE_SECONDS = 5.0


def signal_group(pid: int, number: int) -> bool:
    """Send a signal to a process group; False when it is gone."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    pids: list[int] = []
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            pids.append(pid)
        elif pid in pids:
            pids.remove(pid)
    # The last one started depends on the earlier ones.
    for pid in reversed(pids):
        signal_group(pid, signal.SIGCONT)
        signal_group(pid, signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(signal_group(pid, 0) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in pids:
        signal_group(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
