"""The one running set of servers of a checkout, shared by `courtlistener dev`, `run`, `env` and others.

Belongs here: who holds it, how others find it, and how a child process finds Dagster's instance. Does not belong
here: what is started (`start.py`).
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from resources.connections.postgres_address import with_tls
from resources.errors import CourtListenerAssetsError

#: dagster.yaml refers to this variable.
DAGSTER_POSTGRES_URL = "DAGSTER_POSTGRES_URL"
#: Whoever only looks holds the lock for a moment.
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 10, 0.05


class SessionRunning(CourtListenerAssetsError):
    """The servers of this checkout are in use by another `courtlistener dev` or `run`."""


class NoSession(CourtListenerAssetsError):
    """No servers run for this checkout: start `courtlistener dev` in another terminal, or use `courtlistener run`."""


@dataclass(frozen=True)
class Session:
    """A running set of servers: the variables that it adds to the environment of a child process."""

    added: Mapping[str, str]

    @property
    def simulated(self) -> bool:
        """Whether the simulator stands in for CourtListener."""
        return "COURTLISTENER_API_TOKEN" in self.added

    @property
    def embedded_postgres(self) -> bool:
        """Whether Postgres is ours."""
        return "POSTGRES_URL" in self.added


@contextmanager
def session_lock(home: Path) -> Iterator[Path]:
    """Hold the session of the checkout whose Dagster home this is; yields the file for its record.

    Raises SessionRunning when another process holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "session.lock").open("ab") as lock:
        for left in reversed(range(_LOCK_TRIES)):
            if _take(lock):
                break
            if not left:
                raise SessionRunning
            time.sleep(_LOCK_PAUSE_SECONDS)
        record = home / "session.json"
        # Left by a session that was killed.
        record.unlink(missing_ok=True)
        try:
            yield record
        finally:
            record.unlink(missing_ok=True)


def write_session(record: Path, current: Session) -> None:
    """Let others find the session; the file holds passwords."""
    record.touch(mode=0o600)
    record.write_text(json.dumps(current.added), encoding="utf-8")


def running_session(root: Path) -> Session:
    """The session that another process of this checkout has started; raises NoSession."""
    home = root / ".dagster"
    try:
        with (home / "session.lock").open("ab") as lock:
            if _take(lock):
                raise NoSession
        return Session(json.loads((home / "session.json").read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        if error.filename == str(home / "session.json"):
            raise NoSession("the servers of this checkout are starting; try again in a moment") from None
        raise NoSession from None
    except ValueError:
        raise NoSession("the servers of this checkout are starting; try again in a moment") from None


def dagster_variables(home: Path, postgres_url: str) -> dict[str, str]:
    """What every `dagster` process needs to find the instance in `home`, with its storage in our database."""
    # With the driver that dagster-postgres expects, and as sure of the server as our own connections.
    address = "postgresql+psycopg2://" + with_tls(postgres_url).partition("://")[2]
    return {"DAGSTER_HOME": str(home.absolute()), DAGSTER_POSTGRES_URL: address}


def _take(lock: IO[bytes]) -> bool:
    try:
        # Given back by the kernel when this process ends, however it ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
