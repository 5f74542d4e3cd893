"""Quota ledgers after a restore: nothing is granted that the lost part of the journal would have forbidden.

Belongs here: what a restore does to the ledgers, in its own transaction. Does not belong here: restoring.

What was granted after the backup is in no journal any more. But it was never more than the windows allow, and all of it
was sent before the restore. So as many permits are journaled as an account can have had, each as young as the restore:
for every window, the nth newest permit that is counted is no older than the nth newest request that the server has
logged, which is what the rule needs (docs/permit-path.md). The next reading of api-usage, which costs no quota, gives
back those that the server has not logged; without one, the windows are full for their length.
"""

from __future__ import annotations

from resources.connections.postgres import Connection
from resources.quota.report import USAGE_SUFFIX

#: A promotion, of which the restored ledger may not know, doubles the rates.
_PROMOTION = 2
HOLDER = "restore"

# A new epoch, so that no grant of a Redis that lived on is valid; Postgres decides until Redis has a copy of this
# journal. Not 'epoch' itself, by which the windows of the settings would come into force, whose limits may be higher.
# Functions of the views are not used: a restored database may have those of another version, or none.
# The ledgers of api-usage stay as they are: ours have half of its windows, so half before and half after are no more
# than the whole, and it is what opens the others again.
_FILL = """
    SELECT courtlistener.take_ledger_over(account, courtlistener.unix_us(clock_timestamp()), 0)
    FROM courtlistener.ledgers;
    UPDATE courtlistener.ledgers
    SET observed_at = 'epoch'::timestamptz + interval '1 second', observation_claimed_at = 'epoch', seen_from = '',
        seen_steady_us = 0, seen_took_us = 0, seen_clock_us = 0;
    INSERT INTO courtlistener.permits
        (account, request_id, epoch, holder, granted_at, settled_at, ages_from, outcome)
    SELECT account, 'restore-' || gen_random_uuid(), epoch, '{holder}', clock.now, clock.now, clock.now, 'counted'
    FROM courtlistener.ledgers CROSS JOIN (SELECT clock_timestamp() AS now) AS clock, LATERAL generate_series(
        1, {times} * (SELECT max(CASE WHEN quota->>'limit' ~ '^[0-9]{{1,9}}$' THEN (quota->>'limit')::bigint END)
                      FROM jsonb_array_elements(windows) AS quota))
    WHERE NOT account LIKE '%{usage}';
    UPDATE courtlistener.servers SET asker = NULL, asking_until = 'epoch';
"""


def fill_windows(connection: Connection) -> int:
    """Fill every window of every account as of now; returns how many permits that took."""
    connection.execute(_FILL.format(holder=HOLDER, times=_PROMOTION, usage=USAGE_SUFFIX).encode())
    [(count,)] = connection.execute(
        "SELECT count(*) FROM courtlistener.permits WHERE holder = %s AND granted_at >= now()", (HOLDER,)
    ).fetchall()
    return int(count)
