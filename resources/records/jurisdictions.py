"""Which courts each jurisdiction has, as CourtListener said when it was last asked.

Belongs here: SQL about the table. Does not belong here: asking (`courtlistener_assets/download/jurisdictions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from resources.connections.postgres import Database

#: In place of a jurisdiction: the court is in none of those that were read.
_NONE = ""


@dataclass(frozen=True)
class Grouping:
    """Courts by the jurisdiction that serves them, in their own order.

    `alone` are those that are in none of the jurisdictions, `unknown` those of which nothing is known yet. `unread` are
    the jurisdictions that were never read; `read_at` is when the one that was read longest ago was read, None if none
    was.
    """

    groups: Mapping[str, tuple[str, ...]]
    alone: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    read_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it is known of every court which jurisdiction serves it, if any does."""
        return not self.unknown and not self.unread


class Jurisdictions:
    """The courts of the jurisdictions that were read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def grouping(self, codes: Sequence[str], courts: Sequence[str]) -> Grouping:
        """Return which of `codes` serves each of `courts`, as far as it is known; raises StoreUnavailable."""
        if not codes:
            return Grouping({}, alone=tuple(courts))
        rows = self._database.rows("SELECT court_id, jurisdiction, read_at FROM courtlistener.jurisdictions")
        group_of = {court: code for court, code, _ in rows}
        unread = tuple(code for code in codes if code not in set(group_of.values()))
        # What was in none of some jurisdictions may be in one that was not read then.
        known = {court: code for court, code in group_of.items() if code or not unread}
        return Grouping(
            {code: tuple(court for court in courts if known.get(court) == code) for code in codes},
            alone=tuple(court for court in courts if court in known and known[court] not in codes),
            unknown=tuple(court for court in courts if court not in known),
            unread=unread,
            read_at=min((read_at for _, code, read_at in rows if code in codes), default=None),
        )

    def replace(self, read: Mapping[str, Sequence[str]], courts: Sequence[str]) -> None:
        """Keep what was just read, the courts of some jurisdictions, and which of `courts` are in none of them.

        Raises StoreUnavailable.
        """
        group_of = sorted((court, code) for code, courts_of in read.items() for court in courts_of)
        with self._database.transaction() as connection:
            # Two runs that read at the same time store the same, one after the other.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('courtlistener.jurisdictions'))")
            connection.execute(
                "DELETE FROM courtlistener.jurisdictions WHERE jurisdiction = ANY(%(codes)s)", {"codes": list(read)}
            )
            connection.cursor().executemany(f"{_INSERT} DO UPDATE SET jurisdiction = excluded.jurisdiction", group_of)
            connection.cursor().executemany(f"{_INSERT} DO NOTHING", [(court, _NONE) for court in sorted(courts)])


_INSERT = "INSERT INTO courtlistener.jurisdictions (court_id, jurisdiction) VALUES (%s, %s) ON CONFLICT (court_id)"
