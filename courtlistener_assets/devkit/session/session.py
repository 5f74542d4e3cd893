"""The one set of servers of a directory, shared by `courtlistener dev`, `run`, `demo` and others.

Belongs here: who holds it, what is started in which order, and the variables that child processes need. Does not belong
here: how others find it (`operations/running_session.py`), and what a command does with it (`dev.py`, `demo/`).

Simulated and real records never share a database: each have servers of their own, in places of their own (`places.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.places import POSTGRES, REDIS, move_downloads, servers_directory
from courtlistener_assets.devkit.session.simulator_process import TOKEN, simulator_process
from courtlistener_assets.devkit.simulator.bulk_files import BULK_ROOT
from courtlistener_assets.devkit.simulator.opinions_file import partitions_in_file
from courtlistener_assets.operations import running_session
from courtlistener_assets.operations.running_session import (
    ACCOUNT,
    ACCOUNT_OF_TOKEN,
    HOME,
    LOCK,
    RECORD,
    is_shared,
    take,
    write_session,
)
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.courtlistener.token import account_of
from resources.errors import SessionRunning

#: Small enough to see the quota at work, large enough not to wait for it all day.
SIMULATED_RATES = "5/2s,40/20s"
#: The first month of the generated corpus.
#: Between these are the dockets and decisions of the generated corpus, but for a few that were filed before.
GENERATED_MONTHS = ("2024-01", "2024-06")
#: A process that only looks holds the lock for a moment.
_LOCK_TRIES, _LOCK_PAUSE_SECONDS = 10, 0.05


@contextmanager
def session(
    root: Path, environ: Mapping[str, str], *, corpus: Path | None = None, rates: str = SIMULATED_RATES
) -> Iterator[dict[str, str]]:
    """Start what `environ` does not name, and leave nothing running at the end; yields the variables to add to it.

    Without a token, or with a `corpus`, the simulator stands in for CourtListener. Raises SessionRunning when another
    process has started the servers of this directory, SettingError for a wrong value.
    """
    home = root / HOME
    with _session_lock(home) as record, ExitStack() as stack:
        simulated = bool(corpus) or not Settings.from_environ(environ).token
        directory = servers_directory(root, environ, corpus=corpus, simulated=simulated)
        added: dict[str, str] = {}
        if simulated:
            added |= stack.enter_context(_simulator(directory, environ, corpus, rates))
        else:
            move_downloads(root, directory)
        added |= stack.enter_context(_stores(directory, environ))
        settings = Settings.from_environ({**environ, **added})
        # A second of start-up: a command beside a running session, or with a wrong setting, need not pay for it.
        from courtlistener_assets.devkit.session.instance import (
            dagster_variables,
            end_abandoned_runs,
            open_instance,
            write_instance,
        )
        from courtlistener_assets.operations.dagster_schema import prepare

        added |= dagster_variables(home, settings.postgres_url)
        write_instance(home, workers=settings.workers)
        if "POSTGRES_URL" in added:
            with open_instance(home, settings.postgres_url) as instance:
                end_abandoned_runs(instance)
        else:
            prepare(added["DAGSTER_POSTGRES_URL"])
        write_session(record, {**_shared(environ, settings), **added})
        yield added


def _shared(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return the settings of this shell, so that commands in another one speak of the same courts, months and account.

    The token is not written; the account that it belongs to is.
    """
    told = {name: value for name, value in environ.items() if is_shared(name) and value}
    told.pop(running_session.TOKEN, None)
    of_token = account_of(settings.token)
    return {**told, ACCOUNT: settings.account or of_token, ACCOUNT_OF_TOKEN: of_token}


@contextmanager
def _session_lock(home: Path) -> Iterator[Path]:
    """Hold the session of the directory whose Dagster home this is; yields the file for its record."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("ab") as lock:
        for left in reversed(range(_LOCK_TRIES)):
            if take(lock):
                break
            if not left:
                raise SessionRunning
            time.sleep(_LOCK_PAUSE_SECONDS)
        record = home / RECORD
        # Left by a session that was killed.
        record.unlink(missing_ok=True)
        try:
            yield record
        finally:
            record.unlink(missing_ok=True)


@contextmanager
def _simulator(
    directory: Path, environ: Mapping[str, str], corpus: Path | None, rates: str
) -> Iterator[dict[str, str]]:
    with simulator_process(rates, directory / "simulator.jsonl", corpus) as simulator:
        unless_set = {
            "COURTLISTENER_BULK_URL": f"{simulator.url}{BULK_ROOT}",
            "COURTLISTENER_BULK_DIR": str(directory / "bulk"),
            "COURTLISTENER_DATA_DIR": str(directory / "data"),
            "COURTLISTENER_FIRST_MONTH": GENERATED_MONTHS[0],
            "COURTLISTENER_LAST_MONTH": GENERATED_MONTHS[1],
            "COURTLISTENER_RATE_LIMITS": rates,
        }
        if corpus:
            partitions = partitions_in_file(corpus)
            unless_set["COURTLISTENER_COURTS"] = ",".join(sorted({each.court for each in partitions}))
            unless_set["COURTLISTENER_FIRST_MONTH"] = f"{min(each.month for each in partitions):%Y-%m}"
            unless_set["COURTLISTENER_LAST_MONTH"] = f"{max(each.month for each in partitions):%Y-%m}"
        if environ.get("COURTLISTENER_FIRST_MONTH", "") > unless_set["COURTLISTENER_LAST_MONTH"]:
            del unless_set["COURTLISTENER_LAST_MONTH"]  # Whoever asks for months after the data gets them, empty.
        yield {
            "COURTLISTENER_API_TOKEN": TOKEN,
            "COURTLISTENER_BASE_URL": simulator.url,
            # Neither the token nor the ledger of a real account, on whatever servers.
            "COURTLISTENER_API_TOKEN_FILE": "",
            "COURTLISTENER_ACCOUNT": "simulator",
            **{name: value for name, value in unless_set.items() if not environ.get(name)},
        }


@contextmanager
def _stores(directory: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run the servers that `environ` does not name, with their data in `directory`, and migrate our schema."""
    with ExitStack() as stack:
        added = {}
        if not environ.get("POSTGRES_URL"):
            added["POSTGRES_URL"] = stack.enter_context(PostgresServer(directory / POSTGRES)).url
        if not any(map(environ.get, ("REDIS_URL", "REDIS_HOST", "AIRFLOW_CONN_REDIS_DEFAULT"))):
            added["REDIS_URL"] = stack.enter_context(RedisServer(directory / REDIS)).url
        database = Database(Settings.from_environ({**environ, **added}).postgres_url)
        try:
            database.migrate()
        finally:
            database.close()
        yield added
