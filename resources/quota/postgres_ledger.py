"""The quota ledger in Postgres: the same rule as `lua/acquire.lua`, decided by counting the journal under a row lock.

Belongs here: calling the functions of `sql/migrations` that decide about permits while Redis is down, and that settle
in the journal, which always happens. Does not belong here: who is in charge (`lease.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from resources.connections.postgres import Connection
from resources.errors import StoreUnavailable
from resources.quota.clocks import DRIFT
from resources.quota.lease import POSTGRES, Lease, LeaseStore
from resources.quota.permits import (
    PATIENT,
    Blocked,
    Decision,
    Fenced,
    Lane,
    Outcome,
    Patience,
    Permit,
    Wait,
    WindowUsage,
    Withdrawn,
)

_ACQUIRE = """
    SELECT decision, current_epoch, at_us, wait_us, ahead, reason, now_us, corrected_us, tolerance_us
    FROM courtlistener.acquire_permits(
        %(account)s, %(request_ids)s::text[], %(priority)s, %(reserve)s, %(ttl_us)s, %(silence_us)s, %(grace_us)s,
        %(drift_ppm)s, %(redis_failed_us_ago)s, %(cool_down_seconds)s, %(clock_us)s)
"""
_SETTLE = "SELECT courtlistener.settle_permit(%(account)s, %(request_id)s, %(outcome)s, %(elapsed_us)s, %(clock_us)s)"
_LEAVE = "DELETE FROM courtlistener.permit_waiters WHERE account = %(account)s AND request_id = ANY(%(request_ids)s)"


class PostgresLedger:
    """Permits for one account, decided in Postgres. `reserve_share` of every limit is left to the priority lane.

    `drift` is the share by which clocks may be off; without it windows have their exact length, for simulations.
    Every method raises StoreUnavailable if Postgres does not answer.
    """

    def __init__(
        self,
        leases: LeaseStore,
        *,
        permit_ttl_seconds: float,
        reserve_share: float = 0.0,
        grace_seconds: float = 2.0,
        drift: float = DRIFT,
    ) -> None:
        self._leases = leases
        self._account = leases.account
        self._ttl_us = round(permit_ttl_seconds * 1_000_000)
        self._reserve = round(reserve_share * 1000)
        self._drift_ppm = round(drift * 1_000_000)
        self._grace_us = round(grace_seconds * 1_000_000)

    def acquire(
        self,
        request_ids: Sequence[str],
        lane: Lane,
        *,
        redis_failed_seconds_ago: float = math.inf,
        patience: Patience = PATIENT,
    ) -> Decision:
        """As `RedisLedger.acquire`; takes the ledger over first if Redis has failed since it was put in charge.

        Nothing is announced here: whoever waits asks again by the time it is told, or as its patience says.
        """
        params = {
            "request_ids": list(request_ids),
            "priority": lane is Lane.PRIORITY,
            "reserve": self._reserve,
            "ttl_us": self._ttl_us,
            "silence_us": _us(patience.silence_seconds),
            "grace_us": self._grace_us,
            "drift_ppm": self._drift_ppm,
            "redis_failed_us_ago": _us(redis_failed_seconds_ago),
            "cool_down_seconds": self._leases.cool_down_seconds,
        }
        for _ in range(2):
            asked = self._leases.steady()
            decision, epoch, at_us, wait_us, ahead, reason, now_us, corrected_us, tolerance_us = self._leases.call(
                _ACQUIRE, params
            )
            if decision == "fenced":
                return Fenced("Redis is in charge")
            if decision == "blocked":
                return Blocked(reason)
            if decision != "unknown":
                answered = self._leases.steady()
                jumped = self._leases.has_jumped(now_us, corrected_us, asked, answered, tolerance_us or 0)
                if decision == "wait" and not jumped:
                    return Wait(wait_ms=-(-wait_us // 1000), ahead=ahead)
                if decision == "granted" and not jumped:
                    return tuple(Permit(name, epoch, at_us, POSTGRES, now_us - at_us) for name in request_ids)
                self._leases.withdraw(request_ids, epoch)
            # A clock that has jumped, or an account that is not entered yet: both are seen to under the lock.
            with self._leases.transaction() as connection:
                self._leases.lock(connection)
            if decision != "unknown":
                return Withdrawn("the clock of Postgres jumped")
        raise StoreUnavailable("the account's row is gone")

    def settle(self, permit: Permit, outcome: Outcome, elapsed_us: int = 0) -> None:
        """See `RedisLedger.settle`."""
        params = {"request_id": permit.request_id, "outcome": outcome.value, "elapsed_us": elapsed_us}
        self._leases.call(_SETTLE, params)

    def leave(self, request_ids: Sequence[str]) -> None:
        """See `RedisLedger.leave`."""
        with self._leases.transaction() as connection:
            connection.execute(_LEAVE, {"account": self._account, "request_ids": list(request_ids)})

    def usage(self) -> tuple[WindowUsage, ...]:
        """How full every window is now, whichever ledger is in charge."""
        with self._leases.transaction() as connection:
            return usage_of(connection, self._account, self._leases.read(connection))


def usage_of(connection: Connection, account: str, lease: Lease) -> tuple[WindowUsage, ...]:
    """How full every window of an account is."""
    windows = []
    for quota in lease.quota_windows():
        since = lease.now - timedelta(seconds=quota.window.seconds)
        own = count_since(connection, account, since)
        windows.append(WindowUsage(quota.window, own + quota.foreign, quota.foreign))
    return tuple(windows)


def count_since(connection: Connection, account: str, since: datetime) -> int:
    """How many permits of an account are in flight, or were settled after a moment."""
    query = "SELECT count(*) FROM courtlistener.permits WHERE account = %s AND ages_from > %s"
    [count] = connection.execute(query, (account, since)).fetchone() or (0,)
    return int(count)


def _us(seconds: float) -> int | None:
    return None if math.isinf(seconds) else round(seconds * 1_000_000)
