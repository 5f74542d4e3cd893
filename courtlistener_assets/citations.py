"""Citations: which cases, statutes and articles a chunk cites.

Belongs here: calling eyecite, and not calling it again for a text whose citations are known. Does not belong here: the
case's own citations (`chunk_document.py`).

eyecite reads some 50,000 characters a second, hundreds of times less than everything else reads, so it is an option.
The file of the last time is its cache: what is known of a text, by its content_hash, is taken from there.
"""

from __future__ import annotations

import bisect
from array import array
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from courtlistener_assets.chunk_files import Location, opened
from resources.errors import SettingError

#: In the metadata of a file: what found its citations.
FINDER = "citation_finder"


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
    """The citations that a file of chunks has, by content_hash; about 200 bytes a chunk in memory."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._cites: list[pa.Array[Any]] = []
        self._starts = array("q")
        self._count = 0

    @classmethod
    def read(cls, location: Location, finder: str) -> KnownCitations:
        """What the file at `location` knows; nothing if there is none, or another finder has made it."""
        known = cls()
        try:
            with opened(location) as source, pq.ParquetFile(source) as file:
                if (file.metadata.metadata or {}).get(FINDER.encode()) == finder.encode():
                    for batch in file.iter_batches(columns=["content_hash", "cites"]):
                        known._add(batch)
        except (FileNotFoundError, pa.ArrowInvalid):
            return cls()
        return known

    def _add(self, batch: pa.RecordBatch) -> None:
        for place, content_hash in enumerate(batch.column("content_hash").to_pylist(), self._count):
            self._places[_key(str(content_hash))] = place
        self._cites.append(batch.column("cites"))
        self._starts.append(self._count)
        self._count += len(batch)

    def of(self, content_hash: str) -> list[str] | None:
        """The citations of the text with this hash; None if they are not known."""
        place = self._places.get(_key(content_hash))
        if place is None:
            return None
        batch = bisect.bisect_right(self._starts, place) - 1
        cites: list[str] | None = self._cites[batch][place - self._starts[batch]].as_py()
        return cites


def _key(content_hash: str) -> int:
    return int(content_hash[:16], 16)
