"""What is deleted of our own tables in the end: where walks of single dockets, objects and ranges of ids stood.

A retry and `docket_ids` walk such a sweep, whose row is its checkpoint: of use until it has come to its end, and never
again. The sweeps that make a partition complete have no `:` in their names, and stay.

Belongs here: rows that nothing removes when they are used. Does not belong here: the journal of permits
(`resources/quota/lease.py`), resolved failures (`resources/backlog/failures.py`), which go with their use; and what was
downloaded, which only a person deletes.
"""

from __future__ import annotations

from resources.connections.postgres import Database

#: How long after its end such a checkpoint goes, in days: as long as resolved failures are kept.
CHECKPOINT_DAYS = 90

# Of one that has not come to its end there is a failure or a deferral, whose run goes on with it.
_FORGET = """
DELETE FROM courtlistener.sweeps WHERE position(':' IN sweep) > 0
    AND finished_at < now() - make_interval(days => %(days)s)
"""


def forget_old_checkpoints(database: Database) -> int:
    """Delete finished walks of single dockets, objects and ranges, CHECKPOINT_DAYS after their end; how many."""
    with database.transaction() as connection:
        return connection.execute(_FORGET, {"days": CHECKPOINT_DAYS}).rowcount
