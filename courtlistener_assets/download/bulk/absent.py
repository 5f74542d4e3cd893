"""What is stored and not in a dump: the ids of both, which are compared without holding either.

Belongs here: the anti-join. Does not belong here: what becomes of what is missing there (`lookups.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from courtlistener_assets.download.bulk.ids import IdSet
from courtlistener_assets.download.bulk.source import Dump
from courtlistener_assets.download.bulk.tables import CLUSTERS, DOCKETS, OPINIONS
from resources.errors import DumpChanged
from resources.records.store import RecordStore

#: The streams of which a dump has every object, and its table, parents before their children.
TABLE_OF = {"dockets": DOCKETS, "clusters": CLUSTERS, "opinions": OPINIONS}
#: A dump that lacks more than these, and most of what is stored, is not whole.
_MOST_ABSENT = 1_000


def known_ids(store: RecordStore, courts: Sequence[str]) -> dict[str, IdSet]:
    """By table of the dump, the ids of what is stored of some courts: it is wanted wherever it is by now."""
    known = {table.name: IdSet() for table in TABLE_OF.values()}
    for stream, table in TABLE_OF.items():
        for ids in store.differences.known(stream, courts):
            known[table.name].add(pa.chunked_array([pa.array(ids, pa.int64())]))
    return {name: ids for name, ids in known.items() if len(ids)}


def note_absent(store: RecordStore, dump: Dump, present: Mapping[str, IdSet]) -> None:
    """Note what is stored, is not in the dump, and was not fetched since.

    Whatever its court or month: the dump has all. Raises DumpChanged if that is most of what is stored.
    """
    for stream, table in TABLE_OF.items():
        absent, compared = [], 0
        for ids in store.differences.older_than(stream, dump.watermark):
            numbers = np.array(ids, dtype=np.int64)
            absent.append(numbers[~present[table.name].holds(numbers)])
            compared += len(ids)
        count = sum(map(len, absent))
        if count > _MOST_ABSENT and 2 * count > compared:
            raise DumpChanged(f"the dump of {dump.day} lacks {count:,} of {compared:,} {stream} that are stored")
        for some in absent:
            if len(some):
                store.differences.note_deleted(dump.day, stream, some.tolist(), dump.watermark)
