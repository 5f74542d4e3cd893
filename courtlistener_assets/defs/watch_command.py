"""`courtlistener watch`: what Dagster tells of its backfills and runs, and all that there is to see together.

Belongs here: Dagster's storage, looked at seldom and by index. Does not belong here: our own tables
(`operations/watch/reading.py`), showing (`operations/watch/`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
from dagster import DagsterInstance

from courtlistener_assets.defs.active_runs import PARTITION_TAG
from courtlistener_assets.defs.backfills import Backfill, running_backfills
from courtlistener_assets.defs.names import VECTOR_INPUTS
from courtlistener_assets.operations.dagster_instance import dagster_instance
from courtlistener_assets.operations.remaining import remaining_of
from courtlistener_assets.operations.watch.reading import Reader
from courtlistener_assets.operations.watch.view import BackfillView, Bar, Downloads, Runs, Trouble, View
from resources.errors import CourtListenerAssetsError

_STARTED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]
_RECENT, _MOST_FAILED = timedelta(hours=1), 3


class Watcher:
    """Looks at the downloads, and at an instance of Dagster if there is one."""

    def __init__(self, reader: Reader, instance: DagsterInstance | None) -> None:
        self._reader, self._instance = reader, instance
        self._downloads = Downloads()
        #: The first event of an asset after the beginning of a backfill, and why a run failed: neither changes.
        self._first_events: dict[tuple[str, str], int] = {}
        self._reasons: dict[str, str] = {}

    def look(self) -> View:
        """See everything once; what cannot be read is as it was before, or left out, and said."""
        problems, runs = [], None
        try:
            self._downloads = self._reader.read()
        except (CourtListenerAssetsError, psycopg.Error) as error:  # Such as a table that another version has made.
            problems.append(f"Postgres: {' '.join(str(error).split())[:200]}")
        try:
            runs = self._runs(self._instance) if self._instance else None
        except Exception as error:  # SQLAlchemy and the driver each raise their own.
            problems.append(f"Dagster's storage: {' '.join(str(error).split())[:200]}")
        return View(datetime.now(UTC), self._downloads, runs, problems)

    def _runs(self, instance: DagsterInstance) -> Runs:
        assets = [each.name for each in self._reader.settings.chosen_streams if each.by_month]
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.now(UTC) - _RECENT)
        return Runs(
            [self._backfill(instance, each) for each in running_backfills(instance, [*assets, VECTOR_INPUTS])],
            queued=instance.get_runs_count(dg.RunsFilter(statuses=_WAITING)),
            started=instance.get_runs_count(dg.RunsFilter(statuses=_STARTED)),
            failed=[self._failed(instance, record) for record in instance.get_run_records(failed, limit=_MOST_FAILED)],
        )

    def _backfill(self, instance: DagsterInstance, backfill: Backfill) -> BackfillView:
        bars = [
            Bar(name, len(self._green(instance, backfill, key) & backfill.targets[name]), len(backfill.targets[name]))
            for name, key in sorted(backfill.keys.items(), key=lambda each: self._order(each[0]))
        ]
        reader, left, now = self._reader, None, datetime.now(UTC)
        if reader.outlook:
            left = remaining_of(
                backfill.targets,
                reader.settings.chosen_streams,
                reader.database,
                reader.account.account if reader.account else None,
                reader.outlook,
                now,
                reader.settings.last_month,
            )
        return BackfillView(backfill.id, backfill.job, backfill.begun_at, bars, left)

    def _order(self, asset: str) -> tuple[int, str]:
        names = [each.name for each in self._reader.settings.chosen_streams]
        return (names.index(asset) if asset in names else len(names), asset)

    def _green(self, instance: DagsterInstance, backfill: Backfill, key: dg.AssetKey) -> set[str]:
        """The partitions of an asset that were materialized since a backfill began."""
        place = backfill.id, key.to_string()
        if place not in self._first_events:
            since = dg.AssetRecordsFilter(key, after_timestamp=backfill.begun_at.timestamp())
            records = instance.fetch_materializations(since, limit=1, ascending=True).records
            if not records:
                return set()
            self._first_events[place] = records[0].storage_id
        return instance.event_log_storage.get_materialized_partitions(key, after_cursor=self._first_events[place] - 1)

    def _failed(self, instance: DagsterInstance, record: Any) -> Trouble:
        run = record.dagster_run
        if run.run_id not in self._reasons:
            found = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE, limit=1).records
            self._reasons[run.run_id] = _reason(found[0].event_log_entry.dagster_event) if found else "it was ended"
        partition = run.tags.get(PARTITION_TAG, "")
        return Trouble(
            record.update_timestamp.replace(tzinfo=UTC),
            f"run {run.run_id[:8]} of {run.job_name} {partition}".strip(),
            self._reasons[run.run_id],
        )


def _reason(event: dg.DagsterEvent | None) -> str:
    data: Any = event.event_specific_data if event else None
    if data is None:
        return "it was ended"
    if data.user_failure_data and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error and error.cause:
        error = error.cause
    return str(error.message) if error else "it was ended"


@contextmanager
def instance_of(environ: Mapping[str, str]) -> Iterator[DagsterInstance | None]:
    """The instance of DAGSTER_HOME; None if there is none. Raises SettingError if it cannot be opened."""
    home = environ.get("DAGSTER_HOME", "").strip()
    if not home or not (Path(home) / "dagster.yaml").exists():
        yield None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with dagster_instance(home, environ) as instance:
            yield instance
