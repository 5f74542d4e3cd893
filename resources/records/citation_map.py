"""Which opinion cites which, and how often: `courtlistener.citation_map`, which only bulk files have with the depth.

Belongs here: storing the citations of a dump. Does not belong here: reading them
(`courtlistener_assets/download/bulk/citations.py`), or citations that are printed in texts (`cited.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from resources.connections.postgres import Database


class CitationMap:
    """The citations by opinions that are stored, and of them, each as of the newest dump that has it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, citations: Iterable[Sequence[str | int]], *, as_of: datetime) -> int:
        """Store citations (citing opinion, cited opinion, depth) of a dump in one transaction; returns how many.

        What a later dump has said of a citing opinion stays. The same can be stored again.
        """
        with self._database.transaction() as connection:
            connection.execute(_COMING)
            with connection.cursor().copy("COPY coming FROM STDIN") as copy:
                for citation in citations:
                    copy.write_row(citation)
            return connection.execute(_UPSERT.encode(), {"as_of": as_of}).rowcount

    def forget_older(self, opinions: Iterable[int], *, as_of: datetime) -> int:
        """Remove what earlier dumps said of these opinions, once all of a dump is stored; returns how many."""
        with self._database.transaction() as connection:
            connection.execute("CREATE TEMPORARY TABLE known (id bigint) ON COMMIT DROP")
            with connection.cursor().copy("COPY known FROM STDIN") as copy:
                for id in opinions:
                    copy.write_row((id,))
            return connection.execute(_FORGET.encode(), {"as_of": as_of}).rowcount


_COMING = "CREATE TEMPORARY TABLE coming (citing bigint, cited bigint, depth integer) ON COMMIT DROP"

_UPSERT = """
INSERT INTO courtlistener.citation_map AS known (citing_opinion_id, cited_opinion_id, depth, as_of)
SELECT DISTINCT ON (citing, cited) citing, cited, depth, %(as_of)s FROM coming
WHERE NOT EXISTS (SELECT FROM courtlistener.citation_map later
    WHERE later.citing_opinion_id = coming.citing AND later.as_of > %(as_of)s)
ORDER BY citing, cited, depth DESC
ON CONFLICT (citing_opinion_id, cited_opinion_id) DO UPDATE SET depth = excluded.depth, as_of = excluded.as_of
"""

_FORGET = """
DELETE FROM courtlistener.citation_map
WHERE as_of < %(as_of)s
    AND (citing_opinion_id IN (SELECT id FROM known) OR cited_opinion_id IN (SELECT id FROM known))
"""
