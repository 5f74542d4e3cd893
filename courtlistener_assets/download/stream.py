"""What a stream of the API is: which endpoint, which sweeps make up a partition, what its objects become.

Belongs here: everything that streams have in common, and the reading of a field. Does not belong here: any single
stream (`streams.py`), which of them a location has (`choice.py`), walking a sweep (`sweep.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, TypeGuard

from courtlistener_assets.chunks.document import DocumentKind
from courtlistener_assets.download.partitions import Selection
from resources.errors import SettingError, UnusableRecord
from resources.records.model import Failure, PageOfRecords, Record
from resources.records.tables import Members, Table

Body = Mapping[str, Any]
_ID_OF_URL = re.compile(r"/([0-9]+)/?(?:\?.*)?$")
_COURT_ID = re.compile(r"[\w-]{1,100}")
#: Deeper than anything that the API nests, and less deep than what Python's recursion can take.
_MOST_NESTED = 64


@dataclass(frozen=True)
class Sweep:
    """One walk by id over an endpoint; the values of `filters` may use {court}, {first_day}, {next_month} and {end}.

    A filter with {end} is left out where there is none. The walk begins behind the id `after_id`. `by` is the table of
    the children whose dates it goes by, if not by the objects' own or their parents'. `status_filter` is its way to the
    precedential status of decisions. `modified` is the date by which a pass finds what changed; `beside` the sweep
    beside whose increments this one is walked, if it exists for them only. `any_month`: what it brings is stored
    whatever its own date, since that of a child counts. `parents_of`: it brings the parents of what was modified of a
    stream, which list these.
    """

    name: str
    filters: Mapping[str, str]
    after_id: int = 0
    by: Table | None = None
    status_filter: str = ""
    modified: str = "date_modified"
    beside: str = ""
    any_month: bool = False
    parents_of: str = ""

    def by_modified(self, relation: str) -> Sweep:
        """The sweep that goes beside this one's increments: over objects with a child that was modified."""
        return replace(self, name=f"{self.name}+{relation}", modified=f"{relation}__date_modified", beside=self.name)

    @property
    def whole(self) -> bool:
        """Whether it is one of a partition's sweeps, not a part of one or that of a single docket."""
        return ":" not in self.name

    def params(self, partition: Selection) -> dict[str, str]:
        """The query parameters that select this sweep's objects for a partition."""
        values = partition.filter_values
        wanted = {
            name: template for name, template in self.filters.items() if "{end}" not in template or values.get("end")
        }
        return {name: template.format(**values) for name, template in wanted.items()}

    def month_of(self, partition: Selection) -> date | None:
        """The month by whose dates the sweep selects, if it does."""
        by_month = any("{next_month}" in value for value in self.filters.values())
        return date.fromisoformat(partition.filter_values["first_day"]) if by_month else None

    def part(self, after_id: int, up_to_id: int) -> Sweep:
        """The part of this sweep above `after_id` up to `up_to_id`, a sweep of its own."""
        filters = {**self.filters, "id__lte": str(up_to_id)}
        return replace(self, name=f"{self.name}:{after_id}-{up_to_id}", filters=filters, after_id=after_id)


def month_sweep(
    name: str, court: str, day: str, *, moments: bool = False, by: Table | None = None, status_filter: str = ""
) -> Sweep:
    """The sweep over a court's month by a date; `moments`: the date has a time, and a day begins at midnight UTC."""
    midnight = "T00:00:00Z" if moments else ""
    filters = {court: "{court}", f"{day}__gte": "{first_day}" + midnight, f"{day}__lt": "{next_month}" + midnight}
    return Sweep(name, filters, by=by, status_filter=status_filter)


