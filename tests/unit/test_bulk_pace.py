"""How long a bootstrap takes: said before it begins from what a try shows, and while it runs."""

from __future__ import annotations

import bz2
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from courtlistener_assets.devkit.bulk.invented import Invented, Size
from courtlistener_assets.devkit.bulk.writing import write_table
from courtlistener_assets.download.bulk.bootstrap import TABLES, Reached
from courtlistener_assets.download.bulk.source import BulkSource
from courtlistener_assets.operations.pace import Pace, size, tried

#: Packed GB of each file in the order in which they are read, about as the real ones are, and how many
#: packed bytes of it are read in the time of one of the opinions (`make bench-bulk`).
FILES = {
    "dockets": (5.0, 0.6),
    "opinion-clusters": (2.5, 0.7),
    "opinions": (52.0, 1.0),
    "citation-map": (0.7, 1.5),
    "citations": (0.3, 1.2),
    "originating-court-information": (0.1, 0.8),
}
ALL = sum(int(gb * 1e9) for gb, _ in FILES.values())


def told(clock: list[float], pace: float, rng: random.Random, begun: float = 0) -> Iterator[Reached]:
    """A bootstrap that goes on after a share of its bytes, with a checkpoint about every twenty seconds."""
    done = 0
    for name, (gigabytes, relative) in FILES.items():
        at, whole = 0, int(gigabytes * 1e9)
        while at < whole:
            step = min(whole - at, int(pace * relative * 20 * rng.uniform(0.6, 1.4)))
            at += step
            if done + at > begun * ALL:
                clock[0] += step / (pace * relative * rng.uniform(0.8, 1.2))
                yield Reached(name, 0, done + at, ALL, whole - at)
        done += whole


@pytest.mark.parametrize("begun", [0, 0.05, 0.4, 0.97])
@pytest.mark.parametrize("error", [0.85, 1.0, 1.2])
def test_what_is_left_is_known_from_a_tenth_on(begun: float, error: float) -> None:
    clock = [1000.0]
    pace, found = Pace(3e6 * error, clock=lambda: clock[0]), []
    for reached in told(clock, 3e6, random.Random(5), begun):
        found.append((reached.bytes_done / ALL, clock[0], pace.seconds_left(reached)))
    end = clock[0]
    hour = 3600
    wrong = [
        (share, (end - now) / hour, left / hour)
        for share, now, left in found
        # Of the last minutes nobody asks within a quarter.
        if share >= 0.1 and end - now > 600 and not 0.75 < left / (end - now) < 1.25
    ]
    assert wrong == []


def test_progress_is_a_line() -> None:
    clock = [0.0]
    pace = Pace(2e6, clock=lambda: clock[0])
    first = Reached("dockets", 5, 500_000_000, 1_000_000_000, 300_000_000)
    assert pace.line(first) == " 50% dockets: 5 rows, 2.0 MB/s, 4 min left to read"
    clock[0] = 100.0
    later = Reached("dockets", 1234, 600_000_000, 1_000_000_000, 200_000_000)
    assert pace.line(later) == " 60% dockets: 1,234 rows, 1.0 MB/s, 5 min left to read"
    assert pace.line(Reached("opinions", 7, 1_000_000_000, 1_000_000_000)) == "100% opinions: 7 rows"
    assert [size(999), size(8_400_000), size(267 * 10**9)] == ["999 bytes", "8.4 MB", "267 GB"]


def test_the_pace_is_tried_on_the_beginning_of_a_file(tmp_path: Path) -> None:
    day = date(2026, 9, 30)
    rng = random.Random(1)
    # Sixty blocks of 100 kB that hardly can be packed.
    raw = b'id\n"' + rng.randbytes(6_000_000).replace(b'"', b"").replace(b"\\", b"") + b'"\n'
    (tmp_path / f"things-{day}.csv.bz2").write_bytes(bz2.compress(raw, 1))
    source = BulkSource(str(tmp_path))
    file = source.newest(["things"]).files["things"]
    now = iter(range(1000))
    # A second for each block: what is unpacked of the third one on until two seconds later, less what rows take.
    assert tried(source, file, 2, clock=lambda: float(next(now))) == pytest.approx(0.9 * 100_000, rel=0.3)
    Invented(Size(dockets=5)).write(tmp_path, day)
    assert tried(source, source.newest(TABLES).files["opinions"], 2) is None
    write_table(tmp_path, "things", day, ("id",), [("1",)])
    assert tried(source, source.newest(["things"]).files["things"], 2) is None
