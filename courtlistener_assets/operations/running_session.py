"""The servers of a running `courtlistener dev`, as other commands find them.

Belongs here: the record of a session, what it may name, and whom it must belong to. Does not belong here: starting a
session and holding it (`devkit/session/`).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from resources.courtlistener.token import account_of
from resources.errors import NoSession, UntrustedSession

#: Below the directory in which `courtlistener dev` was started.
HOME = ".dagster"
LOCK, RECORD = "session.lock", "session.json"
#: What a session may tell other commands: the settings, and these; anything else in the record is ignored.
NAMES = frozenset({"AIRFLOW_CONN_REDIS_DEFAULT", "DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "POSTGRES_URL"})
#: Who downloads. These belong together: a token with the account of another one would be counted in its ledger.
TOKEN, _TOKEN_FILE, ACCOUNT = "COURTLISTENER_API_TOKEN", "COURTLISTENER_API_TOKEN_FILE", "COURTLISTENER_ACCOUNT"
_BASE_URL = "COURTLISTENER_BASE_URL"
#: In the record, and told to nobody: the account that the session's token has by itself.
ACCOUNT_OF_TOKEN = "account_of_token"
_SETTING = re.compile(r"(COURTLISTENER|REDIS)_[A-Z0-9_]+")


def is_shared(name: str) -> bool:
    """Whether other commands may take a variable from a session."""
    return name in NAMES or _SETTING.fullmatch(name) is not None


def running_session(root: Path) -> dict[str, str]:
    """Return the variables that the session of another process in `root` adds; raises NoSession, UntrustedSession."""
    return {name: value for name, value in _record(root).items() if is_shared(name)}


def with_session(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment, with the servers of a session that runs in the present directory where it names none."""
    try:
        record = _record(Path.cwd())
    except NoSession:
        return dict(environ)
    elsewhere = environ.get(_BASE_URL, record.get(_BASE_URL)) != record.get(_BASE_URL)
    told, own = _logged_in(record, environ, simulated=TOKEN in record and not elsewhere)
    return {**told, **own}


def inside_session(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command that runs in the session of `root`, which has the last word."""
    record = _record(root)
    told, own = _logged_in(record, environ, simulated=TOKEN in record)
    return {**own, **told}


def _logged_in(
    record: Mapping[str, str], environ: Mapping[str, str], *, simulated: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """What a session tells, and an environment; only one of them says who downloads.

    That is the session of a simulator, for which no other token is. Else it is the environment if it has a token,
    unless that is the session's own, whose account may have another name.
    """
    told = {name: value for name, value in record.items() if is_shared(name)}
    token, file = environ.get(TOKEN, "").strip(), environ.get(_TOKEN_FILE, "").strip()
    if simulated:
        return told, _without(environ, TOKEN, _TOKEN_FILE, ACCOUNT)
    if token and account_of(token) == record.get(ACCOUNT_OF_TOKEN):
        return _without(told, TOKEN, _TOKEN_FILE), dict(environ)
    if token or (file and file != told.get(_TOKEN_FILE)):
        return _without(told, TOKEN, _TOKEN_FILE, ACCOUNT), dict(environ)
    return told, dict(environ)


def _without(variables: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in names}


def _record(root: Path) -> dict[str, str]:
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
    return {name: str(value) for name, value in found.items()}


def write_session(record: Path, added: Mapping[str, str]) -> None:
    """Publish the session to other commands; the file holds passwords, so only the present user may read it."""
    record.touch(mode=0o600)
    record.chmod(0o600)  # It may have been there.
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
