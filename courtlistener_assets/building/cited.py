"""The stored clusters that have a citation.

Belongs here: what the store says of them, as chunks need it. Does not belong here: finding citations
(`chunks/citations.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from courtlistener_assets.chunks.citations import CitedCluster
from courtlistener_assets.chunks.document import id_of
from resources.records.store import RecordStore


def cited_clusters(store: RecordStore) -> Callable[[Sequence[str]], Mapping[str, Sequence[CitedCluster]]]:
    """What finds the stored clusters that have some citations; each cluster names its opinions."""

    def find(citations: Sequence[str]) -> Mapping[str, Sequence[CitedCluster]]:
        found: dict[str, list[CitedCluster]] = {}
        for citation, cluster_id, opinions in store.cited.having(citations):
            ids = (id_of(each) for each in opinions) if isinstance(opinions, list) else ()
            found.setdefault(citation, []).append(CitedCluster(cluster_id, frozenset(id for id in ids if id)))
        return found

    return find
