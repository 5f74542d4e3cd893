"""The row types of the record store, free of any database.

Belongs here: what a record, a failure and a pass are. Does not belong here: SQL (`store.py`), or what the API's
objects look like (`courtlistener_assets/download/streams.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Record:
    """One object of the API: the keys to join and filter by, and its whole body.

    `replaces` are the ids of objects of the same stream that were merged into it. `lists` are the ids of its children
    by their table, for the tables of which its body has a list. `date_created` is that of the object at the server.
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
    lists: Mapping[str, frozenset[int]] = field(default_factory=dict)
    date_created: datetime | None = None


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
class Scope:
    """What is stored of the objects that a pass over whole courts meets, if it is not stored already.

    Only those of `courts` and of months from `first_month` on, before the day `end` if there is one; children only if
    their parent is stored.
    """

    courts: frozenset[str]
    first_month: date
    end: date | None = None

    def has(self, day: date) -> bool:
        """Whether a day is in one of the months."""
        return self.first_month <= day and (self.end is None or day < self.end)


@dataclass(frozen=True)
class Origin:
    """Where records come from.

    `partition` is whose page it is, `court` the only court that it is of ("": there may be several), `month` the one by
    whose dates it was selected, if it was, `since` the date_modified from which the pass asks (None: everything). Dates
    of modification are trusted to be in order but for `tolerance`; a row that was last stored before `asked_at` is
    replaced whatever its date. What `scope` excludes is not stored; another month than its own is no reason in a pass
    that goes by the dates of children (`any_month`). `looked_up`: they were asked for because they were missing.
    """

    partition: str
    court: str = ""
    month: date | None = None
    since: datetime | None = None
    tolerance: timedelta = timedelta(0)
    asked_at: datetime | None = None
    scope: Scope | None = None
    any_month: bool = False
    looked_up: bool = False


@dataclass(frozen=True)
class Lookup:
    """An object that must be seen, since what is stored does not fit together; seen: stored anew, or known to be gone.

    `kind`: "listed" by its parent and not stored, "unlisted" there although it is stored, "parent" of an object that is
    stored while itself it is not, or does not list it. "children" is an object whose children of the table `stream`
    must be seen, whichever there are. `partition` is that of the page that did not fit.
    """

    kind: str
    stream: str
    id: int
    court_id: str | None
    docket_id: int | None
    partition: str


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
