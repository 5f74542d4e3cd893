"""How much memory Redis takes for a day at 5,000 requests an hour.

Belongs here: putting into an empty Redis what a day leaves there, by the project's own code. Does not belong here:
Postgres.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from bench.scale.fill import ROWS
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.backlog.failure_entries import OpenFailure
from resources.backlog.failure_lists import FailureLists
from resources.legacy.pipeline_state import PipelineState
from resources.quota.permits import JournaledPermit, LedgerState, QuotaWindow, Window
from resources.quota.redis_ledger import RedisLedger

REQUESTS_AN_HOUR = 5000
HOURS = 24
_PAGE = 20
_PAGES_A_PARTITION = 9
_DOCKETS = ROWS["dockets"]
#: A day's pages are many; a tenth of a day is measured and taken tenfold.
_SHARE = 10
_FAILURES = 10_000


def measure() -> list[dict[str, Any]]:
    """Return megabytes of each kind of keys, each measured in a server of its own."""
    pages = REQUESTS_AN_HOUR * HOURS // _SHARE
    return [
        _row("permits, window 5000/hour", lambda client: _permits(client, "5000/hour")),
        _row("permits, windows 5000/hour and 120000/day", lambda client: _permits(client, "5000/hour,120000/day")),
        _row("state of runs, a run a partition", lambda client: _pages(client, pages, 1), times=_SHARE),
        # Already after a tenth of the day it has more dockets than are kept.
        _row("state of one run over all partitions", lambda client: _pages(client, pages, pages)),
        _row(f"{_FAILURES:,} failed dockets in their lists", _failures),
    ]


def _row(name: str, fill: Callable[[redis.Redis], None], *, times: int = 1) -> dict[str, Any]:
    with RedisServer() as server:
        client = redis.Redis.from_url(server.url, decode_responses=True)
        before = client.info("memory")["used_memory"]
        fill(client)
        row = {"what": name, "mb": round(times * (client.info("memory")["used_memory"] - before) / 1e6, 1)}
        client.close()
    print(row, flush=True)
    return row


def _permits(client: redis.Redis, windows: str) -> None:
    """All that a ledger keeps of a day: permits beyond the largest window have gone."""
    ledger = RedisLedger(client, "account", permit_ttl_seconds=120.0)
    known = tuple(QuotaWindow(window) for window in Window.parse_all(windows))
    count = max(quota.window.limit for quota in known)
    step_us = HOURS * 3_600_000_000 // (REQUESTS_AN_HOUR * HOURS)
    permits = tuple(JournaledPermit(f"{number:032x}", number * step_us, False) for number in range(count))
    ledger.load(LedgerState(1, known, 0, "", permits))


def _pages(client: redis.Redis, pages: int, partitions_a_run: int) -> None:
    """The state of runs; every partition has nine pages of fifty dockets, all streams together."""
    state = PipelineState(client)
    for page in range(pages):
        partition, place = divmod(page, _PAGES_A_PARTITION)
        run = f"00000000-0000-4000-8000-{partition // partitions_a_run:012d}"
        if place == 0 and partition % partitions_a_run == 0:
            state.initialize_pipeline_state(run, job="court_month", partitions=partitions_a_run)
        dockets = [60_000_000 + partition * _DOCKETS + (place * _PAGE + i) % _DOCKETS for i in range(_PAGE)]
        state.update(run, processed=dockets, api_calls=1, pages=1, records=_PAGE)


def _failures(client: redis.Redis) -> None:
    now = datetime.now(UTC)
    failures = [
        OpenFailure(id=number, asset="docket_entries", partition="ca9|2024-01-01", sweep="filed",
                     docket_id=60_000_000 + number, object_id=None, after_id=None, up_to_id=None,
                     error="TransientApiError", message="The server answered with 502. " * 5, tries=2, requests=10,
                     first_at=now - timedelta(minutes=number), last_at=now, due_at=now)
        for number in range(_FAILURES)
    ]  # fmt: skip
    FailureLists(client).file(failures)
