"""How large what is downloaded becomes: in Postgres, as chunks, as Parquet.

Belongs here: sizes a row, measured on what is stored, or typical ones. Does not belong here: how many rows there are
(`plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from resources.connections.postgres import Database

#: Bytes a row with its indexes: docs/benchmarks.md for what has no text, and 27 kB of text an opinion.
_TYPICAL = {"dockets": 2_200, "clusters": 2_600, "opinions": 30_000, "docket_entries": 2_600}
#: What none was measured of.
_OTHER = 3_000
#: Fewer rows say nothing about the others.
_ENOUGH_ROWS = 1_000
#: Of 3,999 real opinions (docs/benchmarks.md), and in the file of the 2,944 chunks of 303 real documents.
_CHUNKS_AN_OPINION, _BYTES_A_CHUNK = 39_008 / 3_999, 490

_SIZES = """
    SELECT relname::text, greatest(0, reltuples)::bigint, pg_total_relation_size(oid)::bigint FROM pg_class
    WHERE relnamespace = 'courtlistener'::regnamespace AND relname = ANY(%(names)s)
"""


@dataclass(frozen=True)
class Sizes:
    """Bytes and chunks; `source` says how they were found."""

    postgres_bytes: int
    parquet_bytes: int
    chunks: int
    source: str


def sizes_of(database: Database, objects: Mapping[str, int]) -> Sizes:
    """How large so many objects by asset become; raises StoreUnavailable."""
    rows = database.rows(_SIZES, {"names": list(objects)})
    measured = {name: total / count for name, count, total in rows if count >= _ENOUGH_ROWS}
    postgres = sum(number * measured.get(name, _TYPICAL.get(name, _OTHER)) for name, number in objects.items())
    chunks = round(objects.get("opinions", 0) * _CHUNKS_AN_OPINION)
    known = "rows as large as those that are stored" if measured else "typical sizes"
    source = f"{known}; chunks of opinions only: few filings have text"
    return Sizes(round(postgres), chunks * _BYTES_A_CHUNK, chunks, source)
