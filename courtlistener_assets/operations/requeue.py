"""Trying dead failures again, or dropping them, from a terminal: `courtlistener requeue`.

Belongs here: the words. Does not belong here: what becomes of them (`resources/backlog/failures.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from courtlistener_assets.settings import Settings
from resources.backlog.failure_lists import FailureLists
from resources.backlog.failures import Chosen, Failures
from resources.connections import pools
from resources.connections.postgres import Database
from resources.connections.redis_address import keys_at


def requeue(
    settings: Settings, ids: Sequence[int], dockets: Sequence[int], partitions: Sequence[str], *, drop: bool
) -> str:
    """Requeue or drop dead failures: those named, or all; returns what to say. Raises StoreUnavailable."""
    place = settings.redis_url, settings.redis_prefix
    lists = FailureLists(pools.redis_client(*place), keys_at(*place))
    chosen = Chosen(ids, dockets, partitions)
    with closing(Database(settings.postgres_url)) as database:
        database.ensure_schema()
        failures = Failures(database, lists)
        if drop:
            return f"{failures.drop_dead(chosen)} entries that belong to no partition are forgotten."
        count, left = failures.requeue_dead(chosen), failures.counts()["dead"]
    return f"{count} failures are tried again by the sensor retry_failed_dockets; {left} are given up."
