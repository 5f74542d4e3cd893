"""What the embedded servers have in common: one directory, one owner, a port that is kept, and controls for tests.

Belongs here: the life of a server. Does not belong here: anything that only one of the servers knows.

The process that starts a server on a directory owns it and holds `owner.lock` in it. Another process that asks for the
same directory meanwhile attaches to the running server. A server without a living owner is stopped before a new start.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, ClassVar, Self

import psutil

from courtlistener_assets.devkit.servers import processes
from resources.errors import EmbeddedServerFailed

_START_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.02
_CHILDREN_SECONDS = 10.0


class EmbeddedServer(ABC):
    """A server on a free port of 127.0.0.1, for the length of a `with` block.

    `directory` keeps its data; None means a temporary one, for tests: not durable, no password, removed in the end.
    """

    name: ClassVar[str]
    host: ClassVar[str] = "127.0.0.1"
    #: Where temporary directories are made; None leaves that to `tempfile`.
    temporary_root: ClassVar[Path | None] = None

    def __init__(self, directory: Path | None = None) -> None:
        self.temporary = directory is None
        self._directory = directory.absolute() if directory else None
        self.port = 0
        self.password = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    # --- what a server must say about itself ---

    @property
    @abstractmethod
    def url(self) -> str:
        """The address with which clients connect."""

    @abstractmethod
    def _prepare(self) -> None:
        """Write what the server needs before its start; called with `port` and `password` set."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""

    @abstractmethod
    def _answers(self) -> bool:
        """Return whether the server takes commands now."""

    @abstractmethod
    def _mark(self) -> str:
        """Return what the command line of this server, and of no other process, contains."""

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _user(self) -> str | None:
        """Return the user who runs the server; None for the present one."""
        return None

    # --- life ---

    @property
    def directory(self) -> Path:
        """Where the server keeps its files; a temporary one is made when it is first asked for."""
        if self._directory is None:
            self._directory = _temporary_directory(self.name, self.temporary_root)
        return self._directory

    def start(self) -> Self:
        """Start the server, or attach to the one that another process runs on the same directory.

        Raises EmbeddedServerFailed, with the end of the server's log.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._own():
            self._read_record()
            if self.port and self._answers():
                return self
            if time.monotonic() > deadline:
                raise EmbeddedServerFailed(f"another process owns {self.directory}, but its {self.name} is silent")
            time.sleep(_POLL_SECONDS)
        self._stop_orphan()
        self.port = self.port if self.port and is_free(self.port) else free_port()
        if not self.password and not self.temporary:
            self.password = secrets.token_urlsafe(24)
            # Before any data exist, so that a start that is killed leaves none whose password is lost.
            self._write_record(0)
        self._run()
        return self

    def stop(self) -> None:
        """Stop the server if this process started it; a temporary directory is removed."""
        if self._process is not None:
            processes.stop_process(self._process)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self.temporary and self._directory is not None:
            shutil.rmtree(self._data, ignore_errors=True)
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def owned(self) -> bool:
        """Whether this process started the server, and not another one on the same directory."""
        return self._lock is not None

    @property
    def pid(self) -> int:
        """The process id of the server that this process started."""
        return self._child().pid

    # --- controls for tests ---

    def kill(self) -> None:
        """End the server with SIGKILL; nothing is flushed. `restart` brings it back."""
        child = self._child()
        # Postgres does not start before the last process of the one that was killed has let go of their shared memory.
        children = psutil.Process(child.pid).children(recursive=True)
        child.kill()
        child.wait()
        psutil.wait_procs(children, timeout=_CHILDREN_SECONDS)
        processes.forget_process(child)

    def pause(self) -> None:
        """Stop the server with SIGSTOP: connections are accepted by the kernel, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self, *, empty: bool = False) -> None:
        """Stop the server, if it runs, and start it on the same port; `empty` forgets all data in between."""
        processes.stop_process(self._child())
        if empty:
            shutil.rmtree(self._data, ignore_errors=True)
        self._run()

    # --- steps ---

    def _child(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise EmbeddedServerFailed(f"this process has not started {self.name}")
        return self._process

    def _own(self) -> bool:
        lock = (self.directory / "owner.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _run(self) -> None:
        self._prepare()
        with self.log_path.open("ab") as log:
            self._process = processes.start_process(self._command(), output=log, cwd=Path("/"), user=self._user())
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedServerFailed(f"{self.name} did not start; the end of its log:\n{self._log_end()}")
            time.sleep(_POLL_SECONDS)
        self._write_record(self.pid)

    @property
    def log_path(self) -> Path:
        """Where the server's messages go."""
        return self.directory / f"{self.name}.log"

    def _log_end(self) -> str:
        return self.log_path.read_text(errors="replace")[-2000:]

    def _stop_orphan(self) -> None:
        """End a server that a crashed owner left on this directory, so that two never write the same files."""
        pid = self._read_record()
        if not pid or self._mark() not in processes.command_of(pid):
            return
        deadline = time.monotonic() + 10.0
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGINT)
        while self._mark() in processes.command_of(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)

    @property
    def _record(self) -> Path:
        """The note that a running server leaves, so that another process finds it; `pid` is 0 until it has answered."""
        return self.directory / "server.json"

    def _write_record(self, pid: int) -> None:
        new = self.directory / "server.json.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps({"pid": pid, "port": self.port, "password": self.password}), encoding="utf-8")
        new.replace(self._record)

    def _read_record(self) -> int:
        try:
            found = json.loads(self._record.read_text(encoding="utf-8"))
            self.port, self.password = int(found["port"]), str(found["password"])
            return int(found["pid"])
        except (OSError, ValueError, KeyError):
            return 0


def _temporary_directory(name: str, root: Path | None) -> Path:
    directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=root))
    # Postgres must pass through it as another user when the present one is root.
    directory.chmod(0o711)
    return directory


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: a port with connections in TIME_WAIT only is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
