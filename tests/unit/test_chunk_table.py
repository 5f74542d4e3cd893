"""A partition's file holds exactly its rows, changes only when they do, and says what changed."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.chunks import log_files
from courtlistener_assets.chunks import table as chunk_table
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.changes import Diff
from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.table import SCHEMA
from courtlistener_assets.download.streams import OPINION
from resources.errors import UnusableRecord
from tests.chunk_rows import rows_of
from tests.numbers_in_memory import log_in_memory

# fmt: off
DESIGNED_COLUMNS = [
    "chunk_id", "content_hash", "text", "context_header", "header_hash", "header_token_count", "char_start",
    "char_end", "token_count", "tokenizer", "chunk_index", "chunk_count", "previous_chunk_id", "next_chunk_id",
    "page_start", "page_end", "headings", "is_footnote", "footnotes", "quality", "doc_type", "document_id",
    "docket_id", "cluster_id", "opinion_id", "recap_document_id", "court_id", "case_name", "docket_number",
    "date_filed", "opinion_type", "author_id", "precedential_status", "citations", "cites", "cites_clusters",
    "text_source", "ocr", "source_sha1", "source_date_modified", "absolute_url", "chunker_version",
    "cleaner_version", "is_duplicate_of", "duplicate_kind",
]
# fmt: on


def rows(texts: dict[int, str], **changes: Any) -> list[dict[str, Any]]:
    found = []
    for number, text in texts.items():
        body = {"id": number, "plain_text": text, "date_modified": "2026-01-01T00:00:00Z"}
        document = Document(
            kind=OPINION, body=body, docket_id=1, court_id="ca9", date_filed=dt.date(2024, 1, 2), **changes
        )
        found += rows_of(document)
    return found


LOGS: dict[Path, ChangeLog] = {}


def write_partition(rows: Any, path: Path, **options: Any) -> Diff:
    """With a change log, which is kept two directories above, as if the path were that of a dataset."""
    log = LOGS.setdefault(path, log_in_memory(path.parents[1]))
    return chunk_table.write_partition(rows, path, telling=log.telling(path), **options)


def changes_of(path: Path) -> dict[str, str]:
    """What the last entry of the log says."""
    directory = log_files.log_dir(path.parents[1])
    table = pq.read_table(log_files.numbered(directory, log_files.numbers(directory)[-1])).to_pydict()
    return dict(zip(table["chunk_id"], table["change"], strict=True))


def tokens(rows: list[dict[str, Any]]) -> int:
    return sum(row["token_count"] for row in rows)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ca9" / "2024-01.parquet"


def test_the_columns_are_the_designed_ones_with_their_types() -> None:
    assert SCHEMA.names == DESIGNED_COLUMNS
    kinds = {name: str(SCHEMA.field(name).type) for name in SCHEMA.names}
    assert {name for name, kind in kinds.items() if kind == "int64"} == {
        "char_start",
        "char_end",
        "docket_id",
        "document_id",
        "cluster_id",
        "opinion_id",
        "recap_document_id",
        "author_id",
    }
    assert {name for name, kind in kinds.items() if kind == "int32"} == {
        "header_token_count",
        "token_count",
        "chunk_index",
        "chunk_count",
    }
    assert kinds["date_filed"] == "date32[day]"
    assert kinds["source_date_modified"] == "timestamp[us, tz=UTC]"
    assert kinds["citations"] == kinds["cites"] == kinds["headings"] == "list<item: string>"
    assert kinds["cites_clusters"] == "list<item: int64>"
    assert kinds["footnotes"] == "list<item: struct<label: string not null, cited_in: string>>"
    assert all((SCHEMA.field(name).metadata or {}).get(b"description") for name in SCHEMA.names)


def test_the_documentation_names_every_column_once() -> None:
    page = (Path(__file__).parents[2] / "docs" / "vector-inputs.md").read_text("utf-8")
    table = page[page.index("| columns | meaning |") :].split("\n\n", 1)[0]
    named = [name for line in table.splitlines() for name in re.findall("`(\\w+)`", line.split("|")[1])]
    assert sorted(named) == sorted(SCHEMA.names)


def test_a_row_has_exactly_the_columns_of_the_schema() -> None:
    assert set(rows({1: "Text."})[0]) == set(SCHEMA.names)


def test_a_file_holds_its_rows(path: Path) -> None:
    expected = rows({1: "First.", 2: "Second § ¶ “é”."}, citations=("1 F. 2",))
    diff = write_partition(expected, path)
    assert diff == Diff(added=2, removed=0, unchanged=0, added_tokens=tokens(expected))
    assert pq.read_table(path).to_pylist() == expected
    assert pq.read_schema(path).equals(SCHEMA)
    assert pq.ParquetFile(path).metadata.row_group(0).column(2).compression == "ZSTD"
    assert changes_of(path) == {row["chunk_id"]: "added" for row in expected}


def test_an_unchanged_partition_is_not_written_again(path: Path) -> None:
    write_partition(rows({1: "First.", 2: "Second."}), path)
    before = [(file.name, file.stat().st_mtime_ns, file.stat().st_ino) for file in sorted(path.parent.iterdir())]
    diff = write_partition(rows({2: "Second.", 1: "First."}), path)
    assert diff == Diff(added=0, removed=0, unchanged=2, written=False)
    assert not diff
    after = [(file.name, file.stat().st_mtime_ns, file.stat().st_ino) for file in sorted(path.parent.iterdir())]
    assert after == before


def test_the_difference_names_what_came_what_went_and_what_only_has_new_metadata(path: Path) -> None:
    old = rows({1: "First.", 2: "Second.", 3: "Third."})
    write_partition(old, path)
    new = [*rows({1: "First."}), *rows({2: "Second."}, case_name="Doe v. Roe"), *rows({4: "Fourth."})]
    diff = write_partition(new, path)
    first, second, fourth = (row["chunk_id"] for row in new)
    third = old[2]["chunk_id"]
    assert first == old[0]["chunk_id"]
    assert diff == Diff(added=1, removed=1, unchanged=1, reembed=1, added_tokens=tokens(new[1:]))
    assert diff.rows == 3
    assert changes_of(path) == {fourth: "added", third: "removed", second: "reembed"}
    assert pq.read_table(path).to_pylist() == new


def test_a_document_that_is_gone_leaves_the_file(path: Path) -> None:
    old = rows({1: "First."})
    write_partition(old, path)
    diff = write_partition([], path)
    assert diff == Diff(added=0, removed=1, unchanged=0)
    assert changes_of(path) == {old[0]["chunk_id"]: "removed"}
    assert pq.read_table(path).num_rows == 0


def test_a_partition_without_rows_is_an_empty_file(path: Path) -> None:
    assert write_partition(iter(()), path) == Diff(added=0, removed=0, unchanged=0)
    assert pq.read_table(path).schema.equals(SCHEMA)
    assert write_partition(iter(()), path).written is False


def test_rows_that_fail_half_way_leave_the_old_file_and_no_other(path: Path) -> None:
    old = rows({1: "First."})
    write_partition(old, path)

    def failing() -> Iterator[dict[str, Any]]:
        yield from rows({2: "Second."})
        raise RuntimeError("the store went away")

    with pytest.raises(RuntimeError, match="the store went away"):
        write_partition(failing(), path)
    assert pq.read_table(path).to_pylist() == old
    assert list(path.parent.iterdir()) == [path]


def test_two_rows_with_one_id_are_refused(path: Path) -> None:
    with pytest.raises(UnusableRecord, match="same chunk id"):
        write_partition([*rows({1: "First."}), *rows({1: "First."})], path)
    assert not path.exists()


def test_a_row_that_does_not_fit_the_schema_is_refused(path: Path) -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        write_partition([rows({1: "First."})[0] | {"docket_id": "one"}], path)
    assert not path.exists()


def test_a_file_that_cannot_be_read_counts_as_absent(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"PAR1 half a file")
    new = rows({1: "First."})
    assert write_partition(new, path) == Diff(added=1, removed=0, unchanged=0, added_tokens=tokens(new))


def test_a_file_that_can_be_read_in_part_counts_as_absent_as_a_whole(path: Path) -> None:
    new = rows({number: f"Text {number}." for number in range(1, 7)})
    path.parent.mkdir()
    old = [*new[1:5], new[0] | {"chunk_id": "no id of ours"}]
    pq.write_table(pa.Table.from_pylist(old, SCHEMA), path, row_group_size=2)
    assert write_partition(new, path) == Diff(added=6, removed=0, unchanged=0, added_tokens=tokens(new))
    assert set(changes_of(path).values()) == {"added"}
    assert pq.read_table(path).to_pylist() == new


def damaged(content: bytes, chance: random.Random) -> bytes:
    """One to 400 bytes replaced by others, somewhere."""
    start, length = chance.randrange(len(content)), chance.choice((1, chance.randrange(2, 400)))
    end = min(len(content), start + length)
    noise = bytes(byte ^ chance.randrange(1, 256) for byte in content[start:end])
    return content[:start] + noise + content[end:]


def test_no_damage_to_a_local_file_fails_the_run_or_stays_in_its_texts(path: Path) -> None:
    new = rows({number: f"Text number {number} of the court." for number in range(60)})
    chunk_table.write_partition(new, path, rows_a_group=20, metadata={"max_tokens": "512"})
    intact, chance, rewritten = path.read_bytes(), random.Random(6), 0
    for _ in range(150):
        path.write_bytes(damaged(intact, chance))
        rewritten += chunk_table.write_partition(new, path, rows_a_group=20, metadata={"max_tokens": "512"}).written
        assert pq.read_table(path).to_pylist() == new
    assert rewritten > 100


def test_rows_are_taken_as_they_are_written_and_not_before(path: Path) -> None:
    ready = rows({number: f"Text {number}." for number in range(100)})
    alive: list[int] = []

    class Row(dict[str, Any]):
        def __del__(self) -> None:
            alive.append(-1)

    def counted() -> Iterator[dict[str, Any]]:
        for row in ready:
            alive.append(1)
            assert sum(alive) <= 25
            yield Row(row)

    diff = write_partition(counted(), path, rows_a_group=10)
    assert diff.added == 100
    assert pq.ParquetFile(path).metadata.num_row_groups == 10


@given(
    st.dictionaries(st.integers(1, 9), st.sampled_from(["A.", "B.", "C."])),
    st.dictionaries(st.integers(1, 9), st.sampled_from(["A.", "B.", "C."])),
)
@settings(max_examples=40, deadline=None)
def test_the_difference_always_leads_from_the_old_ids_to_the_new(
    tmp_path_factory: pytest.TempPathFactory, old: dict[int, str], new: dict[int, str]
) -> None:
    path = tmp_path_factory.mktemp("data") / "court" / "month" / "p.parquet"
    write_partition(rows(old), path)
    before = {row["chunk_id"] for row in rows(old)}
    diff = write_partition(rows(new), path)
    changed = changes_of(path) if diff.written else {}
    added, removed = ({id for id, change in changed.items() if change == kind} for kind in ("added", "removed"))
    assert (before - removed) | added == {row["chunk_id"] for row in rows(new)}
    assert removed <= before
    assert before.isdisjoint(added)
    assert (diff.added, diff.removed) == (len(added), len(removed))
    assert diff.rows == len(rows(new)) == pq.read_table(path).num_rows
