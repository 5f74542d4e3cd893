"""The benchmark of bulk files: what it makes of spans that were read, and that its dump is what it says."""

from __future__ import annotations

import bz2
from pathlib import Path

from bench.bulk.dump import REAL_GB, write_dump
from bench.bulk.figures import Reading
from bench.bulk.reading import Ended, Span, Unpacked
from courtlistener_assets.download.bulk.bzip2 import Place
from courtlistener_assets.download.bulk.dialect import Mark


def span(table: str, first: int, last: int, seconds: float) -> Span:
    """A span of megabytes of a file that is packed to a fourth."""
    start, end = (Mark(Place(mb * 2_000_000, mb * 1_000_000)) for mb in (first, last))
    return Span(table, start, end, seconds, 2 * seconds, 10 * (last - first), 200.0 + last, 1)


def test_shares_are_those_of_the_spans_that_were_unpacked_too() -> None:
    reading, first, second = Reading(), span("opinions", 0, 50, 5.0), span("opinions", 50, 100, 15.0)
    reading.spans = [span("dockets", 0, 20, 4.0), first, second]
    # Twice the bytes in the same time, and half as many in that of the other.
    reading.pairs = [(first, Unpacked(100_000_000, 5.0, 10.0)), (second, Unpacked(25_000_000, 15.0, 30.0))]
    reading.tried, reading.ended = 1_250_000, Ended(321.4, 7)
    figures = reading.figures()
    assert (figures["raw_mb_per_s"], figures["packed_mb_per_s"], figures["rows_per_s"]) == (5.0, 1.2, 50)
    assert (figures["share_of_decompression"], figures["share_of_decompression_cpu"]) == (0.8, 0.8)
    assert (figures["peak_mb"], figures["whole"], figures["tried_over_truth"]) == (321, True, 1.0)
    assert figures["memory"] == [[0.02, 220], [0.07, 250], [0.12, 300]]
    # 0.4 seconds of a core for a megabyte of either.
    assert figures["core_hours_of_the_real_files"] == {"dockets": 3.0, "opinions": 29.7}


def test_the_tables_are_as_large_to_each_other_as_the_real_ones(tmp_path: Path) -> None:
    assert write_dump(tmp_path, 0.004, 0.002, 1) == 2
    sizes = {
        path.name.removesuffix("-2026-09-30.csv.bz2"): len(bz2.decompress(path.read_bytes()))
        for path in tmp_path.iterdir()
    }
    whole = sum(sizes[name] for name in REAL_GB)
    assert 2e6 < whole < 8e6
    for name, gigabytes in REAL_GB.items():
        assert 0.4 < sizes[name] / whole / (gigabytes / sum(REAL_GB.values())) < 2.5
