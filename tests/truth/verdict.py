"""What is stored, in Postgres and in the Parquet files, held against what should be.

Belongs here: reading both as a user would, and finding every difference. Does not belong here: what should be stored
(`oracle.py`), or any code of the product.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from courtlistener_assets.devkit.simulator.shapes import ORIGIN
from resources.connections.postgres import Database
from tests.truth.oracle import UNDATED, Place, State, marks_of, text_of
from tests.truth.world import COURTS, ENDPOINTS, MARK, Key

#: The columns that the rows of a stream need; a child's come from its stored parent.
_KEYS_OF = {
    "dockets": ("court_id", "docket_id"),
    "clusters": ("court_id", "docket_id", "cluster_id"),
    "opinions": ("court_id", "docket_id", "cluster_id"),
    "docket_entries": ("court_id", "docket_id", "docket_entry_id"),
    "recap_documents": ("court_id", "docket_id", "docket_entry_id"),
}
#: By the type of a document.
STREAMS = {"opinion": "opinions", "recap_document": "recap_documents"}


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it should be; `kind` is what the sum of a round counts it under.

    `when` is the reckoning that found it, `history` what had happened to the object until then.
    """

    kind: str
    said: str
    key: Key | None = None
    when: str = ""
    history: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {f'{self.key}: ' if self.key else ''}{self.said}"


@dataclass(frozen=True)
class Row:
    """A row of `courtlistener.records`, with the addresses of its body as the corpus writes them."""

    key: Key
    place: Place
    body: Mapping[str, Any]
    gone: bool


@dataclass
class Store:
    """All rows, and the partitions that each belongs to by its own columns and those of its stored parents."""

    rows: dict[Key, Row]
    partitions: dict[Key, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, database: Database, base_url: str, months: Iterable[str]) -> Store:
        """Read all of it; only the partitions of these months count, and those without one."""
        rows = {}
        for stream, id, court, docket, cluster, entry, filed, body, gone in database.rows(
            "SELECT stream, id, court_id, docket_id, cluster_id, docket_entry_id, date_filed, body::text, "
            "gone_at IS NOT NULL FROM courtlistener.records"
        ):
            key = Key(stream, id)
            place = Place(frozenset(), court, docket, cluster, entry, filed.isoformat() if filed else None)
            rows[key] = Row(key, place, json.loads(body.replace(base_url, ORIGIN)), gone)
        store = cls(rows)
        store._place({*months, UNDATED})
        return store

    def _place(self, wanted: set[str]) -> None:
        """As `oracle.state_of` does for the corpus, from columns alone."""
        live = [row for row in self.rows.values() if not row.gone]
        decided, with_entries = defaultdict(set), set()
        for row in live:
            if row.key.stream == "clusters":
                decided[row.place.docket_id].add((row.place.date_filed or "")[:7])
            if row.key.stream == "docket_entries":
                with_entries.add(row.place.docket_id)
        for row in live:
            docket, cluster = Key("dockets", row.place.docket_id or 0), Key("clusters", row.place.cluster_id or 0)
            above = {"opinions": cluster, "docket_entries": docket, "recap_documents": docket}.get(row.key.stream)
            dated = self.rows.get(above) if above else row
            names: set[str] = set()
            if dated and not dated.gone:
                month = (dated.place.date_filed or "")[:7]
                undated = UNDATED if dated.key.id in with_entries or row is not dated else ""
                names = {month or (undated if dated.key.stream == "dockets" else "")}
            if row.key.stream == "dockets":
                names |= decided[row.key.id]
            court = row.place.court_id
            self.partitions[row.key] = frozenset(f"{court}|{name}" for name in names & wanted if court in COURTS)


def differences_of_rows(store: Store, state: State) -> Iterator[Difference]:
    """Rows against the corpus: those of the wanted partitions field by field, and no text in one that has gone."""
    for key in sorted(store.rows.keys() | state.keys()):
        row, wanted = store.rows.get(key), state.get(key)
        place = wanted.place if wanted else Place()
        if row and row.gone:
            if place.partitions:
                yield Difference("missing", f"marked as gone, but belongs to {place}", key)
            if set(row.body) - {"id"}:
                yield Difference("dead text", f"a gone row still has {len(row.body)} fields", key)
            continue
        stored = store.partitions.get(key, frozenset())
        if not place.partitions:
            if stored:
                now = f"is in {place}" if wanted else "does not exist"
                yield Difference("ghost", f"stored in {', '.join(sorted(stored))}, but {now}", key)
        elif row is None or not stored:
            had = f"the row has court {row.place.court_id}, {row.place}" if row else "no row"
            yield Difference("missing", f"belongs to {place}; {had}", key)
        elif wanted:
            yield from _of_fields(row, stored, place, wanted.body)


def _of_fields(row: Row, stored: frozenset[str], place: Place, body: Mapping[str, Any]) -> Iterator[Difference]:
    wrong = [name for name in _KEYS_OF[row.key.stream] if getattr(row.place, name) != getattr(place, name)]
    if row.key.stream in ("dockets", "clusters") and row.place.date_filed != place.date_filed:
        wrong.append("date_filed")
    if wrong:
        said = ", ".join(f"{name} is {getattr(row.place, name)}, not {getattr(place, name)}" for name in wrong)
        yield Difference("keys", said, row.key)
    elif stored != place.partitions:
        yield Difference("keys", f"in {', '.join(sorted(stored))}, not in {place}", row.key)
    names = [name for name in sorted(row.body.keys() | body.keys()) if _differ(row.body, body, name)]
    if names:
        first = names[0]
        said = f"{', '.join(names)}: {first} is {row.body.get(first)!r:.120}, not {body.get(first)!r:.120}"
        yield Difference("unequal", said, row.key)


