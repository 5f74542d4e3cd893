"""What an account may send from now on, read from the journal of permits in Postgres.

Belongs here: reading. Does not belong here: the arithmetic (`eta.py`), the present state for people (`report.py`).
"""

from __future__ import annotations

from resources.connections.postgres import Database
from resources.quota.eta import Outlook, Pace, Sent, pace_of
from resources.quota.lease import EPOCH, LeaseStore

#: The most permits that are read of a window; of larger windows the oldest are taken not to matter.
_MOST_PERMITS = 20_000
#: How fast downloads are is seen in so many.
_PACE_PERMITS = 400
#: Before anything was sent, and for what was sent long ago.
_USUAL_PACE = Pace(0.5, 0.5)

_AGES = """
    SELECT greatest(0, extract(epoch FROM %(now)s - ages_from))::double precision FROM courtlistener.permits
    WHERE account = %(account)s AND ages_from > %(since)s ORDER BY ages_from DESC LIMIT %(most)s
"""
_SENT = """
    SELECT extract(epoch FROM %(now)s - granted_at)::double precision,
           extract(epoch FROM %(now)s - ages_from)::double precision
    FROM courtlistener.permits WHERE account = %(account)s AND ages_from <= %(now)s AND outcome = 'counted'
    ORDER BY ages_from DESC LIMIT %(most)s
"""


def read_outlook(database: Database, account: str, reserve_share: float) -> Outlook | None:
    """Return what an account may send, None if nothing is known of it or it is blocked; raises StoreUnavailable.

    Raises what reading a ledger raises whose windows make no sense.
    """
    with database.transaction() as connection:
        known = connection.execute("SELECT 1 FROM courtlistener.ledgers WHERE account = %s", (account,)).fetchone()
        if not known:
            return None
        lease = LeaseStore(database, account, fallback_windows=()).read(connection)
        if lease.blocked:
            return None
        windows = lease.quota_windows()
        most = min(_MOST_PERMITS, max((each.window.limit for each in windows), default=0))
        params = {"account": account, "now": lease.now, "since": lease.now - lease.longest, "most": most}
        ages = [age for (age,) in connection.execute(_AGES, params).fetchall()]
        sent = [Sent(*row) for row in connection.execute(_SENT, {**params, "most": _PACE_PERMITS}).fetchall()]
    held = (lease.held_until - lease.now).total_seconds() if lease.held_until > EPOCH else 0.0
    return Outlook(windows, ages, reserve_share, pace_of(sent, windows, reserve_share) or _USUAL_PACE, max(0.0, held))
