"""Finding out what has become of single objects: those that a full refresh no longer meets, or that do not fit.

Belongs here: asking for them one by one. Does not belong here: merged clusters that their successor names, which are
marked with the page that says so, and what goes with a parent (`resources/records/pages.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import Stream, is_id, mapping
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.download.way_around import PAGE_ERRORS
from resources.errors import Gone, NotFound, TransientApiError, UnusableRecord
from resources.records.audit import RecordAudit
from resources.records.model import Failure, SweepKey

#: What a single object can be the cause of when it is looked up.
LOOKUP_ERRORS = (*PAGE_ERRORS, UnusableRecord)


def look_up(
    sweeper: Sweeper, stream: Stream, table: str, id: int, partition: Selection, *, follow: bool = True
) -> bool:
    """Ask for an object of one of a stream's tables and store it; returns False if the server says that it is gone.

    One that was merged into another is gone, and the other is asked for as well. Of an object that comes nested in
    others the server does not say in which: one that is in none of those that are stored is taken out of its month.
    """
    store, [of] = sweeper.store, [each for each in stream.tables if each.name == table]
    try:
        body = sweeper.ask(of.endpoint or stream.endpoint, id)
    except (Gone, NotFound) as error:
        successor = _successor(error, of.endpoint or stream.endpoint)
        removed = "removed by CourtListener (410)" if isinstance(error, Gone) else "not found (404)"
        reason = f"merged into {successor}" if successor else removed
        store.mark_gone(table, [id], reason, partition=str(partition))
        if successor and successor != id and follow:  # One that leads on was merged later: its own page says so.
            look_up(sweeper, stream, table, successor, partition, follow=False)
        return False
    if of.nested_in:
        store.detach(table, id)
    else:
        store.store_found(str(partition), list(stream.read(mapping(body), partition)), scope=sweeper.scope)
    return True


def mark_missing(sweeper: Sweeper, audit: RecordAudit, stream: Stream, partition: Selection) -> int:
    """Look up what is stored of a partition and was not met by the run's pass over everything.

    Returns how many are gone. Costs one request for each row that was not met. What still exists has moved to another
    court or month.
    """
    gone, asset = 0, sweeper.asset or stream.name
    for table, members in stream.members().items():
        missing = audit.not_seen_since(members, asset, str(partition), partition.filter_values, sweeper.run_id)
        gone += look_up_all(sweeper, stream, table, missing, partition)
    return gone


def look_up_all(sweeper: Sweeper, stream: Stream, table: str, ids: Sequence[int], partition: Selection) -> int:
    """Look up objects of one of a stream's tables one by one; returns how many are gone.

    One that cannot be had is a failure of the sweeper's asset, or of the asset named like the stream.
    """
    # The sweep's place is taken by the table, if that is not the stream's own.
    sweep = stream.sweeps[0].name if table == stream.name else table
    gone, key = 0, SweepKey(sweeper.asset or stream.name, str(partition), sweep)
    for id in ids:
        try:
            gone += not look_up(sweeper, stream, table, id, partition)
            sweeper.trouble.failed_lookups = 0
        except LOOKUP_ERRORS as error:
            check_server(sweeper, stream, table, error)
            docket_id = id if stream.docket_filter == "id" else None
            sweeper.store.record_failure(key, Failure(type(error).__name__, str(error), docket_id, id))
    return gone


def check_server(sweeper: Sweeper, stream: Stream, table: str, error: Exception) -> None:
    """Raise ServerDown if a lookup has failed for that reason; what fails next in a row does so by its own fault."""
    if not isinstance(error, TransientApiError):
        sweeper.trouble.failed_lookups = 0
        return
    if not sweeper.trouble.failed_lookups:
        [of] = [each for each in stream.tables if each.name == table]
        sweeper.check_server(of.endpoint or stream.endpoint, error)
    sweeper.trouble.failed_lookups += 1


def _successor(error: Gone | NotFound, endpoint: str) -> int | None:
    """The id of the object that took the place of one that is gone, if there is one.

    Raises TransientApiError if it was not the API that said so, but something in front of it, such as a firewall.
    """
    location = error.location if isinstance(error, Gone) else None
    if location:
        match = re.search(rf"/{re.escape(endpoint)}/(\d{{1,19}})/?$", urlsplit(location).path)
        if match and is_id(int(match[1])):
            return int(match[1])
    if location or not error.said_by_api:
        raise TransientApiError(f"Not the API's own word, so nothing is taken for gone: {error}")
    return None
