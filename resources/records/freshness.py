"""How far the store is: what has been walked to its end, and until when courts are caught up.

Belongs here: what is known of whole partitions and courts. Does not belong here: the checkpoints of passes
(`store.py`), what to say about a partition (`audit.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from resources.connections.postgres import Database


class Freshness:
    """Reads the sweeps, and keeps until when each court is caught up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def walked_by(self, run_id: str, partitions: Sequence[str]) -> set[str]:
        """The assets of which this run has walked all of these partitions, and left nothing unfinished."""
        rows = self._database.rows(
            "SELECT asset FROM courtlistener.sweeps WHERE partition = ANY(%(partitions)s) AND run_id = %(run_id)s "
            "GROUP BY asset HAVING bool_and(finished_at IS NOT NULL) AND count(DISTINCT partition) = %(count)s",
            {"partitions": list(partitions), "run_id": run_id, "count": len(set(partitions))},
        )
        return {str(asset) for (asset,) in rows}

    def catch_up_from(self, courts: Sequence[str]) -> datetime | None:
        """From when changes of some courts may be missing; None if nothing of them was downloaded.

        That is where the last catch-up of a court began, else its oldest pass.
        """
        since: datetime | None
        [(since,)] = self._database.rows(_CATCH_UP_FROM, {"courts": list(courts)})
        return since

    def months(self, courts: Sequence[str]) -> tuple[date, date] | None:
        """The first and the last month of which anything of some courts was ever walked; None if there is none."""
        first: date | None
        [(first, last)] = self._database.rows(_MONTHS, {"courts": list(courts)})
        return (first, last) if first else None

    def set_current(self, courts: Sequence[str], as_of: datetime) -> None:
        """Note until when courts are caught up."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO courtlistener.courts AS known (court_id, current_as_of) "
                "SELECT unnest(%(courts)s::text[]), %(as_of)s ON CONFLICT (court_id) DO UPDATE "
                "SET current_as_of = greatest(known.current_as_of, excluded.current_as_of)",
                {"courts": sorted(courts), "as_of": as_of},
            )

    def is_complete(self, asset: str, partition: str, sweeps: Sequence[str]) -> bool:
        """Whether every one of the sweeps has been walked to its end at least once."""
        [(count,)] = self._database.rows(
            "SELECT count(*) FROM courtlistener.sweeps WHERE asset = %(asset)s AND partition = %(partition)s "
            "AND sweep = ANY(%(sweeps)s) AND walked_at IS NOT NULL",
            {"asset": asset, "partition": partition, "sweeps": list(sweeps)},
        )
        return int(count) == len(set(sweeps))


# Without OFFSET it would be a join, for which Postgres may read all sweeps. What has no month is named by a word, and
# letters come behind the colon.
_MONTHS = r"""
SELECT min(month)::date, max(month)::date FROM unnest(%(courts)s::text[]) AS wanted (court_id), LATERAL (
    SELECT split_part(partition, '|', 2) AS month FROM courtlistener.sweeps
    WHERE partition ~>=~ (court_id || '|') AND partition ~<~ (court_id || '|:') OFFSET 0
) AS walked
"""

# A pass whose last page is not stored yet has its own watermark, too.
_CATCH_UP_FROM = r"""
SELECT min(coalesce(
    (SELECT current_as_of FROM courtlistener.courts known WHERE known.court_id = wanted.court_id),
    (SELECT min(watermark) FROM courtlistener.sweeps
     WHERE partition ~>=~ (wanted.court_id || '|') AND partition ~<~ (wanted.court_id || '}')
        AND position(':' IN sweep) = 0)))
FROM unnest(%(courts)s::text[]) AS wanted (court_id)
"""