def months_filters(court: str, day: str, *, moments: bool = False) -> dict[str, str]:
    """The filters of a sweep over all months of a court that are stored, as of `month_sweep` over one."""
    midnight = "T00:00:00Z" if moments else ""
    return {court: "{court}", f"{day}__gte": "{first_day}" + midnight, f"{day}__lt": "{end}" + midnight}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One endpoint whose objects become one asset, and everything that is said about it anywhere.

    `read` turns one object of the API into its records: the object itself first, then what comes nested in it; they go
    into `tables`, the first of which is named like the stream. `sweeps` make up a partition, or, without any court,
    the whole stream. `docket_filter` selects the objects of a docket ("" if they belong to none).

    `increments` are walked besides when a partition is brought up to date: what neither an object's own date shows nor
    a list of children that is stored. `changes` are what a catch-up of a court walks, the first one named like the
    stream; their filters may use {first_day} of the first month that is stored, and {end}, the day after the last one.

    `undated` is the sweep over a court's objects in dockets without a date, where no other finds these.

    `parent_sweeps` are what the parents' stream walks in addition, so that the parents are stored. `kinds` are the
    documents that its records give to `vector_inputs`. Of `needs`, names of fields, none may be omitted, of
    `alternatives` not all; `omit` are the fields that are left out at the server. `limits` are filters on every
    request, such as `status_filter`, its way to the precedential status, if the location has only one.
    """

    name: str
    endpoint: str
    description: str
    read: Callable[[Body, Selection], Iterator[Record]]
    tables: tuple[Table, ...]
    sweeps: tuple[Sweep, ...]
    docket_filter: str = ""
    increments: tuple[Sweep, ...] = ()
    changes: tuple[Sweep, ...] = ()
    undated: Sweep | None = None
    parent_sweeps: tuple[Sweep, ...] = ()
    kinds: tuple[DocumentKind, ...] = ()
    needs: tuple[str, ...] = ("id", "date_modified")
    alternatives: tuple[str, ...] = ()
    omit: tuple[str, ...] = ()
    status_filter: str = ""
    by_default: bool = True
    limits: Mapping[str, str] = field(default_factory=dict)

    @property
    def stores(self) -> tuple[str, ...]:
        """The names of its tables."""
        return tuple(table.name for table in self.tables)

    @property
    def table(self) -> Table:
        """The table of the objects themselves."""
        return self.tables[0]

    @property
    def by_month(self) -> bool:
        """Whether the stream is partitioned by court and month."""
        return self.table.by_month

    @property
    def parent(self) -> str:
        """The name of the stream that its objects hang on, "" if there is none."""
        return self.table.parent.name if self.table.parent else ""

    def members(self) -> dict[str, list[Members]]:
        """By table, the rows that belong to a partition."""
        nested = {table.name: [Members(table)] for table in self.tables[1:]}
        return {self.name: [Members(self.table, sweep.by) for sweep in self.sweeps], **nested}

    def limited_to(self, status: str) -> Stream:
        """The same stream for decisions of one precedential status only; "" for all of them."""
        if not status:
            return self
        limits = {self.status_filter: status} if self.status_filter else {}
        return replace(
            self,
            sweeps=_limited(self.sweeps, status),
            increments=_limited(self.increments, status),
            changes=_limited(self.changes, status),
            limits={**self.limits, **limits},
        )

    def docket_sweep(self, docket_id: int) -> Sweep:
        """The sweep that takes this stream's objects of a single docket of the partition's court.

        Raises SettingError if they belong to no docket.
        """
        if not self.docket_filter:
            raise SettingError(f"objects of {self.name} belong to no docket: leave docket_ids out")
        name = f"docket:{docket_id}"
        if self.docket_filter == "id":
            return replace(self.object_sweep(docket_id), name=name)
        return Sweep(name, {self.court_filter: "{court}", self.docket_filter: str(docket_id)})

    def object_sweep(self, id: int) -> Sweep:
        """The sweep that takes a single object of the partition's court; as a range: its id is then known."""
        return Sweep(f"object:{id}", {self.court_filter: "{court}", "id__lte": str(id)}, after_id=id - 1)

    @property
    def court_filter(self) -> str:
        """The query parameter that selects objects of a court."""
        [name] = [name for name, value in self.sweeps[0].filters.items() if value == "{court}"]
        return name

    def changes_of(self, *, jurisdiction: bool = False) -> tuple[Sweep, ...]:
        """The sweeps over what was modified in a court, or in all courts of a jurisdiction."""
        if not jurisdiction:
            return self.changes
        names = {self.court_filter: f"{self.court_filter}__jurisdiction"}
        return tuple(
            replace(sweep, filters={names.get(name, name): value for name, value in sweep.filters.items()})
            for sweep in self.changes
        )

    def read_page(self, objects: list[Any], partition: Selection) -> PageOfRecords:
        """Turn the objects of a page into records; an object that does not fit becomes a failure, the others stay."""
        page = PageOfRecords([])
        for body in objects:
            try:
                page.records.extend(self.read(self._complete(mapping(body)), partition))
            except UnusableRecord as error:
                page.failures.append(_failure_of(body, error))
        return page

    def _complete(self, body: Body) -> Body:
        """Return an object that has the fields that are needed; raises UnusableRecord, since null is not missing."""
        missing = [name for name in self.needs if not all(field in each for each, field in _holders(body, name))]
        if self.alternatives and not body.keys() & set(self.alternatives):
            missing.append(self.alternatives[0])
        if missing:
            raise UnusableRecord(f"{missing[0].replace('__', '.')} is missing")
        _check_values(body)
        return body


def _limited(sweeps: Sequence[Sweep], status: str) -> tuple[Sweep, ...]:
    return tuple(
        replace(sweep, filters={**sweep.filters, sweep.status_filter: status}) if sweep.status_filter else sweep
        for sweep in sweeps
    )


def all_members(streams: Sequence[Stream]) -> dict[str, list[Members]]:
    """By table of all streams, the rows that belong to a partition."""
    return {name: members for stream in streams for name, members in stream.members().items()}


