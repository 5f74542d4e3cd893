"""The API's streams as data: which endpoint, which sweeps make up a partition, and how an object becomes records.

Belongs here: everything that differs between streams; to add one, add it to STREAMS. Does not belong here: sending
requests (`resources/courtlistener/client.py`), walking a sweep (`sweep.py`), storing (`resources/records/store.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeGuard

from courtlistener_assets.download.partitions import Selection
from resources.errors import UnusableRecord
from resources.records.model import Failure, PageOfRecords, Record

Body = Mapping[str, Any]
_ID_OF_URL = re.compile(r"/(\d+)/?(?:\?.*)?$")


@dataclass(frozen=True)
class Sweep:
    """One walk by id over an endpoint; the values of `filters` may use {court}, {first_day} and {next_month}.

    It begins behind the id `after_id`.
    """

    name: str
    filters: Mapping[str, str]
    after_id: int = 0

    def params(self, partition: Selection) -> dict[str, str]:
        """The query parameters that select this sweep's objects for a partition."""
        return {name: template.format(**partition.filter_values) for name, template in self.filters.items()}

    def part(self, after_id: int, up_to_id: int) -> Sweep:
        """The part of this sweep above `after_id` up to `up_to_id`, a sweep of its own."""
        return Sweep(f"{self.name}:{after_id}-{up_to_id}", {**self.filters, "id__lte": str(up_to_id)}, after_id)


@dataclass(frozen=True)
class Stream:
    """One endpoint whose objects become one asset.

    `read` turns one object of the API into its records: the object itself first, then what comes nested in it.
    """

    name: str
    endpoint: str
    description: str
    sweeps: tuple[Sweep, ...]
    docket_filter: str
    read: Callable[[Body, Selection], Iterator[Record]]
    stores: tuple[str, ...]
    omit: tuple[str, ...] = ()

    def docket_sweep(self, docket_id: int) -> Sweep:
        """The sweep that takes this stream's objects of a single docket of the partition's court."""
        name, of_court = f"docket:{docket_id}", {self.court_filter: "{court}"}
        if self.docket_filter == "id":  # As a range, within which the way around a broken page is short.
            return Sweep(name, {**of_court, "id__lte": str(docket_id)}, after_id=docket_id - 1)
        return Sweep(name, {**of_court, self.docket_filter: str(docket_id)})

    @property
    def court_filter(self) -> str:
        """The query parameter that selects objects of a court."""
        [name] = [name for name, value in self.sweeps[0].filters.items() if value == "{court}"]
        return name

    def range_sweep(self, name: str, after_id: int, up_to_id: int) -> Sweep:
        """The part of a sweep above `after_id` up to `up_to_id`; raises KeyError if there is no such sweep."""
        return {sweep.name: sweep for sweep in self.sweeps}[name].part(after_id, up_to_id)

    def read_page(self, objects: list[Any], partition: Selection) -> PageOfRecords:
        """Turn the objects of a page into records; an object that does not fit becomes a failure, the others go on."""
        page = PageOfRecords([])
        for body in objects:
            try:
                page.records.extend(self.read(_mapping(body), partition))
            except UnusableRecord as error:
                page.failures.append(_failure_of(body, error))
        return page


def _docket(body: Body, partition: Selection) -> Iterator[Record]:
    id = _id(body, "id")
    yield Record("dockets", id, body, docket_id=id, court_id=_text(body, "court_id") or partition.court, **_dates(body))


def _cluster(body: Body, partition: Selection) -> Iterator[Record]:
    id = _id(body, "id")
    yield Record(
        "clusters",
        id,
        body,
        docket_id=_id(body, "docket_id"),
        cluster_id=id,
        court_id=partition.court,
        **_dates(body),
        replaces=_merged_ids(body),
    )


def _merged_ids(body: Body) -> tuple[int, ...]:
    """The ids of the clusters that were merged into this one."""
    redirections = body.get("cluster_redirections") or []
    if not isinstance(redirections, list):
        raise UnusableRecord("cluster_redirections is not a list")
    return tuple(_id(_mapping(each), "deleted_cluster_id") for each in redirections)


def _opinion(body: Body, partition: Selection) -> Iterator[Record]:
    cluster_id = _id(body, "cluster_id")
    yield Record("opinions", _id(body, "id"), body, cluster_id=cluster_id, court_id=partition.court, **_dates(body))


