"""Which courts CourtListener has, by its own word.

Belongs here: SQL about the two tables. Does not belong here: asking, or what a court that is not there means
(`courtlistener_assets/download/courts.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from resources.connections.postgres import Connection, Database


@dataclass(frozen=True)
class Court:
    """A court as the server described it; `in_use` is None where it did not say."""

    id: str
    name: str = ""
    citation: str = ""
    jurisdiction: str = ""
    in_use: bool | None = None


@dataclass(frozen=True)
class Answer:
    """Whether the server has a court, and when it said so."""

    is_there: bool
    read_at: datetime


@dataclass(frozen=True)
class ListState:
    """How far the list of courts was read: the page to ask for next, and when it was last read to its end, if ever."""

    next_page: int = 1
    read_at: datetime | None = None


class KnownCourts:
    """What the server said about courts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def answers(self, courts: Sequence[str]) -> dict[str, Answer]:
        """Return what is known about each of `courts`; raises StoreUnavailable."""
        rows = self._database.rows(
            "SELECT court_id, is_there, read_at FROM courtlistener.known_courts WHERE court_id = ANY(%(courts)s)",
            {"courts": list(courts)},
        )
        return {court: Answer(is_there, read_at) for court, is_there, read_at in rows}

    def all(self) -> list[Court]:
        """Return all courts that the server has, as far as it was asked, by id; raises StoreUnavailable."""
        rows = self._database.rows(
            "SELECT court_id, name, citation, jurisdiction, in_use FROM courtlistener.known_courts "
            "WHERE is_there ORDER BY court_id"
        )
        return [Court(*row) for row in rows]

    def keep(self, courts: Iterable[Court], absent: Iterable[str] = ()) -> None:
        """Keep courts as they were just read, and ids that the server does not have; raises StoreUnavailable."""
        with self._database.transaction() as connection:
            _keep(connection, courts)
            connection.cursor().executemany(
                "INSERT INTO courtlistener.known_courts (court_id, is_there) VALUES (%s, false) "
                "ON CONFLICT (court_id) DO UPDATE SET is_there = false, read_at = now()",
                [(court,) for court in sorted(absent)],
            )

    def list_state(self) -> ListState:
        """Return how far the list was read; raises StoreUnavailable."""
        rows = self._database.rows("SELECT next_page, read_at FROM courtlistener.court_list")
        return ListState(*rows[0]) if rows else ListState()

    def keep_page(self, courts: Iterable[Court], number: int, *, is_last: bool) -> None:
        """Keep a page of the list together with how far it was read; raises StoreUnavailable.

        A court that the whole list no longer names is unknown again: only an answer about itself says that it is gone.
        """
        with self._database.transaction() as connection:
            connection.execute(_NEXT_PAGE, {"number": number})
            _keep(connection, courts)
            if is_last:
                connection.execute(_FINISH)
                connection.execute(_FORGET_UNLISTED)


def _keep(connection: Connection, courts: Iterable[Court]) -> None:
    rows = sorted((each.id, each.name, each.citation, each.jurisdiction, each.in_use) for each in courts)
    connection.cursor().executemany(_KEEP, rows)


_KEEP = """
    INSERT INTO courtlistener.known_courts (court_id, is_there, name, citation, jurisdiction, in_use)
    VALUES (%s, true, %s, %s, %s, %s)
    ON CONFLICT (court_id) DO UPDATE SET is_there = true, name = excluded.name, citation = excluded.citation,
        jurisdiction = excluded.jurisdiction, in_use = excluded.in_use, read_at = now()
"""
_NEXT_PAGE = """
    INSERT INTO courtlistener.court_list (next_page) VALUES (%(number)s::int + 1)
    ON CONFLICT (only_row) DO UPDATE SET next_page = excluded.next_page,
        begun_at = CASE WHEN %(number)s::int = 1 THEN now() ELSE court_list.begun_at END
"""
_FINISH = "UPDATE courtlistener.court_list SET next_page = 1, read_at = now()"
_FORGET_UNLISTED = """
    DELETE FROM courtlistener.known_courts
    WHERE is_there AND read_at < (SELECT begun_at FROM courtlistener.court_list)
"""