def all_kinds(streams: Sequence[Stream]) -> list[DocumentKind]:
    """The kinds of documents that the streams give."""
    return [kind for stream in streams for kind in stream.kinds]


def all_tables(streams: Sequence[Stream]) -> list[str]:
    """The names of all tables that the streams store into or are dated by, in order."""
    return sorted({table for members in all_members(streams).values() for each in members for table in each.tables})


def _holders(body: Body, name: str) -> list[tuple[Body, str]]:
    """Return the objects that have a field, with its name in them: those nested in `body` if it is `outer__inner`."""
    outer, _, inner = name.partition("__")
    if not inner:
        return [(body, outer)]
    return [(mapping(each), inner) for each in objects_in(body, outer)]


def _check_values(body: Body) -> None:
    """Raise UnusableRecord for what Postgres does not take: values nested without end, and numbers that are none."""
    level: list[Any] = [body]
    for _ in range(_MOST_NESTED):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            raise UnusableRecord(
                "it has a number that cannot be stored: NaN, infinity, or one with thousands of digits"
            )
        level = [value for value in level if isinstance(value, (dict, list))]
        if not level:
            return
    raise UnusableRecord(f"it is nested more than {_MOST_NESTED} deep")


def _failure_of(body: Any, error: UnusableRecord) -> Failure:
    """Keep what can be known of an object that does not fit, so that a retry finds its docket."""
    object_id = docket_id = None
    if isinstance(body, Mapping):
        object_id = body["id"] if is_id(body.get("id")) else None
        try:
            docket_id = id_of_url(body, "docket")
        except UnusableRecord:
            docket_id = body["docket_id"] if is_id(body.get("docket_id")) else None
    return Failure(type(error).__name__, str(error), docket_id=docket_id, object_id=object_id)


# --- fields of a body; each raises UnusableRecord ---------------------------------------------------------------------


def mapping(body: Any) -> Body:
    """The object, if it is one."""
    if not isinstance(body, Mapping):
        raise UnusableRecord(f"an object of the page is {type(body).__name__}, not an object with fields")
    return body


def is_id(value: Any) -> TypeGuard[int]:
    """Whether a value can be the id of an object: a positive whole number that Postgres can hold."""
    return type(value) is int and 0 < value < 2**63


def id_in(body: Body, name: str) -> int:
    """An id."""
    value = body.get(name)
    if not is_id(value):
        raise UnusableRecord(f"{name} is {value!r:.80}, not a positive whole number")
    return value


def id_of_url(body: Body, name: str) -> int:
    """The id at the end of an address."""
    value = body.get(name)
    match = _ID_OF_URL.search(value) if isinstance(value, str) else None
    if not match or not is_id(int(match[1][:20])):
        raise UnusableRecord(f"{name} is {value!r:.80}, not the address of an object")
    return int(match[1])


def objects_in(body: Body, name: str) -> list[Body]:
    """The objects that are nested in this one; none if the field is omitted."""
    values = body.get(name) or []
    if not isinstance(values, list):
        raise UnusableRecord(f"{name} is not a list")
    return values


def text_in(body: Body, name: str) -> str | None:
    """A text, or None."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise UnusableRecord(f"{name} is {value!r:.80}, not text")
    return value


def date_in(body: Body, name: str) -> date | None:
    """A date, or None."""
    value = text_in(body, name)
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise UnusableRecord(f"{name} is {value!r:.80}, not a date") from None


def moment_in(body: Body, name: str) -> datetime | None:
    """A date and time with a zone, or None."""
    value = text_in(body, name)
    try:
        moment = datetime.fromisoformat(value) if value else None
        if moment is None or moment.tzinfo is not None:
            return moment and moment.astimezone(UTC)
    except (ValueError, OverflowError):  # In UTC it may be before the year 1 or after 9999.
        pass
    raise UnusableRecord(f"{name} is {value!r:.80}, not a date and time with a zone")


def court_in(body: Body, name: str) -> str | None:
    """The id of a court, or None."""
    value = text_in(body, name)
    if value and not _COURT_ID.fullmatch(value):
        raise UnusableRecord(f"{name} is {value!r:.80}, not the id of a court")
    return value


def dates_in(body: Body) -> dict[str, Any]:
    """The dates that most records have."""
    moments = {name: moment_in(body, name) for name in ("date_created", "date_modified")}
    return {"date_filed": date_in(body, "date_filed"), **moments}


def lists_in(body: Body, **fields: str) -> dict[str, frozenset[int]]:
    """The ids in lists of addresses, by the table that each field lists; fields that are omitted are left out."""
    return {
        table: frozenset(id_of_url({field: address}, field) for address in objects_in(body, field))
        for field, table in fields.items()
        if body.get(field) is not None
    }
