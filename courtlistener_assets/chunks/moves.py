"""Moves: which chunks that a partition's file no longer has are those of a document that is in another partition now.

Belongs here: finding them. Does not belong here: the log that names them (`change_log.py`), where the files are
(`defs/assets/vector_inputs.py`).

To a consumer `moved` means that the vector stays. So the other partition's file must either have the chunk already, or
say later what became of it: it is noted as an arrival there (`resources/records/arrivals.py`) before the document is
looked at for the last time. Whatever happens to the document after that look makes the other partition stale, and
when that one's file is made, the notes are read before the documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from courtlistener_assets.chunks.changes import RowVersions
from courtlistener_assets.chunks.document import Document, DocumentKind
from courtlistener_assets.chunks.rows import chunk_ids
from courtlistener_assets.chunks.token_counts import DEFAULT, Tokenizer
from resources.records.arrivals import Arrival
from resources.records.store import RecordStore

_DOCUMENTS_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Finds the chunks that moved away from the partition `here`.

    `other_file` names the partition of a court and date (None: no date) if it has a file. `arrivals` are the notes of
    `here`; the budget, the overlap, the tokenizer and the reserve are those that chunks are made with.
    """

    store: RecordStore
    kinds: Mapping[str, DocumentKind]
    here: str
    other_file: Callable[[str | None, date | None], str | None]
    arrivals: Iterable[Arrival] = ()
    max_tokens: int = 512
    overlap_sentences: int = 0
    tokenizer: Tokenizer = DEFAULT
    reserved: int = 0

    def mark(self, versions: RowVersions) -> None:
        """Mark them; only documents that have lost chunks are read, one at a time."""
        versions.add_arrivals(self.arrivals)
        for name, ids in versions.documents_that_lost_chunks(_DOCUMENTS_AT_ONCE):
            if kind := self.kinds.get(name):
                self._mark_documents(versions, kind, ids)

    def _mark_documents(self, versions: RowVersions, kind: DocumentKind, ids: list[int]) -> None:
        places = self.store.places(kind.table, ids).items()
        moving = {id: there for id, place in places if (there := self._elsewhere(*place))}
        lost = versions.lost_chunks(kind.name, list(moving))
        notes = self.store.arrivals.note(
            Arrival(moving[id], kind.name, id, chunk) for id, chunks in lost.items() for chunk in chunks
        )
        for id, court, day, body in self.store.bodies_in_place(kind.table, list(moving)):
            if self._elsewhere(court, day) == moving[id]:
                document = Document(kind=kind, body=body, docket_id=None, court_id=court or "")
                now = chunk_ids(
                    document,
                    max_tokens=self.max_tokens,
                    overlap_sentences=self.overlap_sentences,
                    tokenizer=self.tokenizer,
                    reserved=self.reserved,
                )
                moved = now.intersection(lost[id])
                versions.mark_moved(moved)
                notes = {chunk: number for chunk, number in notes.items() if chunk not in moved}
        self.store.arrivals.forget(list(notes.values()))

    def _elsewhere(self, court: str | None, day: date | None) -> str | None:
        there = self.other_file(court, day)
        return there if there != self.here else None
