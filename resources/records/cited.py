"""Cited decisions: which stored clusters have a citation.

Belongs here: the query for some citations at a time. Does not belong here: finding citations in texts, choosing among
clusters that have the same (`courtlistener_assets/chunks/citations.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from resources.connections.postgres import Database

_CITED = """
SELECT cited, cluster.id, cluster.body->'sub_opinions'
FROM courtlistener.clusters cluster, unnest(courtlistener.citations_of(cluster.body)) AS cited
WHERE courtlistener.citations_of(cluster.body) && %(citations)s::text[] AND cited = ANY(%(citations)s::text[])
ORDER BY cited, cluster.id
"""


class CitedClusters:
    """The stored clusters by their citations, whatever their court and month."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def having(self, citations: Sequence[str]) -> list[tuple[str, int, Any]]:
        """Each cluster that has one of the citations (`540 U.S. 614`): citation, id, addresses of its opinions."""
        return [
            (cited, id, opinions) for cited, id, opinions in self._database.rows(_CITED, {"citations": [*citations]})
        ]
