"""How many objects the server has counted in some months of a court together.

Belongs here: the table. Does not belong here: asking (`courtlistener_assets/operations/plan.py`), what follows from it
(`resources/backlog/workload.py`). What is counted of a single partition is in `audit.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from resources.connections.postgres import Database

_LAST = "last_month = coalesce(%(last)s::date, 'infinity')"


class CourtCounts:
    """All counts; every method raises StoreUnavailable.

    A count is of the months from a first one to a last one, which is None if they go on to the present one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(
        self, courts: Sequence[str], first_month: date, last_month: date | None, *, not_before: datetime | None = None
    ) -> dict[tuple[str, str, str], int]:
        """By court, asset and sweep, what was counted of these months; with `not_before`, no older counts."""
        rows = self._database.rows(
            "SELECT court_id, asset, sweep, objects FROM courtlistener.court_counts WHERE court_id = ANY(%(courts)s) "
            f"AND first_month = %(first)s AND {_LAST} "
            "AND counted_at >= coalesce(%(not_before)s, '-infinity'::timestamptz)",
            {"courts": list(courts), "first": first_month, "last": last_month, "not_before": not_before},
        )
        return {(court, asset, sweep): int(objects) for court, asset, sweep, objects in rows}

    def first_month(self, courts: Sequence[str], at_most: date, last_month: date | None) -> date | None:
        """Return the latest month, no later than one, from which to a last one all of these courts were counted."""
        first: date | None
        [(first,)] = self._database.rows(
            "SELECT max(first_month) FROM (SELECT first_month FROM courtlistener.court_counts "
            f"WHERE court_id = ANY(%(courts)s) AND first_month <= %(at_most)s AND {_LAST} GROUP BY first_month "
            "HAVING count(DISTINCT court_id) = %(number)s) AS counted",
            {"courts": list(courts), "at_most": at_most, "last": last_month, "number": len(set(courts))},
        )
        return first

    def note(
        self, court: str, first_month: date, last_month: date | None, objects: Mapping[tuple[str, str], int]
    ) -> None:
        """Keep what was counted just now, by asset and sweep."""
        with self._database.transaction() as connection:
            connection.cursor().executemany(
                "INSERT INTO courtlistener.court_counts (court_id, asset, sweep, first_month, last_month, objects) "
                "VALUES (%s, %s, %s, %s, coalesce(%s::date, 'infinity'), %s) "
                "ON CONFLICT (court_id, asset, sweep, first_month, last_month) "
                "DO UPDATE SET objects = excluded.objects, counted_at = now()",
                [
                    (court, asset, sweep, first_month, last_month, count)
                    for (asset, sweep), count in sorted(objects.items())
                ],
            )
