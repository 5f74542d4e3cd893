"""A week on an account with 5/min,50/hour,125/day in which everything goes wrong that can.

Belongs here: the calendar of that week, and what became of the quota. Does not belong here: single cases (`cases.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.generator import generate
from resources.records.store import RecordStore
from tests.trouble.stage import Stage, staged

RATES, QUOTA = "5/min,50/hour,125/day", 7 * 125
_HOUR, _DAY = 3600.0, 86_400.0
_COURTS = ("scotus", "ca9")
_FIRST, _LAST = "2016-01", "2025-12"
#: The sensors of a real location look every 30 seconds; so that a week takes minutes, these do once an hour.
_TICK_SECONDS = 3600.0
_API = "/api/rest/v4/"


@dataclass(frozen=True)
class Event:
    """Something that goes wrong at an hour of the week, for some hours."""

    at_hour: float
    hours: float
    name: str
    fault: Fault


#: Hours since Monday morning.
CALENDAR = (
    Event(0, 168, "one response in a hundred is a 502", Fault("502", probability=0.01)),
    Event(0, 168, "docket-entries is forbidden", Fault("forbidden", path_prefix=f"{_API}docket-entries/")),
    Event(24, 24, "open pages of opinions time out", Fault("unbounded", endpoint="opinions", by="timeout")),
    Event(26, 5, "the server is down", Fault("500")),
    Event(50, 3, "maintenance", Fault("maintenance", retry_after_seconds=3600)),
    Event(74, 3, "a firewall", Fault("firewall_405")),
    Event(80, 24, "api-usage is missing", Fault("missing", path_prefix=f"{_API}api-usage/")),
    Event(98, 2, "nothing answers", Fault("timeout")),
    Event(104, 2, "a sign-in page", Fault("login")),
    Event(122, 1, "headers drip", Fault("drip_headers", seconds=120.0)),
    Event(128, 2, "another firewall", Fault("firewall_202")),
)
#: Objects that break every page, for good; two of them are on one page.
_POISON = (("dockets", 3), ("dockets", 5), ("clusters", 4), ("opinions", 7), ("opinions", 40))


@dataclass(frozen=True)
class Week:
    """What became of the quota."""

    spent: int
    stored_pages: int
    lookups: int
    refused: int
    dead: int
    by_status: dict[str, int]

    @property
    def share(self) -> float:
        """Of the requests of the week, what went into pages that are stored."""
        return self.stored_pages / max(1, self.spent)

    def sentence(self) -> str:
        return (
            f"The same in one week of simulated time on an account with `{RATES}`, all of it mixed together: of the "
            f"{QUOTA} requests of its quota {self.spent} were sent, and {self.stored_pages} of them ({self.share:.0%}) "
            f"brought pages that are stored; {self.lookups} brought single objects. "
            f"{self.refused} were refused by CourtListener, and {self.dead} objects were given up by the end."
        )


def play_week(postgres: PostgresServer, redis: RedisServer) -> Week:
    corpus = generate(2, 0.05, _COURTS, _FIRST, _LAST)
    settings = {
        "COURTLISTENER_COURTS": ",".join(_COURTS),
        "COURTLISTENER_FIRST_MONTH": _FIRST,
        "COURTLISTENER_RATE_LIMITS": RATES,
        "COURTLISTENER_API_TOKEN": "plain-token",
    }
    with staged(corpus, postgres, redis, **settings) as stage, _counted() as stored:
        _spoil(stage)
        began, begun = stage.clock(), False
        for hour in range(168):
            _turn(stage, hour)
            end = began + (hour + 1) * _HOUR
            if not begun:
                begun = True
                for court in _COURTS:
                    stage.run("downloads", (f"{court}|{_FIRST}-01", f"{court}|{_LAST}-01"))
            stage.live(end - stage.clock(), tick_seconds=_TICK_SECONDS)
            if hour % 8 == 7:
                told = f"{len(stage.asked)} requests, {stored['pages']} pages, {stage.runs} runs"
                print(f"  hour {hour + 1}: {told}", flush=True)
        return _week(stage, stored)


def _spoil(stage: Stage) -> None:
    for endpoint, nth in _POISON:
        record: dict[str, Any] = list(stage.simulator.corpus.table(endpoint))[nth]
        stage.simulator.faults.add(Fault("poison", endpoint=endpoint, object_id=record["id"]))


def _turn(stage: Stage, hour: int) -> None:
    """Let begin what begins in this hour, and end what ends."""
    if not any(hour in (event.at_hour, event.at_hour + event.hours) for event in CALENDAR):
        return
    stage.simulator.faults.clear()
    _spoil(stage)
    # Those that strike everything first: the first fault that fits is the one that strikes.
    for event in sorted(CALENDAR, key=lambda each: each.hours):
        if event.at_hour <= hour < event.at_hour + event.hours:
            stage.simulator.faults.add(event.fault)


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count the pages that are stored: not those that only say that an object failed."""
    counts, store_page = Counter[str](), RecordStore.store_page

    def counting(self: RecordStore, current: Any, page: Any, *rest: Any, **how: Any) -> Any:
        kept = store_page(self, current, page, *rest, **how)
        counts["pages"] += bool(page.records or not page.failures)
        return kept

    with patch.object(RecordStore, "store_page", counting):
        yield counts


def _week(stage: Stage, stored: Counter[str]) -> Week:
    entries = stage.asked
    single = [entry for entry in entries if "?" not in entry.path and entry.status in (200, 404, 410)]
    return Week(
        spent=len(entries),
        stored_pages=stored["pages"],
        lookups=len(single),
        refused=sum(entry.refused for entry in entries),
        dead=stage.failures("dead_at IS NOT NULL"),
        by_status=dict(Counter(f"{entry.status} {entry.fault or ''}".strip() for entry in entries)),
    )
