"""Starting the servers of a checkout: stores, simulator, Dagster instance.

Belongs here: what is started, in which order, and the variables that child processes need. Does not belong here: who
may start it (`session.py`), and which command uses it (`dev.py`).

Simulated and real records never share a database: the embedded servers keep their data in `.services/simulated` or
`.services/live`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from courtlistener_assets.devkit.session.abandoned_runs import end_abandoned_runs
from courtlistener_assets.devkit.session.instance import open_instance, write_instance
from courtlistener_assets.devkit.session.session import Session, dagster_variables, session_lock, write_session
from courtlistener_assets.devkit.session.simulator_process import TOKEN, simulator_process
from courtlistener_assets.devkit.session.stores import stores
from courtlistener_assets.settings import Settings

#: Small enough to see the quota at work, large enough not to wait for it all day.
SIMULATED_RATES = "5/2s,40/20s"
#: The first month of the simulated corpus.
_SIMULATED_FIRST_MONTH = "2024-01"


@contextmanager
def session(root: Path, environ: Mapping[str, str]) -> Iterator[Session]:
    """Start what `environ` does not name, and leave nothing running at the end.

    Raises SessionRunning when another process has started the servers of this checkout, SettingError for a wrong value.
    """
    home = root / ".dagster"
    with session_lock(home) as record, ExitStack() as stack:
        directory = root / ".services" / ("live" if Settings.from_environ(environ).api_token else "simulated")
        added: dict[str, str] = {}
        if directory.name == "simulated":
            added |= stack.enter_context(_simulator(directory, environ))
        added |= stack.enter_context(stores(directory, environ))
        settings = Settings.from_environ({**environ, **added})
        added |= dagster_variables(home, settings.postgres_url)
        current = Session(added)
        write_instance(home, workers=settings.workers)
        if current.embedded_postgres:
            with open_instance(home, settings.postgres_url) as instance:
                end_abandoned_runs(instance)
        write_session(record, current)
        yield current


@contextmanager
def _simulator(directory: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    with simulator_process(SIMULATED_RATES, directory / "simulator.jsonl") as simulator:
        unless_set = {
            "COURTLISTENER_DATA_DIR": str(directory / "data"),
            "COURTLISTENER_FIRST_MONTH": _SIMULATED_FIRST_MONTH,
            "COURTLISTENER_RATE_LIMITS": SIMULATED_RATES,
        }
        yield {
            "COURTLISTENER_API_TOKEN": TOKEN,
            "COURTLISTENER_BASE_URL": simulator.url,
            # Never the ledger of a real account, on whatever servers.
            "COURTLISTENER_ACCOUNT": "simulator",
            **{name: value for name, value in unless_set.items() if not environ.get(name)},
        }
