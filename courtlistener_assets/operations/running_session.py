"""The servers of a running `courtlistener dev`, as other commands find them.

Belongs here: the record of a session, what it may name, and whom it must belong to. Does not belong here: starting a
session and holding it (`devkit/session/`).
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from resources.errors import NoSession, UntrustedSession

#: Below the directory in which `courtlistener dev` was started.
HOME = ".dagster"
LOCK, RECORD = "session.lock", "session.json"
#: What a session may add to the environment of other commands; anything else in the record is ignored.
NAMES = frozenset(
    {
        "COURTLISTENER_ACCOUNT",
        "COURTLISTENER_API_TOKEN",
        "COURTLISTENER_API_TOKEN_FILE",
        "COURTLISTENER_BASE_URL",
        "COURTLISTENER_COURTS",
        "COURTLISTENER_DATA_DIR",
        "COURTLISTENER_FIRST_MONTH",
        "COURTLISTENER_RATE_LIMITS",
        "DAGSTER_HOME",
        "DAGSTER_POSTGRES_URL",
        "POSTGRES_URL",
        "REDIS_URL",
    }
)


def running_session(root: Path) -> dict[str, str]:
    """Return the variables that the session of another process in `root` adds; raises NoSession, UntrustedSession."""
    home = root / HOME
    try:
        with (home / LOCK).open("rb") as lock:
            if take(lock):
                raise NoSession
    except FileNotFoundError:
        raise NoSession from None
    try:
        found = json.loads(_own_text(home / RECORD))
    except (FileNotFoundError, ValueError):
        raise NoSession("the servers of this directory are starting; try again in a moment") from None
    return {name: str(value) for name, value in found.items() if name in NAMES}


def write_session(record: Path, added: Mapping[str, str]) -> None:
    """Publish the session to other commands; the file holds passwords, so only the present user may read it."""
    record.touch(mode=0o600)
    record.write_text(json.dumps(dict(added)), encoding="utf-8")


def take(lock: IO[bytes]) -> bool:
    """Lock an open file unless another process holds it; the kernel releases it when this process ends, however."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _own_text(path: Path) -> str:
    """Return the text of a file that belongs to this user and that no one else may write."""
    with path.open(encoding="utf-8") as file:
        # Of the open file, which cannot be replaced meanwhile.
        status = os.fstat(file.fileno())
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UntrustedSession(f"{path} is not used: it must belong to you, and no one else may write to it")
        return file.read()
