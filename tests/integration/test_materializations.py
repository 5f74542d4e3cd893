"""What Dagster is told of a partition: one materialization a run, with what the table has now and as of when."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.devkit.simulator.expected import expected
from tests.integration.pipeline_harness import MONTH, Pipeline

FEBRUARY, MARCH = "scotus|2024-02-01", "scotus|2024-03-01"
MONTHS = {"dagster/asset_partition_range_start": MONTH, "dagster/asset_partition_range_end": MARCH}
DOWNLOADS = ["dockets", "clusters", "opinions", "docket_entries"]


def materialized(pipeline: Pipeline, asset: str) -> list[dg.AssetMaterialization]:
    """All materializations that the instance has of an asset, oldest first."""
    records = pipeline.instance.fetch_materializations(dg.AssetKey(asset), limit=1000, ascending=True).records
    return [record.asset_materialization for record in records if record.asset_materialization]


def values(event: dg.AssetMaterialization | dg.AssetObservation) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


def stored(pipeline: Pipeline, asset: str, month: str) -> int:
    return len(expected(pipeline.simulator.corpus, ["scotus"], month, month)["ids"][asset])


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_partition_is_materialized_once_a_run_and_what_is_made_from_it_is_made(
    pipeline: Pipeline, many: bool
) -> None:
    months = [MONTH, FEBRUARY, MARCH] if many else [MONTH]
    result = pipeline.run("court_month", *([] if many else [MONTH]), tags=MONTHS if many else {}, raise_on_error=True)
    for asset in [*DOWNLOADS, "vector_inputs"]:
        events = materialized(pipeline, asset)
        assert Counter(event.partition for event in events) == Counter(months), asset
        assert [dict(event.tags or {}).get("dagster/partition/court") for event in events] == ["scotus"] * len(months)
        assert pipeline.materialized(asset) == set(months)
    checked = {(each.asset_key.to_user_string(), each.partition) for each in result.get_asset_check_evaluations()}
    assert checked == {(asset, month) for asset in [*DOWNLOADS, "vector_inputs"] for month in months}
    said = [entry.user_message for entry in pipeline.instance.all_logs(result.run_id)]
    assert not [line for line in said if "did not yield" in line]


def test_a_partition_shows_what_the_table_has_now_not_what_the_pass_brought(pipeline: Pipeline) -> None:
    before = datetime.now(UTC)
    for _ in range(2):
        pipeline.run("downloads", MONTH, raise_on_error=True)
    for asset in DOWNLOADS:
        first, second = map(values, materialized(pipeline, asset))
        count = stored(pipeline, asset, "2024-01")
        assert (first["dagster/partition_row_count"], second["dagster/partition_row_count"]) == (count, count) != (0, 0)
        assert second["downloaded_objects"] == 0
        assert (
            before.timestamp() - 1 <= first["current_as_of"] <= second["current_as_of"] <= datetime.now(UTC).timestamp()
        )


def test_the_version_of_a_partitions_data_moves_with_its_rows_only(pipeline: Pipeline) -> None:
    def version() -> str:
        return str((materialized(pipeline, "clusters")[-1].tags or {})["dagster/data_version"])

    pipeline.run("downloads", MONTH, raise_on_error=True)
    first = version()
    pipeline.run("downloads", MONTH, raise_on_error=True)
    assert version() == first
    [(cluster,)] = pipeline.rows("SELECT min(id) FROM courtlistener.clusters")
    pipeline.simulator.corpus.touch("clusters", cluster, case_name="Roe v. Wade")
    pipeline.run("downloads", MONTH, raise_on_error=True)
    assert version() != first


def test_the_totals_of_a_run_stand_beside_its_partitions_not_in_them(
    pipeline: Pipeline,
) -> None:
    result = pipeline.run("downloads", tags=MONTHS, asset_selection=[dg.AssetKey("clusters")], raise_on_error=True)
    for event in materialized(pipeline, "clusters"):
        assert not [name for name in event.metadata if name.endswith("_of_run")]
        assert "api_calls" not in event.metadata
    [record] = pipeline.instance.fetch_observations(dg.AssetKey("clusters"), limit=10).records
    assert record.asset_observation
    totals = values(record.asset_observation)
    sent = [each for each in pipeline.simulator.truth.entries if each.endpoint != "api-usage"]
    assert (record.run_id, record.asset_observation.partition) == (result.run_id, None)
    assert (totals["partitions_of_run"], totals["requests_of_run"]) == (3, len(sent) + 1)
    lines = [entry.user_message for entry in pipeline.instance.all_logs(result.run_id) if not entry.dagster_event]
    assert not [line for line in lines if "requests of run" in line]  # The observation says it.
    lines = [line for line in lines if line.startswith("clusters scotus|")]
    assert len(lines) == 3
    assert "downloaded objects " in lines[0]
    assert "{" not in "".join(lines)


def test_assets_name_their_tables_and_the_columns_that_the_database_has(pipeline: Pipeline) -> None:
    graph = pipeline.defs.resolve_asset_graph()
    found = pipeline.rows(
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns "
        "WHERE table_schema = 'courtlistener' AND table_name = 'records' ORDER BY ordinal_position"
    )
    short = {"timestamp with time zone": "timestamptz"}
    columns = [(name, short.get(kind, kind), nullable) for name, kind, nullable in found]
    for asset in [*DOWNLOADS, "court_changes"]:
        metadata = graph.get(dg.AssetKey(asset)).metadata
        table = "records" if asset == "court_changes" else asset
        assert metadata["dagster/table_name"] == f"courtlistener.{table}"
        schema = metadata["dagster/column_schema"]
        shown = [(each.name, each.type, each.constraints.nullable) for each in schema.columns]
        assert shown == columns
        assert all(each.description for each in schema.columns)
    chunks = graph.get(dg.AssetKey("vector_inputs")).metadata["dagster/column_schema"]
    assert {"chunk_id", "text", "court_id"} <= {column.name for column in chunks.columns}
