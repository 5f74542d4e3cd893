"""Objects that must be seen, since what is stored does not fit together: which ones, and when.

Belongs here: reading and closing the notes. Does not belong here: writing them (`misfits.py`), asking for the objects
(`courtlistener_assets/download/membership.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import class_row

from resources.connections.postgres import Database
from resources.records.model import Lookup


class Lookups:
    """What must be seen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def wanted(self, courts: Sequence[str], streams: Sequence[str], *, due_only: bool = True) -> list[Lookup]:
        """What must be seen of some courts and streams, by docket; not what a first pass under way will bring."""
        params = {"courts": list(courts), "streams": list(streams), "due_only": due_only}
        with self._database.transaction() as connection, connection.cursor(row_factory=class_row(Lookup)) as cursor:
            return cursor.execute(_LOOKUPS, params).fetchall()

    def is_wanted(self, lookup: Lookup) -> bool:
        """Whether a lookup still waits: another page, or another run, may have brought its object."""
        return bool(self._database.rows(f"SELECT FROM courtlistener.lookups WHERE {_LOOKUP}", vars(lookup)))

    def finish(self, lookup: Lookup) -> None:
        """Remove a lookup that has been done."""
        with self._database.transaction() as connection:
            connection.execute(f"DELETE FROM courtlistener.lookups WHERE {_LOOKUP}", vars(lookup))

    def postpone(self, lookup: Lookup) -> None:
        """Try a lookup that failed again after an hour, the next time after two, up to a day."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.lookups SET tries = tries + 1, "
                "due_at = now() + least(interval '1 day', interval '1 hour' * power(2, least(tries, 10))) "
                f"WHERE {_LOOKUP}",
                vars(lookup),
            )


_LOOKUP = "kind = %(kind)s AND stream = %(stream)s AND id = %(id)s"

# What has failed is tried again as a failure.
_LOOKUPS = """
SELECT kind, stream, id, court_id, docket_id, partition FROM courtlistener.lookups wanted
WHERE court_id = ANY(%(courts)s) AND stream = ANY(%(streams)s) AND (due_at <= now() OR NOT %(due_only)s)
    AND NOT EXISTS (
        SELECT FROM courtlistener.sweeps under_way WHERE under_way.asset = wanted.stream
            AND under_way.partition = wanted.partition AND under_way.walked_at IS NULL
            AND under_way.since IS NULL AND position(':' IN under_way.sweep) = 0)
    AND (kind = 'children' OR NOT EXISTS (
        SELECT FROM courtlistener.failures failed WHERE wanted.stream IN (asset, sweep) AND resolved_at IS NULL
            AND (object_id = wanted.id OR (object_id IS NULL AND failed.docket_id IS NULL
                AND failed.partition = wanted.partition AND after_id < wanted.id
                AND wanted.id <= coalesce(up_to_id, wanted.id)))))
ORDER BY docket_id, stream, kind, id LIMIT 1000
"""
