"""`courtlistener bootstrap` and the assets of bulk files: what a bootstrap takes, said before it starts, and doing it.

Belongs here: the plan, and its words. Does not belong here: the steps (`download/bulk/bootstrap.py`), how fast they are
(`pace.py`), or Dagster.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from courtlistener_assets.download.bulk.bootstrap import (
    TABLES,
    Bootstrap,
    Outcome,
    Reached,
    job_of,
    months_of,
    wanted_of,
)
from courtlistener_assets.download.bulk.passes import Wanted
from courtlistener_assets.download.bulk.source import BulkSource, Dump
from courtlistener_assets.download.bulk.work import Workshop
from courtlistener_assets.operations.completion import expectations
from courtlistener_assets.operations.pace import expected_pace, size
from courtlistener_assets.settings import Settings
from resources.errors import SettingError
from resources.quota.eta import in_words
from resources.records.store import RecordStore

#: On the disk the wanted rows take less than the files, since they are packed better.
MOST_OF_DISK = 0.8


@dataclass(frozen=True)
class Plan:
    """A bootstrap that could begin: from which dump, of what, and what it takes."""

    source: BulkSource
    dump: Dump
    wanted: Wanted
    threads: int
    free_bytes: int
    bytes_a_second: float

    @property
    def bytes_all(self) -> int:
        """The size of all files that are read, packed."""
        return self.dump.size(TABLES)

    @property
    def seconds(self) -> float:
        """About how long reading takes."""
        return self.bytes_all / self.bytes_a_second

    @property
    def most_disk(self) -> int:
        """What the kept rows take on the disk if all are wanted."""
        return int(self.bytes_all * MOST_OF_DISK)


def plan(
    settings: Settings, *, courts: Sequence[str] = (), first_month: date | None = None, day: date | None = None
) -> Plan:
    """Find the newest dump, or that of a day, for configured courts and months; sends no request to the API.

    Reads the beginning of the largest file, to see how fast that is.

    Raises SettingError for what is not configured, and DumpError.
    """
    courts, first = courts or settings.courts, first_month or settings.first_month
    if unknown := [court for court in courts if court not in settings.courts]:
        raise SettingError(f"COURTLISTENER_COURTS does not have {', '.join(unknown)}: nothing would keep it up to date")
    if first < settings.first_month:
        raise SettingError(
            f"COURTLISTENER_FIRST_MONTH is {settings.first_month:%Y-%m}: nothing would keep earlier months up to date"
        )
    source = BulkSource(settings.bulk_url)
    dump = source.newest(TABLES, day)
    settings.bulk_dir.mkdir(parents=True, exist_ok=True)
    threads = os.cpu_count() or 1
    return Plan(
        source,
        dump,
        wanted_of(courts, first, dump, settings.chosen_streams, settings.last_month),
        threads,
        shutil.disk_usage(settings.bulk_dir).free,
        expected_pace(source, dump, threads),
    )


def described(plan: Plan, settings: Settings) -> list[str]:
    """What a bootstrap would do, in sentences."""
    courts = ", ".join(sorted(plan.wanted.courts))
    lines = [
        f"{courts} from {plan.wanted.first_day:%Y-%m} on, as of {plan.dump.watermark:%Y-%m-%d}: the bulk files of "
        f"{plan.dump.day} at {plan.source.url}. No request is sent to the API.",
        f"{size(plan.bytes_all)} are read and unpacked by {plan.threads} threads: about {in_words(plan.seconds)}.",
        f"The wanted rows stay in {settings.bulk_dir} until they are stored: for a few courts a small part of that, "
        f"for all {size(plan.most_disk)} at most. {size(plan.free_bytes)} are free.",
        *expectations(len(months_of(plan.wanted)), settings),
    ]
    if plan.free_bytes < plan.most_disk:
        lines.append("If the disk becomes full, it stops, and goes on where it was when there is room.")
    return lines


def carry_out(
    plan: Plan,
    settings: Settings,
    store: RecordStore,
    run_id: str,
    told: Callable[[Reached], None] = lambda reached: None,
) -> Outcome:
    """Do what is planned, or go on where it was stopped; raises DumpError and what the store raises."""
    work = Workshop(settings.bulk_dir / plan.dump.day.isoformat(), job_of(plan.dump, plan.wanted))
    done = False
    try:
        outcome = Bootstrap(
            plan.source,
            plan.dump,
            plan.wanted,
            work,
            store,
            settings.chosen_streams,
            f"{settings.base_url}/api/rest/v4",
            run_id,
            plan.threads,
            told,
        ).run()
        done = True
    finally:
        with suppress(OSError):
            if done:
                work.remove()
            else:
                work.close()
    return outcome
