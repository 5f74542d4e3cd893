"""Which objects belong to a partition, computed straight from the corpus: the truth that downloads are held against.

Belongs here: the rule that a partition is a court's month of filings and decisions, and how many requests it takes.
Does not belong here: any of the project's own streams; this is their independent check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date
from typing import Any

from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.pagination import PAGE_SIZE
from courtlistener_assets.devkit.simulator.shapes import Record, key_of

STREAMS = ("dockets", "clusters", "opinions", "docket_entries", "recap_documents")
#: The stream of each of the sweeps, in their order.
_SWEPT = ("dockets", "dockets", "clusters", "opinions", "docket_entries")


def months_between(first_month: str, last_month: str) -> list[str]:
    """Return months as `2024-01`, both ends included."""
    first, last = (date.fromisoformat(f"{month}-01") for month in (first_month[:7], last_month[:7]))
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [f"{first.year + (first.month - 1 + n) // 12}-{(first.month - 1 + n) % 12 + 1:02d}" for n in range(count)]


def expected(corpus: Corpus, courts: Iterable[str], first_month: str, last_month: str) -> dict[str, Any]:
    """Return what belongs to the partitions `courts` x months: `counts` and sorted `ids` by stream, and `requests`.

    `requests` is the smallest number that fetches all of it: for each sweep of each partition its rows in pages of 20,
    at least one; also by stream. Oral arguments and people are not among them.
    """
    ids: dict[str, set[int]] = {stream: set() for stream in STREAMS}
    requests: Counter[str] = Counter()
    with corpus.lock:
        for court in courts:
            for month in months_between(first_month, last_month):
                found = partition(corpus, court, month)
                for stream, rows in zip(_SWEPT, sweeps(corpus, court, month), strict=True):
                    requests[stream] += _pages(len(rows))
                for stream in STREAMS:
                    ids[stream].update(record["id"] for record in found[stream])
    return {
        "counts": {stream: len(found) for stream, found in ids.items()},
        "ids": {stream: sorted(found) for stream, found in ids.items()},
        "requests": requests.total(),
        "requests_by_stream": dict(requests),
    }


def partition(corpus: Corpus, court: str, month: str) -> dict[str, list[Record]]:
    """Return the records of one partition by stream; a docket that is both filed and decided in it comes once."""
    filed, decided, clusters, opinions, entries = sweeps(corpus, court, month)
    dockets = {docket["id"]: docket for docket in filed + decided}
    documents = [document for entry in entries for document in entry["recap_documents"]]
    return {
        "dockets": list(dockets.values()),
        "clusters": clusters,
        "opinions": opinions,
        "docket_entries": entries,
        "recap_documents": documents,
    }


def undated(corpus: Corpus, court: str) -> dict[str, list[Record]]:
    """Return the dockets of a court that have entries but no date of filing, so that no month has them, and all these
    entries and their documents, by stream."""
    dockets = {docket["id"]: docket for docket in corpus.dockets if docket["court_id"] == court}
    entries = [
        entry
        for entry in corpus.docket_entries
        if (docket := dockets.get(int(corpus.parent_key("docket-entries", "docket", entry))))
        if docket["date_filed"] is None
    ]
    filled = {corpus.parent_key("docket-entries", "docket", entry) for entry in entries}
    return {
        "dockets": [docket for key, docket in dockets.items() if key in filled],
        "docket_entries": entries,
        "recap_documents": [document for entry in entries for document in entry["recap_documents"]],
    }


def oral_arguments(corpus: Corpus, court: str, month: str) -> list[Record]:
    """Return the recordings of a court that were added in the month (UTC), by id."""
    return [
        audio
        for audio in corpus.table("audio")
        if (docket := corpus.get("dockets", key_of(audio["docket"]))) and docket["court_id"] == court
        if f"{parse_moment(audio['date_created']).astimezone(UTC):%Y-%m}" == month
    ]


def sweeps(corpus: Corpus, court: str, month: str) -> list[list[Record]]:
    """Return dockets filed, dockets decided (repeated for each decision), clusters, opinions, docket entries."""
    dockets = {docket["id"]: docket for docket in corpus.dockets if docket["court_id"] == court}
    clusters = {
        cluster["id"]: cluster
        for cluster in corpus.clusters
        if cluster["docket_id"] in dockets and cluster["date_filed"][:7] == month
    }
    filed = {key: docket for key, docket in dockets.items() if (docket["date_filed"] or "")[:7] == month}
    decided = [dockets[cluster["docket_id"]] for cluster in clusters.values()]
    opinions = [opinion for opinion in corpus.opinions if opinion["cluster_id"] in clusters]
    entries = [
        entry for entry in corpus.docket_entries if corpus.parent_key("docket-entries", "docket", entry) in filed
    ]
    return [list(filed.values()), decided, list(clusters.values()), opinions, entries]


def _pages(rows: int) -> int:
    return max(1, -(-rows // PAGE_SIZE))
