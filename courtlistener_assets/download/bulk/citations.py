"""The citation map of a bootstrap: the rows that were kept, into the store.

Belongs here: going on in the middle. Does not belong here: which rows are kept (`passes.py`), SQL
(`resources/records/citation_map.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from courtlistener_assets.download.bulk.ids import ids_of
from courtlistener_assets.download.bulk.tables import OPINIONS
from courtlistener_assets.download.bulk.work import Progress, Workshop
from resources.records.citation_map import CitationMap

CITATION_MAP = "citation-map"
CITING, CITED, DEPTH = "citing_opinion_id", "cited_opinion_id", "depth"
_STEP = "store citation-map"
_AT_ONCE = 10_000


def store_citations(work: Workshop, store: CitationMap, *, as_of: datetime) -> Iterator[Progress]:
    """Store what was not stored yet, a file of rows in a transaction; yields how far it is.

    A run that is killed stores the file again that it was at, which changes nothing.
    """
    progress, parts = work.progress(_STEP), work.progress(CITATION_MAP).parts
    if progress.done:
        return
    for number in range(progress.parts, parts):
        stored = store.store(_citations(work, number), as_of=as_of)
        progress = Progress(None, number + 1, 0, progress.kept + stored)
        work.keep(_STEP, progress)
        yield progress
    store.forget_older(_opinions(work), as_of=as_of)
    work.keep(_STEP, Progress(None, parts, 0, progress.kept, done=True))


def _citations(work: Workshop, number: int) -> Iterator[tuple[str, str, str]]:
    for rows in work.part(CITATION_MAP, number).iter_batches(_AT_ONCE, columns=[CITING, CITED, DEPTH]):
        yield from zip(*(column.to_pylist() for column in rows.columns), strict=True)


def _opinions(work: Workshop) -> Iterator[int]:
    for rows in work.columns(OPINIONS.name, ["id"]):
        yield from ids_of(rows.column("id")).tolist()