def _differ(stored: Mapping[str, Any], wanted: Mapping[str, Any], name: str) -> bool:
    if (name in stored) != (name in wanted):
        return True
    return bool(_sorted(stored[name]) != _sorted(wanted[name]))


def _sorted(value: Any) -> Any:
    """The order of lists is not the server's promise."""
    return sorted(json.dumps(each, sort_keys=True) for each in value) if isinstance(value, list) else value


def dead_marks_of_postgres(database: Database, state: State) -> Iterator[Difference]:
    """Marks of texts that the server no longer has, anywhere in our schema."""
    alive = marks_of(state)
    tables = database.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'courtlistener'::regnamespace AND relkind = 'r'"
    )
    for (table,) in tables:
        id = "id" if table in ENDPOINTS else "0"
        found = database.rows(
            f"SELECT DISTINCT {id}, (regexp_matches(t::text, '({MARK.pattern})', 'g'))[1] "
            f'FROM courtlistener."{table}" t'
        )
        for number, mark in sorted(found):
            if mark not in alive:
                key = Key(table, number) if table in ENDPOINTS else None
                yield Difference("dead text", f"{mark} in courtlistener.{table}", key)


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Document:
    """A document of a partition's file: its columns, and the marks in the text of its chunks."""

    partition: str
    key: Key
    marks: frozenset[str]
    columns: Mapping[str, Any]


def documents(data_dir: Path) -> list[Document]:
    """All documents of all files, those that stand in two files twice."""
    found = []
    for partition, path in chunk_files(data_dir).items():
        rows = pq.read_table(path, partitioning=None).to_pylist()
        texts: dict[Key, str] = defaultdict(str)
        columns: dict[Key, dict[str, Any]] = {}
        for row in rows:
            key = Key(STREAMS[row["doc_type"]], row["document_id"])
            texts[key] += " " + row["text"]
            columns[key] = row
        found += [Document(partition, key, frozenset(MARK.findall(texts[key])), columns[key]) for key in texts]
    return found


def chunk_files(data_dir: Path) -> dict[str, Path]:
    """The files of the partitions, `ca9|2024-02`."""
    return {partition_of(path): path for path in sorted(data_dir.glob("vector_inputs/court=*/month=*/chunks.parquet"))}


def partition_of(path: Path) -> str:
    """The partition of a file below its directory."""
    court, month = (part.partition("=")[2] for part in path.parts[-3:-1])
    return f"{court}|{month}"


def differences_of_files(data_dir: Path, state: State) -> Iterator[Difference]:
    """The documents of each partition's file against those that the corpus gives it."""
    wanted: dict[tuple[str, Key], Place] = {}
    for key, each in state.items():
        if text_of(key, each.body):
            wanted |= {(partition, key): each.place for partition in each.place.partitions}
    found = {(document.partition, document.key): document for document in documents(data_dir)}
    for partition, key in sorted(found.keys() | wanted.keys()):
        document = found.get((partition, key))
        if (partition, key) not in wanted:
            yield Difference("ghost in a file", f"in {partition}", key)
        elif document is None:
            yield Difference("missing in a file", f"not in {partition}", key)
        else:
            yield from _of_document(document, state)


def _of_document(document: Document, state: State) -> Iterator[Difference]:
    key = document.key
    marks = frozenset(MARK.findall(text_of(key, state[key].body)))
    if document.marks != marks:
        said = f"in {document.partition}: {', '.join(document.marks)} in place of {', '.join(marks)}"
        yield Difference("text in a file", said, key)
    wrong = [
        f"{name} is {document.columns[name]!r}, not {value!r}"
        for name, value in _columns(key, state).items()
        if document.columns[name] != value
    ]
    if wrong:
        yield Difference("columns in a file", f"in {document.partition}: {'; '.join(wrong)}", key)


def _columns(key: Key, state: State) -> dict[str, Any]:
    """Some columns of a document's chunks that its parents say."""
    place = state[key].place
    docket = state[Key("dockets", place.docket_id)].body
    found = {"court_id": place.court_id, "docket_id": place.docket_id, "docket_number": docket["docket_number"]}
    if key.stream == "opinions":
        cluster = state[Key("clusters", place.cluster_id or 0)].body
        status = cluster["precedential_status"]
        found |= {"cluster_id": place.cluster_id, "case_name": cluster["case_name"], "precedential_status": status}
        found |= {"date_filed": date.fromisoformat(cluster["date_filed"])}
    else:
        entry = state[Key("docket_entries", place.docket_entry_id or 0)].body
        found |= {"case_name": docket["case_name"], "date_filed": date.fromisoformat(entry["date_filed"])}
    return found


def dead_marks_of_files(data_dir: Path, state: State) -> Iterator[Difference]:
    """Marks of texts that the server no longer has, in any Parquet file."""
    alive = marks_of(state)
    for path in sorted(data_dir.rglob("*.parquet")):
        said = json.dumps(pq.read_table(path, partitioning=None).to_pylist(), default=str)
        for mark in sorted(set(MARK.findall(said)) - alive):
            yield Difference("dead text", f"{mark} in {path.relative_to(data_dir)}")
