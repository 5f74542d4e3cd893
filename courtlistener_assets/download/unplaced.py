"""Bringing dockets of which only the id is known, because another program could not download them.

Belongs here: finding a docket's court by asking for it, one request each. Does not belong here: how such dockets become
failures (`resources/backlog/adoption.py`), Dagster (`defs/failed_docket_lookups.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from courtlistener_assets.download import tombstones
from courtlistener_assets.download.partitions import CourtMonth, Everything
from courtlistener_assets.download.stream import Stream, mapping
from courtlistener_assets.download.sweep import Sweeper
from resources.backlog.failure_entries import OpenFailure
from resources.backlog.failures import Failures
from resources.errors import Gone, NotFound, TransientApiError
from resources.records.model import Failure, Record, Scope, SweepKey


class Outside(Exception):
    """The docket is of a court or month that this location does not have."""


@dataclass(frozen=True)
class Unplaced:
    """The lookups of one claim; each failure is resolved, given up or counted by itself."""

    sweeper: Sweeper
    stream: Stream
    scope: Scope
    failures: Failures
    claim_id: str
    counts: dict[str, int] = field(default_factory=lambda: {"found": 0, "gone": 0, "outside": 0, "failed": 0})

    def look_up_all(self, failures: Sequence[OpenFailure]) -> bool:
        """Ask for the docket of each failure; returns False if the rest is better left for later.

        Raises what is no fault of a docket.
        """
        for failure in failures:
            try:
                self._look_up(failure)
            except tombstones.LOOKUP_ERRORS as error:
                self._record(failure, error)
                if isinstance(error, TransientApiError):
                    return False  # It may be the server's fault: that is found out at the cost of one docket.
        return True

    def _look_up(self, failure: OpenFailure) -> None:
        try:
            partition = self._store(failure.docket_id or 0)
        except Outside as error:
            self.counts["outside"] += 1
            self.failures.give_up(self.claim_id, {failure.id: str(error)})
            return
        except (Gone, NotFound):
            # What that means for other objects is known there; it costs a second request.
            tombstones.look_up(self.sweeper, self.stream, self.stream.name, failure.docket_id or 0, Everything())
            partition = ""
        self.counts["found" if partition else "gone"] += 1
        self.failures.resolve(self.claim_id, failure.id, partition=partition)

    def _store(self, docket_id: int) -> str:
        """Ask for a docket and store it; returns its partition."""
        body = mapping(self.sweeper.ask(self.stream.endpoint, docket_id))
        records = list(self.stream.read(body, Everything()))
        court, filed = self._checked(records[0])
        partition = str(CourtMonth(court, filed.replace(day=1))) if filed else court
        self.sweeper.store.store_found(partition, records, scope=self.scope)
        return partition

    def _checked(self, docket: Record) -> tuple[str, date | None]:
        court, filed = docket.court_id or "", docket.date_filed
        if court not in self.scope.courts or (filed and not self.scope.has(filed)):
            raise Outside(
                f"docket {docket.id} of the court {court}, filed {filed or 'without a date'}, is outside the courts "
                "and months of this location: add them and requeue it, or drop it"
            )
        return court, filed

    def _record(self, failure: OpenFailure, error: Exception) -> None:
        self.counts["failed"] += 1
        again = Failure(type(error).__name__, str(error), failure.docket_id, requests=getattr(error, "requests", 1))
        self.sweeper.store.record_failure(SweepKey(failure.asset, failure.partition, failure.sweep), again)
