"""The row types of the record store, free of any database.

Belongs here: what a record, a failure and a pass are. Does not belong here: SQL (`store.py`), or what the API's
objects look like (`courtlistener_assets/download/streams.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True)
class Record:
    """One object of the API: the keys to join and filter by, and its whole body.

    `replaces` are the ids of objects of the same stream that were merged into it.
    """

    stream: str
    id: int
    body: Mapping[str, Any]
    docket_id: int | None = None
    cluster_id: int | None = None
    docket_entry_id: int | None = None
    court_id: str | None = None
    date_filed: date | None = None
    date_modified: datetime | None = None
    replaces: tuple[int, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Something that could not be downloaded or stored; `error` is the class name of what happened.

    Where no docket is known, `object_id`, or the ids above `after_id` up to `up_to_id`, say what in the sweep it is.
    `requests` is what it cost.
    """

    error: str
    message: str
    docket_id: int | None = None
    object_id: int | None = None
    after_id: int | None = None
    up_to_id: int | None = None
    requests: int = 0


@dataclass(frozen=True)
class SweepKey:
    """Which sweep of which partition of which asset."""

    asset: str
    partition: str
    sweep: str


@dataclass(frozen=True)
class SweepPass:
    """How far the current pass over a sweep has come.

    `after_id`: the last id stored. `since`: only objects modified from then on (None: all). `watermark`: the server's
    time when the pass began, None before its first page. `pages` and `records` count this pass, over all its runs.
    """

    key: SweepKey
    number: int
    after_id: int = 0
    since: datetime | None = None
    watermark: datetime | None = None
    finished: bool = False
    pages: int = 0
    records: int = 0


@dataclass(frozen=True)
class PageOfRecords:
    """What one page brings to the store."""

    records: list[Record]
    failures: list[Failure] = field(default_factory=list)
