"""What came out of a storm, held against the simulator's own corpus and log.

Belongs here: judging. Does not belong here: making things go wrong (`storm.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.devkit.simulator.truth import Entry
from resources.connections.postgres import Database


@dataclass(frozen=True)
class Verdict:
    """The figures of a round. `asked_again` counts good answers for a page beyond the first; a death may cost one."""

    rows: int
    missing: int
    foreign: int
    doubled: int
    refused: int
    asked_again: int
    allowed_again: int
    failures: int
    unresolved: int

    @property
    def good(self) -> bool:
        spoiled = self.missing or self.foreign or self.doubled or self.refused or self.unresolved
        return not spoiled and self.asked_again <= self.allowed_again

    def __str__(self) -> str:
        return (
            f"{self.rows} rows, {self.missing} missing, {self.foreign} that do not belong, {self.doubled} doubled, "
            f"{self.refused} requests refused, {self.asked_again} pages fetched twice (at most {self.allowed_again} "
            f"were in flight), {self.failures} failures recorded, {self.unresolved} of them unresolved"
        )


def judge(simulator: Simulator, database: Database, expected: dict[str, list[int]], allowed_again: int) -> Verdict:
    """Compare what is stored with what belongs there, and count in the server's log."""
    stored = {
        stream: [id for (id,) in database.rows(f"SELECT id FROM courtlistener.{stream} WHERE gone_at IS NULL")]
        for stream in expected
    }
    [(failures, unresolved)] = database.rows(
        "SELECT count(*), count(*) FILTER (WHERE resolved_at IS NULL) FROM courtlistener.failures"
    )
    pages = Counter(entry.path for entry in simulator.log if _is_page(entry))
    return Verdict(
        rows=sum(map(len, stored.values())),
        missing=sum(len(set(expected[stream]) - set(stored[stream])) for stream in expected),
        foreign=sum(len(set(stored[stream]) - set(expected[stream])) for stream in expected),
        doubled=sum(len(ids) - len(set(ids)) for ids in stored.values()),
        refused=simulator.summary()["refused"],
        asked_again=sum(count - 1 for count in pages.values()),
        allowed_again=allowed_again,
        failures=int(failures),
        unresolved=int(unresolved),
    )


def _is_page(entry: Entry) -> bool:
    """Whether a worker got a page from this request that it could store, as opposed to looking for a bad object."""
    good = entry.status == 200 and entry.fault is None and entry.endpoint != "api-usage"
    return good and "id__lte" not in entry.path and "fields=" not in entry.path
