"""Asking what has become of single objects that a dump shows to be gone, or to live although they are tombstones.

Belongs here: asking within a budget, parents first, since what hangs on them may go along. Does not belong here:
finding them (`absent.py`, `resources/records/judging.py`).
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import date

from courtlistener_assets.download import tombstones
from courtlistener_assets.download.membership import Place
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.logs import run_log
from resources.records.differences import Difference


def look_up_differences(
    sweeper: Sweeper, streams: Sequence[Stream], counts: MutableMapping[str, int], *, budget: int, dump: date
) -> None:
    """Look up what waits for it, with about `budget` requests; `counts` how many are `found`, `gone` and `failed`.

    Each object costs one request, a decision that was merged and still has opinions here another one, for the one that
    has them now. What is left over waits for the next time. Raises what the client raises; what was looked up until
    then is kept.
    """
    by_name = {stream.name: stream for stream in streams}
    waiting = sweeper.store.differences.waiting(dump=dump)
    sent = sweeper.client.quota_requests
    for difference in waiting:
        if sweeper.client.quota_requests - sent >= budget:
            break
        if difference.stream in by_name and sweeper.store.differences.is_waiting(difference):
            counts[_look_up(sweeper, by_name[difference.stream], difference)] += 1


def _look_up(sweeper: Sweeper, stream: Stream, difference: Difference) -> str:
    differences, id = sweeper.store.differences, difference.id
    # As of a page of its court, so that what does not fit afterwards is found by the court's catch-up.
    place = Place(difference.court_id or "", difference.court_id or "")
    follow = stream.name == "clusters" and differences.has_opinions(id)
    try:
        found = tombstones.look_up(sweeper, stream, stream.name, id, place, follow=follow)
    except tombstones.LOOKUP_ERRORS as error:
        tombstones.check_server(sweeper, stream, stream.name, error)
        differences.postpone(difference)
        run_log.warning(
            f"{stream.name} {id} could not be looked up: {error}",
            extra={"event": "difference_not_looked_up", "stream": stream.name, "object_id": id},
        )
        return "failed"
    sweeper.trouble.failed_lookups = 0
    differences.close(difference, "CourtListener has it" if found else differences.gone_reason(stream.name, id))
    return "found" if found else "gone"
