"""Memory that the way from documents to a file takes does not depend on how many documents a partition has."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.report import read_report
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.chunks.table import write_partition
from courtlistener_assets.download.streams import OPINION

TOKENS = 16
ROWS_A_GROUP = 256
#: Few words: counts of words are remembered for the whole process.
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
#: What may be left of a chunk when it is written, such as its share of the file's footer, and of the small objects that
#: Python keeps for the next ones. Its id alone, kept in a list, takes more than twice as much.
BYTES_A_CHUNK = 32


def documents(count: int, last_word: str) -> Iterator[Document]:
    """So many opinions of a few chunks each; half of them repeat another one's text, every tenth has none."""
    for id in range(1, count + 1):
        number = " ".join(DIGITS[int(digit)] for digit in str(id // 2))
        text = " ".join(f"Of {number} locks the county built {part} {last_word}." for part in DIGITS[:6])
        text = text if id % 10 else ""
        body = {"id": id, "plain_text": text, "sha1": f"sha1-{id}"}
        yield Document(kind=OPINION, body=body, docket_id=id, court_id="ca9", case_name=f"Case {number}")


def peaks(count: int, path: Path, last_word: str) -> tuple[int, int, int]:
    """The rows of a partition, and the most bytes that Python and Arrow had allocated for it while it was made."""
    arrow_before, arrow = pa.total_allocated_bytes(), 0

    def watched() -> Iterator[dict[str, object]]:
        nonlocal arrow
        for row in partition_rows(documents(count, last_word), Tally(), max_tokens=TOKENS, near_duplicates=True):
            arrow = max(arrow, pa.total_allocated_bytes() - arrow_before)
            yield row

    tracemalloc.start()
    try:
        rows = write_partition(watched(), path, rows_a_group=ROWS_A_GROUP).rows
        read_report(path, TOKENS)
        return rows, tracemalloc.get_traced_memory()[1], arrow
    finally:
        tracemalloc.stop()


def test_ten_times_as_many_documents_take_no_more_memory(tmp_path: Path) -> None:
    few, many = tmp_path / "few.parquet", tmp_path / "many.parquet"
    peaks(150, tmp_path / "first.parquet", "early")
    for last_word in ("slowly", "early"):  # Without a file of the last time, and with one of which nothing is left.
        fewer_rows, *few_peaks = peaks(150, few, last_word)
        more_rows, *many_peaks = peaks(1_500, many, last_word)
        assert more_rows > 9 * fewer_rows
        for little, much in zip(few_peaks, many_peaks, strict=True):
            assert much - little < BYTES_A_CHUNK * more_rows
