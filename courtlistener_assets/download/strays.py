"""The full refresh of what has left the courts and months: it is in no partition, and no pass over one meets it.

Belongs here: asking for it, docket by docket. Does not belong here: noting what has left
(`resources/records/strays.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from courtlistener_assets.download import tombstones
from courtlistener_assets.download.membership import Place, walk_docket
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.sweep import Sweeper
from resources.records.model import Scope
from resources.records.tables import Members


def refresh_strays(
    sweeper: Sweeper, stream: Stream, partition: Selection, scope: Scope, members: Mapping[str, Sequence[Members]]
) -> int:
    """Bring what a stream has of the dockets that have left a partition up to date; returns how many objects are gone.

    `members` are, by table, the rows that belong to a partition. Costs a request for 20 objects, at least one a docket,
    and one for each row that was not met. Nothing is stored that was not.
    """
    sweeper, gone = replace(sweeper, scope=scope, full_refresh=True), 0
    for stray in sweeper.store.strays.of(str(partition), scope, members):
        place = Place(str(partition), stray.court)
        walked = walk_docket(sweeper, stream, stray.docket_id, place)
        if walked is None:
            gone += 1
            continue
        for table in stream.stores:
            missing = sweeper.store.strays.unseen(table, stray.docket_id, walked.key)
            gone += tombstones.look_up_all(sweeper, stream, table, missing, place)
        sweeper.store.forget_walked(walked.key)
    return gone
