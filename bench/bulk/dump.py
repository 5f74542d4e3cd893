"""The dump that is read: tables as large to each other as the real ones, in files as the server makes them.

Belongs here: how much of what. Does not belong here: rows (`courtlistener_assets/devkit/bulk`).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from courtlistener_assets.devkit.bulk.invented import COLUMNS, Invented, Size
from courtlistener_assets.devkit.bulk.large import write_large

DAY = date(2026, 9, 30)
#: Gigabytes of the real files of 2024-12-31, unpacked.
REAL_GB = {"dockets": 27, "opinion-clusters": 12, "opinions": 267}
#: One court of this many has as many dockets as the others: ca9 has a smaller share of the real ones.
COURTS = ("ca9", *(f"court{number}" for number in range(24)))
_DOCKET_BYTES = 410
_DECISIONS_PER_HUNDRED = 15


def write_dump(folder: Path, gigabytes: float, distinct: float, threads: int) -> int:
    """Write a dump of about so many gigabytes, unpacked, of which `distinct` are; returns how often these come."""
    folder.mkdir(parents=True, exist_ok=True)
    times = max(1, round(gigabytes / min(gigabytes, distinct)))
    share = 1e9 * gigabytes / times / sum(REAL_GB.values())
    dockets = max(100, int(share * REAL_GB["dockets"] / _DOCKET_BYTES))
    # Three opinions for two decisions, of which each has its text twice; a word takes six letters.
    opinions = dockets * _DECISIONS_PER_HUNDRED * 3 // 200
    words = int(share * REAL_GB["opinions"] / opinions / 2 / 6)
    # So many that hardly any are in a block twice.
    text_words = min(4_000_000, 100_000 + int(1e7 * gigabytes / times))
    size = Size(dockets, _DECISIONS_PER_HUNDRED, words, COURTS, text_words=text_words)
    invented = Invented(size)
    for name, columns in COLUMNS.items():
        write_large(folder, name, DAY, columns, invented.rows(name), times=times, threads=threads)
    return times
