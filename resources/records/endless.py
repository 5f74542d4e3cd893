"""Lists that the server brings to their end only if they have a bound: without one it gives up first.

Belongs here: which ones, and the last id that bounds them. Does not belong here: finding it out
(`courtlistener_assets/download/way_around.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from resources.connections.postgres import Database

#: How long a bound is good for, and how long lists are asked for with one before it is tried without again, in hours.
_FRESH_HOURS, _ENDLESS_HOURS = 1, 24


@dataclass(frozen=True)
class Bound:
    """The last id of an endpoint as the server knew it at `served_at`."""

    last_id: int
    served_at: datetime


class EndlessLists:
    """What is known of them; all workers share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def bound(self, endpoint: str) -> tuple[Bound | None, bool]:
        """The bound of an endpoint's lists and whether it is fresh; None if they need none."""
        rows = self._database.rows(
            "SELECT last_id, served_at, asked_at > now() - make_interval(hours => %(fresh)s) "
            "FROM courtlistener.endless_lists "
            "WHERE endpoint = %(endpoint)s AND noted_at > now() - make_interval(hours => %(endless)s)",
            {"endpoint": endpoint, "fresh": _FRESH_HOURS, "endless": _ENDLESS_HOURS},
        )
        return (Bound(int(rows[0][0]), rows[0][1]), bool(rows[0][2])) if rows else (None, False)

    def note(self, endpoint: str, bound: Bound) -> None:
        """Note that a list did not come to its end without this bound."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO courtlistener.endless_lists (endpoint, last_id, served_at) "
                "VALUES (%(endpoint)s, %(last_id)s, %(served_at)s) ON CONFLICT (endpoint) DO UPDATE "
                "SET last_id = excluded.last_id, served_at = excluded.served_at, asked_at = now(), noted_at = now()",
                {"endpoint": endpoint, **asdict(bound)},
            )

    def renew(self, endpoint: str, bound: Bound) -> None:
        """Replace a bound that is not fresh any more."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE courtlistener.endless_lists SET last_id = %(last_id)s, served_at = %(served_at)s, "
                "asked_at = now() WHERE endpoint = %(endpoint)s",
                {"endpoint": endpoint, **asdict(bound)},
            )
