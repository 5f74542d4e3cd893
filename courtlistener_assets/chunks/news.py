"""News: what has changed in the chunks since a consumer last looked, from the files alone.

    with changes_since("data", last_sequence) as news:
        ...  # news.to_delete(), news.to_relabel(), news.to_embed()
    last_sequence = news.sequence

Belongs here: what is read of the change log and of the dataset, in which order. Does not belong here: how several
changes of a chunk become one (`net.py`), where vectors go (`courtlistener_assets/vectors`).

The log may be behind the dataset for a moment, never the other way round. So a chunk that the log tells of may have
gone from its file already: it is left out, and a later entry says what became of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from courtlistener_assets.chunks import log_files, net
from courtlistener_assets.chunks.files import Location, location_of, opened
from courtlistener_assets.chunks.net import Net
from resources.errors import TooLate

_IDS_AT_ONCE = 1000
#: A directory that changes while it is listed may lack a file that is older than one that it has.
_LISTINGS = 3


@dataclass(frozen=True)
class Chain:
    """The numbers of the files of the log: of the compacted state (0: none), and of the entries."""

    compacted: int
    numbers: Sequence[int]

    @property
    def last(self) -> int:
        """The last number."""
        return max(self.compacted, *self.numbers[-1:], 0)

    @property
    def complete(self) -> bool:
        """Whether somebody who begins with the compacted state comes to the end."""
        return self.after(self.compacted) == self.last

    def after(self, sequence: int) -> int:
        """The last number to which somebody comes who has seen this one."""
        numbers = set(self.numbers)
        while sequence + 1 in numbers:
            sequence += 1
        return sequence


def chain(data_dir: Location) -> Chain:
    """The files of the log below `data_dir`, as they are now."""
    for _ in range(_LISTINGS):
        states = log_files.numbers(log_files.compacted_dir(data_dir))
        found = Chain(states[-1] if states else 0, log_files.numbers(log_files.log_dir(data_dir)))
        if found.complete:
            break
    return found


class News:
    """What there is to do. `sequence` is to be named the next time.

    `whole` says that everything which is there is to be embedded: then delete all that you have and `is_there` denies.
    """

    def __init__(self, data_dir: Location, todo: Net, sequence: int, *, whole: bool) -> None:
        self._data_dir, self._net = data_dir, todo
        self.sequence, self.whole = sequence, whole

    def to_delete(self) -> Iterator[list[str]]:
        """Ids of chunks that are in no file any more, or never were: delete those that you have."""
        return self._net.ids(net.DELETE, _IDS_AT_ONCE)

    def to_embed(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of the dataset to embed and to store; of some you may have a vector with this very header_hash."""
        return self._rows(net.EMBED, columns)

    def to_relabel(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of the dataset whose vectors stay, while other columns have changed; embed those that you lack."""
        return self._rows(net.RELABEL, columns)

    def is_there(self, chunk_id: str) -> bool:
        """Whether a chunk is there, if this is the whole state."""
        return self._net.todo(chunk_id) not in (None, net.DELETE)

    def counts(self) -> dict[str, int]:
        """How many chunks are to be embedded, relabelled and deleted."""
        return {todo: self._net.count(todo) for todo in (net.EMBED, net.RELABEL, net.DELETE)}

    def _rows(self, todo: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        wanted = None if columns is None else list(dict.fromkeys(["chunk_id", *columns]))
        for partition in self._net.places(todo):
            ids = pa.array(self._net.ids_in(partition, todo), pa.string())
            path = self._data_dir / "vector_inputs" / partition / "chunks.parquet"
            with suppress(FileNotFoundError), opened(path) as file:
                for batch in file.iter_batches(_IDS_AT_ONCE, columns=wanted):
                    if len(found := batch.filter(pc.is_in(batch["chunk_id"], value_set=ids))):
                        yield found


@contextmanager
def changes_since(data_dir: str | Location, sequence: int) -> Iterator[News]:
    """What has changed since the entry of this number. Begin with `whole_state`.

    Raises TooLate if the log no longer tells it, or never had this number: then begin again.
    """
    place = location_of(data_dir)
    found = chain(place)
    if found.after(sequence) != found.last:
        raise TooLate(f"the change log does not tell what came after entry {sequence}; begin with its compacted state")
    with Net.empty() as todo:
        yield News(place, todo, add_entries(todo, place, sequence, found.last), whole=False)


@contextmanager
def whole_state(data_dir: str | Location) -> Iterator[News]:
    """All chunks that are there. Raises TooLate if the log cannot be read from its beginning."""
    place = location_of(data_dir)
    with ExitStack() as opened_here:
        while True:
            found = chain(place)
            todo = opened_here.enter_context(Net.empty())
            try:
                sequence = _add_all(todo, place, found)
                break
            except TooLate:
                # Entries were compacted and deleted while they were read: the newer state has what they said.
                if chain(place).compacted <= found.compacted:
                    raise
                opened_here.close()
        yield News(place, todo, sequence, whole=True)


def _add_all(todo: Net, place: Location, found: Chain) -> int:
    """Add the compacted state and the entries behind it; returns the number of the last. Raises TooLate."""
    if not found.last:
        raise TooLate("there is no change log; the next run that makes vector inputs begins one")
    if not found.complete:
        raise TooLate(f"entry {found.after(found.compacted) + 1} of the change log is missing")
    if found.compacted:
        for batch in log_files.read(log_files.numbered(log_files.compacted_dir(place), found.compacted)):
            todo.add_state(batch)
    return add_entries(todo, place, found.compacted, found.last)


def add_entries(todo: Net, data_dir: Location, after: int, up_to: int) -> int:
    """Add the entries behind one and up to another; returns that. Raises TooLate if one is missing or damaged."""
    for sequence in range(after + 1, up_to + 1):
        for batch in log_files.read(log_files.numbered(log_files.log_dir(data_dir), sequence)):
            todo.add_entry(batch)
    return max(after, up_to)
