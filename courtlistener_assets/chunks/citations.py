"""Citations: which cases, statutes and articles a chunk cites, and which of the cases are stored.

Belongs here: calling eyecite, not calling it again for a text whose citations are known, and choosing among the stored
clusters that have a citation. Does not belong here: the case's own citations (`document.py`), SQL.

eyecite reads some 50,000 characters a second, hundreds of times less than everything else reads, so it is an option.
The file of the last time is its cache: what is known of a text, by its content_hash, is taken from there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from courtlistener_assets.chunks.document import Document, id_of
from courtlistener_assets.chunks.files import Location, opened, unreadable
from courtlistener_assets.chunks.scratch import scratch_tables
from resources.errors import SettingError

#: In the metadata of a file: what found its citations.
FINDER = "citation_finder"
_ROWS_AT_ONCE = 8192
#: Rows whose citations are looked up at once.
_LOOKED_UP = 500
_SCHEMA = "CREATE TABLE known (content_hash TEXT PRIMARY KEY, cites TEXT NOT NULL) WITHOUT ROWID"


Row = dict[str, Any]


@dataclass(frozen=True)
class CitedCluster:
    """A stored cluster that has a citation, and the ids of its opinions."""

    id: int
    opinions: frozenset[int]


FindClusters = Callable[[Sequence[str]], Mapping[str, Sequence[CitedCluster]]]


def with_citations(
    documents: Iterable[tuple[Document, list[Row]]],
    find_citations: Callable[[str, str], list[str]],
    find_clusters: FindClusters | None,
) -> Iterator[tuple[Document, list[Row]]]:
    """The same documents and rows with `cites` and, with `find_clusters`, `cites_clusters`; some hundred at a time."""
    waiting: list[tuple[Document, list[Row]]] = []
    for document, rows in documents:
        for row in rows:
            row["cites"] = find_citations(row["text"], row["content_hash"])
        waiting.append((document, rows))
        if find_clusters is None or sum(len(rows) for _, rows in waiting) >= _LOOKED_UP:
            yield from _resolved(waiting, find_clusters)
            waiting = []
    yield from _resolved(waiting, find_clusters)


def _resolved(
    documents: list[tuple[Document, list[Row]]], find_clusters: FindClusters | None
) -> list[tuple[Document, list[Row]]]:
    cited = sorted({citation for _, rows in documents for row in rows for citation in row["cites"]})
    if find_clusters and documents:
        clusters = find_clusters(cited) if cited else {}
        for document, rows in documents:
            listed = document.body.get("opinions_cited")
            opinions = {id_of(each) for each in listed} if isinstance(listed, list) else set()
            for row in rows:
                found = (_cluster_of(clusters.get(citation, ()), opinions) for citation in row["cites"])
                distinct = dict.fromkeys(id for id in found if id not in (None, document.cluster_id))
                row["cites_clusters"] = list(distinct)
    return documents


def _cluster_of(clusters: Sequence[CitedCluster], opinions: set[int | None]) -> int | None:
    """The only cluster with a citation. Of several, as where a page has many short orders, the one that is listed, too.

    `opinions` are those that CourtListener lists as cited by the same document.
    """
    if len(clusters) > 1:
        clusters = [cluster for cluster in clusters if not cluster.opinions.isdisjoint(opinions)]
    return clusters[0].id if len(clusters) == 1 else None


class CitationFinder:
    """Finds citations with eyecite, unless `known` has them. Raises SettingError if eyecite is not installed."""

    def __init__(self, known: KnownCitations | None = None) -> None:
        self.name = finder_name()
        self._known = known
        self.texts_read = 0

    def __call__(self, text: str, content_hash: str) -> list[str]:
        """The citations of a chunk, each once, in the order of the text and in the reporters' standard abbreviations.

        Short forms ("Id.", "540 U.S., at 620") are left out: they say nothing without the text before them.
        """
        known = self._known.of(content_hash) if self._known else None
        if known is not None:
            return known
        self.texts_read += 1
        return find(text)


def finder_name() -> str:
    """The finder and its version, such as `eyecite 2.7.8`; raises SettingError if it is not installed."""
    try:
        return f"eyecite {version('eyecite')}"
    except ImportError:
        raise SettingError("find_citations needs the package eyecite, which is not installed") from None


def find(text: str) -> list[str]:
    """The citations in a text. eyecite needs them on one line, so white space counts as one space."""
    from eyecite import get_citations
    from eyecite.models import FullCaseCitation, FullJournalCitation, FullLawCitation

    found = get_citations(" ".join(text.split()))
    full: Any = (FullCaseCitation, FullLawCitation, FullJournalCitation)
    return list(dict.fromkeys(each.corrected_citation() for each in found if isinstance(each, full)))


class KnownCitations:
    """The citations that a file of chunks has, by content_hash, on disk."""

    def __init__(self, table: sqlite3.Connection) -> None:
        self._table = table

    @classmethod
    @contextmanager
    def of_file(cls, location: Location, finder: str) -> Iterator[KnownCitations]:
        """What the file at `location` knows; nothing if there is none, or another finder made it."""
        with scratch_tables(_SCHEMA) as table:
            with suppress(*unreadable(location)), opened(location) as file:
                if (file.metadata.metadata or {}).get(FINDER.encode()) == finder.encode():
                    for batch in file.iter_batches(_ROWS_AT_ONCE, columns=["content_hash", "cites"]):
                        known = zip(batch["content_hash"].to_pylist(), batch["cites"].to_pylist(), strict=True)
                        table.executemany(
                            "INSERT OR IGNORE INTO known VALUES (?, ?)",
                            ((content_hash, json.dumps(cites)) for content_hash, cites in known),
                        )
            yield cls(table)

    def of(self, content_hash: str) -> list[str] | None:
        """The citations of the text with this hash; None if they are not known."""
        row = self._table.execute("SELECT cites FROM known WHERE content_hash = ?", [content_hash]).fetchone()
        cites: list[str] | None = json.loads(row[0]) if row else None
        return cites