def _docket_entry(body: Body, partition: Selection) -> Iterator[Record]:
    """The entry without its documents, then every document as a record of its own: by itself it names no docket."""
    id, docket_id = _id(body, "id"), _id_of_url(body, "docket")
    documents = body.get("recap_documents") or []
    if not isinstance(documents, list):
        raise UnusableRecord("recap_documents is not a list")
    entry = {name: value for name, value in body.items() if name != "recap_documents"}
    keys: dict[str, Any] = {"docket_id": docket_id, "docket_entry_id": id, "court_id": partition.court}
    yield Record("docket_entries", id, entry, **keys, **_dates(body))
    for document in documents:
        document = _mapping(document)
        dates = {**_dates(document), "date_filed": _date(body, "date_filed")}
        yield Record("recap_documents", _id(document, "id"), document, **keys, **dates)


STREAMS: tuple[Stream, ...] = (
    Stream(
        name="dockets",
        endpoint="dockets",
        description="Dockets filed in the month, and the dockets of all decisions dated in it. Dockets made from "
        "scraped opinions often have no `date_filed`; the second sweep finds them.",
        sweeps=(
            Sweep("filed", {"court": "{court}", "date_filed__gte": "{first_day}", "date_filed__lt": "{next_month}"}),
            Sweep(
                "decided",
                {
                    "court": "{court}",
                    "clusters__date_filed__gte": "{first_day}",
                    "clusters__date_filed__lt": "{next_month}",
                },
            ),
        ),
        docket_filter="id",
        read=_docket,
        stores=("dockets",),
    ),
    Stream(
        name="clusters",
        endpoint="clusters",
        description="Decisions (opinion clusters) dated in the month.",
        sweeps=(
            Sweep(
                "dated",
                {"docket__court": "{court}", "date_filed__gte": "{first_day}", "date_filed__lt": "{next_month}"},
            ),
        ),
        docket_filter="docket",
        read=_cluster,
        stores=("clusters",),
    ),
    Stream(
        name="opinions",
        endpoint="opinions",
        description="Opinions, with their text, of the decisions dated in the month.",
        sweeps=(
            Sweep(
                "dated",
                {
                    "cluster__docket__court": "{court}",
                    "cluster__date_filed__gte": "{first_day}",
                    "cluster__date_filed__lt": "{next_month}",
                },
            ),
        ),
        docket_filter="cluster__docket",
        read=_opinion,
        stores=("opinions",),
    ),
    Stream(
        name="docket_entries",
        endpoint="docket-entries",
        description="Entries of the dockets filed in the month; their RECAP documents are records of their own.",
        sweeps=(
            Sweep(
                "filed",
                {
                    "docket__court": "{court}",
                    "docket__date_filed__gte": "{first_day}",
                    "docket__date_filed__lt": "{next_month}",
                },
            ),
        ),
        docket_filter="docket",
        read=_docket_entry,
        stores=("docket_entries", "recap_documents"),
    ),
)


def _failure_of(body: Any, error: UnusableRecord) -> Failure:
    """Keep what can be known of an object that does not fit, so that a retry finds its docket."""
    object_id = docket_id = None
    if isinstance(body, Mapping):
        object_id = body["id"] if is_id(body.get("id")) else None
        try:
            docket_id = _id_of_url(body, "docket")
        except UnusableRecord:
            docket_id = body["docket_id"] if is_id(body.get("docket_id")) else None
    return Failure(type(error).__name__, str(error), docket_id=docket_id, object_id=object_id)


def _mapping(body: Any) -> Body:
    if not isinstance(body, Mapping):
        raise UnusableRecord(f"an object of the page is {type(body).__name__}, not an object with fields")
    return body


def is_id(value: Any) -> TypeGuard[int]:
    """Whether a value can be the id of an object: a positive whole number that Postgres can hold."""
    return type(value) is int and 0 < value < 2**63


def _id(body: Body, name: str) -> int:
    value = body.get(name)
    if not is_id(value):
        raise UnusableRecord(f"{name} is {value!r:.80}, not a positive whole number")
    return value


def _id_of_url(body: Body, name: str) -> int:
    value = body.get(name)
    match = _ID_OF_URL.search(value) if isinstance(value, str) else None
    if not match or not is_id(int(match[1][:20])):
        raise UnusableRecord(f"{name} is {value!r:.80}, not the address of an object")
    return int(match[1])


def _text(body: Body, name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise UnusableRecord(f"{name} is {value!r:.80}, not text")
    return value


def _date(body: Body, name: str) -> date | None:
    value = _text(body, name)
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise UnusableRecord(f"{name} is {value!r:.80}, not a date") from None


def _moment(body: Body, name: str) -> datetime | None:
    value = _text(body, name)
    try:
        moment = datetime.fromisoformat(value) if value else None
    except ValueError:
        moment = None
    if value and (moment is None or moment.tzinfo is None):
        raise UnusableRecord(f"{name} is {value!r:.80}, not a date and time with a zone")
    return moment


def _dates(body: Body) -> dict[str, Any]:
    return {"date_filed": _date(body, "date_filed"), "date_modified": _moment(body, "date_modified")}
