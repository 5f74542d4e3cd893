"""What Postgres tells of the downloads, for `courtlistener watch`.

Belongs here: a few queries a look, none of which writes or locks. Does not belong here: Dagster's storage
(`defs/watch_command.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from courtlistener_assets.operations.remaining import Remaining
from courtlistener_assets.operations.status import own_account, own_of, plan_of
from courtlistener_assets.operations.watch.view import Bar, Downloads, Trouble
from courtlistener_assets.settings import Settings
from resources.backlog.progress import pipeline_report
from resources.backlog.summary import deferral_summary
from resources.connections.postgres import Database
from resources.courtlistener.outage import outages
from resources.errors import NothingYet
from resources.quota.eta import Outlook
from resources.quota.outlook import read_outlook
from resources.quota.report import AccountReport, quota_report
from resources.records.court_counts import CourtCounts
from resources.telemetry import metrics

_MOST_TROUBLES = 5
_TROUBLES = """
    SELECT last_at, asset, partition, docket_id, object_id, error, message, dead_at IS NOT NULL
    FROM courtlistener.failures WHERE resolved_at IS NULL ORDER BY last_at DESC LIMIT %(most)s
"""
#: Of the partitions of vector inputs, those that have a file.
_FILES = """
    SELECT count(DISTINCT partition) FROM courtlistener.chunk_files WHERE version IS NOT NULL
    AND partition = ANY(%(partitions)s)
"""


class Reader:
    """The downloads of a location with these settings; raises StoreUnavailable, and NothingYet."""

    def __init__(
        self, settings: Settings, database: Database, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.settings, self.database, self._clock = settings, database, clock
        self._own_account = own_account(settings)
        self.account: AccountReport | None = None
        self.outlook: Outlook | None = None

    def read(self) -> Downloads:
        """Look at everything once."""
        [(present,)] = self.database.rows("SELECT to_regclass('courtlistener.court_counts') IS NOT NULL")
        if not present:
            raise NothingYet
        now = self._clock()
        accounts = quota_report(self.database)
        self.account = own_of(accounts, self._own_account)
        name = self.account.account if self.account else None
        unused = Outlook.unused(self.settings.rate_limits, self.settings.reserve_share)
        known = read_outlook(self.database, name, self.settings.reserve_share) if name else None
        self.outlook = known or (unused if not (self.account and self.account.blocked) else None)
        plan = plan_of(self.settings, now.date())
        pipeline = pipeline_report(self.database, plan, name)
        bars = [Bar(each.asset, each.complete, each.expected) for each in pipeline.assets]
        return Downloads(
            account=self.account,
            refused=round(metrics.totals(self.database).get(("courtlistener_requests_refused_total", ()), 0.0)),
            bars=[*bars, self._chunks([(court, month) for court in plan.courts for month in plan.months])],
            left=Remaining.of(pipeline.forecast, self.outlook, now) if self.outlook else None,
            counted=bool(CourtCounts(self.database).known(plan.courts, plan.first_month, plan.last_month)),
            failures=pipeline.failures,
            deferred=sum(deferral_summary(self.database)[0].values()),  # Of many the report has the first ones.
            next_deferral=pipeline.deferrals[0].deferred_until if pipeline.deferrals else None,
            outages=[str(each) for each in outages(self.database) if each.account == name and each.down_since],
            troubles=self._troubles(),
        )

    def _chunks(self, months: Sequence[tuple[str, str]]) -> Bar:
        partitions = [f"court={court}/month={month[:7]}" for court, month in months]
        [(files,)] = self.database.rows(_FILES, {"partitions": partitions})
        return Bar("vector_inputs", int(files), len(partitions))

    def _troubles(self) -> list[Trouble]:
        return [
            Trouble(at, _named(asset, partition, docket, object_id), f"{error}: {message}", dead)
            for at, asset, partition, docket, object_id, error, message, dead in self.database.rows(
                _TROUBLES, {"most": _MOST_TROUBLES}
            )
        ]


def _named(asset: str, partition: str, docket: int | None, object_id: int | None) -> str:
    where = f"docket {docket}" if docket else f"object {object_id}" if object_id else ""
    return " ".join(filter(None, (asset, partition, where)))
