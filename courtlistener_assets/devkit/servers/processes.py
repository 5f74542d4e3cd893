"""Child processes that never outlive this one.

Belongs here: starting a command so that it dies with us, stopping it, and naming a process by its id. Does not belong
here: what the command is.

Every child leads a session of its own, so that Ctrl-C in a terminal reaches this process only, which then stops its
children in order. For the case that this process is killed, a watchdog (`watchdog.py`) holds the other end of a pipe.
PR_SET_PDEATHSIG was not taken: it exists on Linux only, fires when the starting thread ends, and is cleared by the
change of user that Postgres needs.
"""

from __future__ import annotations

import functools
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from courtlistener_assets.devkit.servers import watchdog

#: How long a process group may take to stop before it is killed.
_GRACE_SECONDS = 20.0
_SIGNALS_OF_A_SHELL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@functools.lru_cache(maxsize=1)
def _watchdog(owner_pid: int) -> subprocess.Popen[bytes]:
    """Start the watchdog of a process; a fork gets one of its own. Never waited for: it ends after its owner."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(watchdog.__file__))],
        stdin=subprocess.PIPE,
        # Never in the way of a reader that waits for the end of our output.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def _tell_watchdog(line: str) -> None:
    pipe = _watchdog(os.getpid()).stdin
    assert pipe is not None
    pipe.write(line.encode() + b"\n")
    pipe.flush()


def _default_signals() -> None:
    # A program started with `&` or nohup ignores these, and would hand that down: `dagster dev` would never stop.
    for number in _SIGNALS_OF_A_SHELL:
        signal.signal(number, signal.SIG_DFL)


def start_process(
    command: Sequence[str],
    *,
    output: IO[bytes] | int | None,
    stdin: int | None = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own that is ended when this process dies; its output goes to `output`.

    None lets it write where this process writes, and with `stdin` None it has the same terminal.
    """
    process = subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env=None if env is None else dict(env),
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_default_signals,
        **identity(user),
    )
    _tell_watchdog(f"+{process.pid}")
    return process


def identity(user: str | None) -> dict[str, Any]:
    """Return the arguments with which `subprocess` runs a command as another user."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def stop_process(process: subprocess.Popen[bytes], *, number: int = signal.SIGINT) -> int:
    """Ask a process group to stop, kill it when it does not, and return the exit status of its leader."""
    if process.poll() is None:
        watchdog.signal_group(process.pid, signal.SIGCONT)
        watchdog.signal_group(process.pid, number)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            watchdog.signal_group(process.pid, signal.SIGKILL)
    status = process.wait()
    # Whatever of the group is left has lost its leader.
    watchdog.signal_group(process.pid, signal.SIGKILL)
    forget_process(process)
    return status


def stop_processes(group: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask several process groups to stop at the same time, then wait for each."""
    for process in group:
        if process.poll() is None:
            watchdog.signal_group(process.pid, signal.SIGINT)
    for process in group:
        stop_process(process, number=0)


def forget_process(process: subprocess.Popen[bytes]) -> None:
    """Tell the watchdog that a process has ended, since its id may be given to another one."""
    _tell_watchdog(f"-{process.pid}")


def command_of(pid: int) -> str:
    """Return the command line of a running process, empty when there is none."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
