"""Follow the change log: a vector store becomes equal to the dataset, and stays so.

Belongs here: what is done about each kind of change, and in which order. Does not belong here: the store (`store.py`),
the log (`chunks/news.py`).

What is gone is deleted first: it may be sealed. How far the store has come is remembered last, so that whoever is
killed in between does the same once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pyarrow as pa

from courtlistener_assets.chunks.changes import header_digest
from courtlistener_assets.chunks.files import Location
from courtlistener_assets.chunks.news import News, changes_since, whole_state
from courtlistener_assets.vectors.store import Position, Row, Vector, VectorStore
from resources.errors import SettingError, TooLate

#: Texts -> their vectors, as lists or as an array of two dimensions.
Embed = Callable[[list[str]], Any]
_TEXTS_AT_ONCE = 256


@dataclass
class Followed:
    """What was done. `sequence` is the last entry of the change log; `whole` says that it was read anew."""

    sequence: int = 0
    whole: bool = False
    embedded: int = 0
    relabelled: int = 0
    deleted: int = 0


def embed_function(setting: str) -> Embed:
    """The function `module:function`; raises SettingError."""
    module, _, function = setting.partition(":")
    try:
        found: Embed = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise SettingError(f"COURTLISTENER_EMBED={setting!r} cannot be imported: {error}") from error
    return found


def follow(
    store: VectorStore, data_dir: Location, embed: Embed, embedded_by: str, renew: Callable[[str], None]
) -> Followed:
    """Make the store equal to the dataset. `embedded_by` names the function: another one makes all vectors anew.

    So are those of which is not known what made them. `renew` begins a new change log, if it can be read from no point
    on. Raises TooLate if that does not help.
    """
    position = store.position()
    if not position or position.embedded_by != embedded_by:
        # Who is killed from here on leaves vectors of which nobody else may say that they are its own.
        store.remember(Position(0, ""))
        for ids in store.chunk_ids():
            store.delete(ids)
        store.remember(position := Position(0, embedded_by))
    with _news(data_dir, position, renew) as news:
        done = Followed(news.sequence, news.whole)
        for ids in _gone(news, store):
            store.delete(ids)
            done.deleted += len(ids)
        for batch in news.to_relabel():
            _apply(store, batch, embed, done)
        for batch in news.to_embed():
            _apply(store, batch, embed, done)
        store.remember(Position(news.sequence, embedded_by))
    return done


@contextmanager
def _news(data_dir: Location, position: Position, renew: Callable[[str], None]) -> Iterator[News]:
    """What there is to do: since the position, or else everything, in a new log if need be."""
    with ExitStack() as opened:
        try:
            if not position.sequence:
                raise TooLate
            news = opened.enter_context(changes_since(data_dir, position.sequence))
        except TooLate:
            try:
                news = opened.enter_context(whole_state(data_dir))
            except TooLate as error:
                renew(str(error))
                news = opened.enter_context(whole_state(data_dir))
        yield news


def _gone(news: News, store: VectorStore) -> Iterator[list[str]]:
    """Ids that are in the store and in no file."""
    if not news.whole:
        yield from news.to_delete()
        return
    for ids in store.chunk_ids():
        if gone := [id for id in ids if not news.is_there(id)]:
            yield gone


def _apply(store: VectorStore, batch: pa.RecordBatch, embed: Embed, done: Followed) -> None:
    """Store chunks; those whose header is that of their vector keep it."""
    rows = [_row(row) for row in batch.to_pylist()]
    known = store.header_hashes([row["chunk_id"] for row in rows])
    labels = [row for row in rows if known.get(row["chunk_id"]) == row["header_hash"]]
    store.relabel(labels)
    done.relabelled += len(labels)
    new = [row for row in rows if known.get(row["chunk_id"]) != row["header_hash"]]
    for start in range(0, len(new), _TEXTS_AT_ONCE):
        group = new[start : start + _TEXTS_AT_ONCE]
        store.put(group, _vectors(embed([f"{row['context_header']}\n{row['text']}" for row in group]), len(group)))
        done.embedded += len(group)


def _row(row: dict[str, Any]) -> Row:
    in_json = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
    return {**in_json, "header_hash": header_digest(row["context_header"]).hex()}


def _vectors(made: Iterable[Iterable[float]], count: int) -> Sequence[Vector]:
    vectors = [[float(number) for number in vector] for vector in made]
    if len(vectors) != count:
        raise SettingError(f"COURTLISTENER_EMBED: {count} texts gave {len(vectors)} vectors")
    return vectors
