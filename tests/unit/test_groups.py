"""*Materialize all* of a group offers partitions only if its assets have the same ones."""

from __future__ import annotations

from collections import defaultdict

import pytest

from courtlistener_assets.location import location

EVERYTHING = {
    "COURTLISTENER_STREAMS": "dockets,clusters,opinions,docket_entries,oral_arguments,people",
    "COURTLISTENER_GROUPED": "F",
    "COURTLISTENER_CORPUS_COURTS": "all",
    "COURTLISTENER_VECTOR_STORE": "pgvector:chunks",
    "COURTLISTENER_EMBED": "json:dumps",
}


@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_all_assets_of_a_group_have_the_same_partitions(more: dict[str, str]) -> None:
    graph = location(more).resolve_asset_graph()
    groups = defaultdict(dict)
    for asset in (graph.get(key) for key in graph.get_all_asset_keys()):
        groups[asset.group_name][asset.key.to_user_string()] = asset.partitions_def
    assert {"downloads", "vector_inputs", "undated", "fresh_data", "operations"} <= set(groups)
    mixed = {name: assets for name, assets in groups.items() if len(set(assets.values())) > 1}
    assert mixed == {}
