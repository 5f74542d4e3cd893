"""Finding out what has become of objects that a full refresh no longer meets.

Belongs here: asking for them one by one. Does not belong here: merged clusters that their successor names, which are
marked with the page that says so (`resources/records/store.py`).
"""

from __future__ import annotations

from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import Stream
from resources.courtlistener.client import CourtListenerClient
from resources.errors import Gone, NotFound
from resources.records.audit import RecordAudit
from resources.records.store import RecordStore


def mark_missing(
    client: CourtListenerClient,
    store: RecordStore,
    audit: RecordAudit,
    stream: Stream,
    partition: Selection,
    run_id: str,
) -> int:
    """Mark as gone what is stored, was not met by the run's pass over everything, and no longer exists.

    Costs one request for each row that was not met. What still exists has moved to another court or month, whose own
    sweep brings it. Returns how many are newly marked. Does nothing where a partition's rows are known by their
    parents only.
    """
    gone = 0
    if stream.by_month and not stream.table.dated:
        return gone
    for id in audit.not_seen_since(stream.table, str(partition), partition.filter_values, run_id):
        try:
            client.object(stream.endpoint, id)
        except Gone as error:
            reason = f"merged into {error.location}" if error.location else "removed by CourtListener (410)"
            gone += store.mark_gone(stream.name, [id], reason)
        except NotFound:
            gone += store.mark_gone(stream.name, [id], "not found (404)")
    return gone
