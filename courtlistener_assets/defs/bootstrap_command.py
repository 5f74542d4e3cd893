"""A bootstrap outside of a run of Dagster, which is told of it afterwards if it is there.

Belongs here: opening what it needs, and telling. Does not belong here: options and words of the command (`cli.py`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime

import dagster as dg

from courtlistener_assets.defs.assets.bulk import green_months
from courtlistener_assets.defs.names import Names
from courtlistener_assets.download.bulk.bootstrap import Outcome, Reached
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.operations.bootstrap import Plan, carry_out
from courtlistener_assets.operations.completion import complete
from courtlistener_assets.operations.dagster_instance import dagster_instance
from courtlistener_assets.operations.pace import Pace
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.records.audit import RecordAudit
from resources.records.store import RecordStore

#: Seconds between two lines about how far it is.
_SAY_SECONDS = 5.0


def fill(plan: Plan, settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]) -> str:
    """Carry out a plan; returns what became of it, in sentences.

    Raises SettingError before anything is done if the instance of DAGSTER_HOME cannot be opened.
    """
    pace, last = Pace(plan.bytes_a_second), [0.0]

    def told(reached: Reached) -> None:
        if time.monotonic() - last[0] >= _SAY_SECONDS:
            last[0] = time.monotonic()
            say(pace.line(reached))

    with _dagster(environ) as instance, closing(Database(settings.postgres_url)) as database:
        store = RecordStore(database, known_tables())
        store.prepare([table.name for table in known_tables()])
        outcome = carry_out(plan, settings, store, f"bootstrap-{datetime.now(UTC):%Y%m%dT%H%M%S}", told)
        completion = complete(outcome.months, settings, database)
        green = _tell_dagster(instance, outcome, plan, settings, database) if instance else 0
    stored = {**outcome.stored, "citations": outcome.citations}
    counts = ", ".join(f"{count:,} {name}" for name, count in stored.items() if count) or "nothing new"
    shown = f"; {green:,} months turned green" if green else ""
    left_out = f"; {outcome.unusable} rows were left out, the log says why" if outcome.unusable else ""
    return f"Stored: {counts}, as of {plan.dump.watermark:%Y-%m-%d}{shown}{left_out}. {completion}"


@contextmanager
def _dagster(environ: Mapping[str, str]) -> Iterator[dg.DagsterInstance | None]:
    home = environ.get("DAGSTER_HOME", "").strip()
    with dagster_instance(home, environ) if home else nullcontext() as instance:
        yield instance


def _tell_dagster(
    instance: dg.DagsterInstance, outcome: Outcome, plan: Plan, settings: Settings, database: Database
) -> int:
    """Tell an instance which months are complete; returns how many it was told of."""
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for event in green_months(outcome, plan.dump.day, RecordAudit(database), settings, Names()):
            instance.report_runless_asset_event(event)
            count += 1
    return count
