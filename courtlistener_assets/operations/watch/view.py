"""What `courtlistener watch` shows at one moment, and as JSON.

Belongs here: the values. Does not belong here: reading them (`reading.py`, `defs/watch_command.py`), or how they look
(`screen.py`, `lines.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from courtlistener_assets.operations.remaining import Remaining
from resources.quota.report import AccountReport


@dataclass(frozen=True)
class Bar:
    """Partitions of one asset: how many are green, and how many there are."""

    asset: str
    green: int
    asked: int


@dataclass(frozen=True)
class BackfillView:
    """A backfill that is not over; `left` is what is still to be downloaded of it, None if that cannot be told."""

    id: str
    job: str
    begun_at: datetime
    bars: Sequence[Bar]
    left: Remaining | None


@dataclass(frozen=True)
class Trouble:
    """Something that failed, with where and why; `given_up` if nothing tries it again by itself."""

    at: datetime
    what: str
    why: str
    given_up: bool = False


@dataclass(frozen=True)
class Downloads:
    """What Postgres tells: `account` is the quota that the rest will use, `refused` how many 429s there ever were."""

    account: AccountReport | None = None
    refused: int = 0
    bars: Sequence[Bar] = ()
    left: Remaining | None = None
    counted: bool = False
    failures: Mapping[str, int] = field(default_factory=dict)
    deferred: int = 0
    next_deferral: datetime | None = None
    outages: Sequence[str] = ()
    troubles: Sequence[Trouble] = ()


@dataclass(frozen=True)
class Runs:
    """What Dagster tells: its backfills, how many runs are queued or under way, and which failed in the last hour."""

    backfills: Sequence[BackfillView] = ()
    queued: int = 0
    started: int = 0
    failed: Sequence[Trouble] = ()


@dataclass(frozen=True)
class View:
    """All of it. `problems` are sentences about what could not be read."""

    at: datetime
    downloads: Downloads = field(default_factory=Downloads)
    runs: Runs | None = None
    problems: Sequence[str] = ()

    @property
    def troubles(self) -> list[Trouble]:
        """The last things that failed, the newest first."""
        found = [*self.downloads.troubles, *(self.runs.failed if self.runs else ())]
        return sorted(found, key=lambda each: each.at, reverse=True)


def as_json(view: View) -> str:
    """Return one line of JSON, as docs/operations.md describes it."""
    downloads, runs = view.downloads, view.runs
    body = {
        "at": view.at,
        "quota": _quota(downloads.account),
        "refused": downloads.refused,
        "assets": [asdict(each) for each in downloads.bars],
        **_left(downloads.left),
        "failures": dict(downloads.failures),
        "deferred": downloads.deferred,
        "outages": list(downloads.outages),
        "backfills": None if runs is None else [_backfill(each) for each in runs.backfills],
        "runs": None if runs is None else {"queued": runs.queued, "started": runs.started},
        "troubles": [asdict(each) for each in view.troubles],
        "problems": list(view.problems),
    }
    return json.dumps(body, default=lambda value: value.isoformat())


def _left(left: Remaining | None) -> dict[str, Any]:
    return {
        "requests_left": left.requests if left else None,
        "seconds_left": round(left.seconds) if left and left.done_at else None,
        "done_at": left.done_at if left else None,
    }


def _quota(account: AccountReport | None) -> dict[str, Any] | None:
    if account is None:
        return None
    return {
        "account": account.account,
        "in_flight": account.in_flight,
        "requests_last_hour": sum(account.granted_by.values()),
        "room_in_seconds": round(account.room_in_seconds, 1),
        "held_seconds": round(account.held_seconds, 1),
        "blocked": account.blocked,
        "windows": [
            {
                "limit": each.limit,
                "seconds": each.seconds,
                "used": each.used,
                "foreign": each.foreign,
                "room_in_seconds": round(each.room_in_seconds, 1),
            }
            for each in account.windows
        ],
    }


def _backfill(backfill: BackfillView) -> dict[str, Any]:
    return {
        "id": backfill.id,
        "job": backfill.job,
        "begun_at": backfill.begun_at,
        "assets": [asdict(each) for each in backfill.bars],
        **_left(backfill.left),
    }
