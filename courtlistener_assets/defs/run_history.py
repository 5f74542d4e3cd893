"""Old runs in Dagster's storage: which of them may go, and what goes of those that stay.

    a run that is the last to have made, planned or checked a partition,
    or made what the last one of another asset was made from               stays: partitions would turn missing or stale
        if it succeeded                        with the materializations alone; when it began and ended is in the run
    any other                              is deleted, with its events, its evaluations of checks and its logs

Dagster keeps all of it. `DagsterInstance.delete_run` alone takes the materializations of a run with it, so that green
partitions become missing, and leaves evaluations and logs behind.

Belongs here: Dagster's storage. Does not belong here: when this is done (`tidy.py`), our own tables
(`resources/records/history.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeVar

import dagster as dg

# Dagster has no public way to delete part of a run's events, or what it leaves behind of a run.
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES, RunRecord
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select

from courtlistener_assets.defs.names import CHECKED_WITHOUT_RUN
from resources.errors import SettingError

_EVENTS, _CHECKS = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
_MADE = ("ASSET_MATERIALIZATION",)
#: By these a partition shows as failed, if the run has not succeeded.
_WANTED = ("ASSET_MATERIALIZATION_PLANNED", "ASSET_FAILED_TO_MATERIALIZE")
_TAGGED = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")
#: Events that no run has to do with: what Dagster has for them, and what our checks have.
_NO_RUN = ("", CHECKED_WITHOUT_RUN)
#: How a materialization names the event of what it was made from.
_POINTED = "input_event_pointer/"
_POINTER = re.compile(_POINTED + r'[^"]+": "(\d+)"')
_RUNS_AT_ONCE, _IDS_AT_ONCE = 200, 5000
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Tidied:
    """What was done: runs deleted, runs of which events went, and how many events."""

    deleted: int
    trimmed: int
    events: int


@dataclass(frozen=True)
class RunHistory:
    """The runs of some jobs, and of some assets by themselves, as an instance keeps them.

    A job of another code location than `location` may have the same name; None: there is no other. Raises SettingError
    for a storage in SQLite or at a service, whose events cannot be told apart here.
    """

    instance: dg.DagsterInstance
    jobs: Collection[str]
    assets: Collection[dg.AssetKey]
    location: str | None = None
    _storage: SqlEventLogStorage = field(init=False)

    def __post_init__(self) -> None:
        storage = self.instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage) or isinstance(storage, SqliteEventLogStorage):
            raise SettingError(
                f"old runs stay: Dagster's storage is {type(storage).__name__}, and only Postgres is known"
            )
        object.__setattr__(self, "_storage", storage)

    def tidy(self, before: datetime) -> Tidied:
        """Delete what ended before a moment and is the last of nothing; cut down what is. May be interrupted."""
        last = self._last()
        deleted = trimmed = events = 0
        for records in _in_batches(self._ended(before), _RUNS_AT_ONCE):
            runs = [each.dagster_run for each in records]
            gone = [run.run_id for run in runs if not last.needs(run)]
            succeeded = [run.run_id for run in runs if last.needs(run) and run.is_success]
            cut, count = self._trim(succeeded, last)
            events, trimmed = events + count + self._delete(gone), trimmed + cut
            deleted += len(gone)
        return Tidied(deleted, trimmed, events + self._trim_runless(before, last))

    # --- which --------------------------------------------------------------------------------------------------------

    def _ended(self, before: datetime) -> Iterator[RunRecord]:
        """Our runs that ended before a moment, but for those of backfills that are under way."""
        active = self._active_backfills()
        for records in self._pages(dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=before)):
            yield from (
                each
                for each in records
                if self._is_ours(each.dagster_run) and each.dagster_run.tags.get("dagster/backfill") not in active
            )

    def _pages(self, wanted: dg.RunsFilter) -> Iterator[Sequence[RunRecord]]:
        """All runs, page by page; a page is read before the one before it is given away, whose runs may be deleted.

        Behind a run that is gone Dagster finds nothing.
        """
        page = self.instance.get_run_records(wanted, limit=_RUNS_AT_ONCE)
        while page:
            last = page[-1].dagster_run.run_id
            following = self.instance.get_run_records(wanted, limit=_RUNS_AT_ONCE, cursor=last)
            yield page
            page = following

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        if self.location and location_of(run) not in (None, self.location):
            return False
        if run.job_name in self.jobs:
            return True
        of_checks = {key.asset_key for key in run.asset_check_selection or ()}
        selected = {*(run.asset_selection or ()), *of_checks}
        return run.job_name.startswith("__") and bool(selected) and selected <= set(self.assets)

    def _active_backfills(self) -> set[str]:
        statuses = [each for each in BulkActionStatus if each not in BULK_ACTION_TERMINAL_STATUSES]
        return {each.backfill_id for each in self.instance.get_backfills(BulkActionsFilter(statuses=statuses))}

    def _last(self) -> _Last:
        """What is the last of its kind of each partition of ours, and which runs these are of."""
        ours = [key.to_string() for key in self.assets]
        newest, wanted = (
            select(func.max(_EVENTS.id))
            .where(_EVENTS.dagster_event_type.in_(kinds), _EVENTS.asset_key.in_(ours))
            .group_by(_EVENTS.asset_key, _EVENTS.partition)
            for kinds in (_MADE, _WANTED)
        )
        checked = (
            select(func.max(_CHECKS.id))
            .where(_CHECKS.asset_key.in_(ours))
            .group_by(_CHECKS.asset_key, _CHECKS.check_name, _CHECKS.partition)
        )
        with self._storage.index_connection() as connection:
            events = connection.execute(select(_EVENTS.id, _EVENTS.run_id).where(_EVENTS.id.in_(newest))).all()
            events = [*events, *_made_from(connection, newest)]
            planned = connection.execute(select(_EVENTS.run_id).where(_EVENTS.id.in_(wanted))).scalars().all()
            checks = connection.execute(select(_CHECKS.id, _CHECKS.run_id).where(_CHECKS.id.in_(checked))).all()
        return _Last(
            {id for id, _ in events}, {id for id, _ in checks}, {run for _, run in [*events, *checks]}, set(planned)
        )

    # --- what goes ----------------------------------------------------------------------------------------------------

    def _delete(self, runs: Sequence[str]) -> int:
        """Delete runs and all that is of them; return how many events."""
        if not runs:
            return 0
        with self._storage.index_connection() as connection:
            count = connection.execute(select(func.count()).where(_EVENTS.run_id.in_(runs))).scalar_one()
        for run_id in runs:
            self.instance.delete_run(run_id)
            self.instance.compute_log_manager.delete_logs(prefix=[run_id])
        with self._storage.index_connection() as connection:
            connection.execute(delete(AssetCheckExecutionsTable).where(_CHECKS.run_id.in_(runs)))
        return int(count)

    def _trim(self, runs: Sequence[str], last: _Last) -> tuple[int, int]:
        """Cut down runs that are needed; return of how many something went, and how many events."""
        if not runs:
            return 0, 0
        with self._storage.index_connection() as connection:
            cut, count = self._cut(connection, _EVENTS.run_id.in_(runs), _CHECKS.run_id.in_(runs), last)
        for run_id in cut:
            self.instance.compute_log_manager.delete_logs(prefix=[run_id])
        return len(cut), count

    def _trim_runless(self, before: datetime, last: _Last) -> int:
        ours, moment = [key.to_string() for key in self.assets], before.replace(tzinfo=None)
        with self._storage.index_connection() as connection:
            of_ours = _EVENTS.asset_key.in_(ours) | (_EVENTS.run_id == CHECKED_WITHOUT_RUN)
            events = _EVENTS.run_id.in_(_NO_RUN) & of_ours & (_EVENTS.timestamp < moment)
            at = _CHECKS.evaluation_event_timestamp
            checks = _CHECKS.run_id.in_(_NO_RUN) & _CHECKS.asset_key.in_(ours) & (at < moment)
            return self._cut(connection, events, checks, last)[1]

    def _cut(
        self, connection: Connection, events: ColumnElement[bool], checks: ColumnElement[bool], last: _Last
    ) -> tuple[set[str], int]:
        """Delete events and evaluations that say nothing of a partition any more."""
        evaluations = connection.execute(select(_CHECKS.id, _CHECKS.evaluation_event_storage_id).where(checks)).all()
        # An evaluation is kept with the check; the event log has a copy, which names no asset.
        events |= _EVENTS.id.in_([event for _, event in evaluations if event])
        found = connection.execute(select(_EVENTS.id, _EVENTS.run_id, _EVENTS.dagster_event_type).where(events)).all()
        gone = [each for each in found if each[0] not in last.events]
        for ids in _in_batches((id for id, _, _ in gone), _IDS_AT_ONCE):
            connection.execute(delete(SqlEventLogStorageTable).where(_EVENTS.id.in_(ids)))
        for ids in _in_batches((id for id, _, kind in gone if kind in _TAGGED), _IDS_AT_ONCE):
            connection.execute(delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(ids)))
        old = [id for id, _ in evaluations if id not in last.checks]
        for ids in _in_batches(old, _IDS_AT_ONCE):
            connection.execute(delete(AssetCheckExecutionsTable).where(_CHECKS.id.in_(ids)))
        return {run for _, run, _ in gone}, len(gone)


def location_of(run: dg.DagsterRun) -> str | None:
    """The name of the code location that launched a run; None if it was run without one."""
    origin = run.remote_job_origin
    return origin.location_name if origin else None


def _made_from(connection: Connection, newest: Select[tuple[int]]) -> list[Row[tuple[int, str]]]:
    """The materializations that the newest ones of other assets were made from, and their runs.

    By these Dagster tells whether what is upstream has changed since; without them all of it would be stale.
    """
    pointing = select(_EVENTS.event).where(_EVENTS.id.in_(newest), _EVENTS.event.contains(_POINTED))
    pointed = {int(id) for (event,) in connection.execute(pointing) for id in _POINTER.findall(event)}
    found: list[Row[tuple[int, str]]] = []
    for ids in _in_batches(sorted(pointed), _IDS_AT_ONCE):
        found += connection.execute(select(_EVENTS.id, _EVENTS.run_id).where(_EVENTS.id.in_(ids))).all()
    return found


@dataclass(frozen=True)
class _Last:
    """Ids of the events and of the evaluations that the state of a partition depends on, and of their runs.

    `planned` are the runs that were the last to be meant to make a partition.
    """

    events: set[int]
    checks: set[int]
    runs: set[str]
    planned: set[str]

    def needs(self, run: dg.DagsterRun) -> bool:
        """Whether a partition would look otherwise without a run that has ended."""
        return run.run_id in self.runs or (not run.is_success and run.run_id in self.planned)


def _in_batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
