"""Bulk files as assets, as a sensor and as a command: without a request, and the next increment asks for little."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.defs.assets.bulk import BULK_ASSETS, DUMPS
from courtlistener_assets.devkit.bulk.invented import Invented, Size
from courtlistener_assets.operations.bootstrap import plan
from courtlistener_assets.settings import Settings
from resources.errors import DumpUnavailable, SettingError
from tests.bulk_files import DAY
from tests.integration.pipeline_harness import Pipeline

SIZE = Size(dockets=60, words=40, first_day=date(2024, 1, 1), days=900)


@pytest.fixture
def pipeline_settings(tmp_path: Path) -> Mapping[str, str]:
    Invented(SIZE).write(tmp_path / "dump", DAY)
    return {"COURTLISTENER_BULK_URL": str(tmp_path / "dump"), "COURTLISTENER_BULK_DIR": str(tmp_path / "work")}


def sensor_result(pipeline: Pipeline) -> Any:
    definition = pipeline.defs.get_repository_def().get_sensor_def("new_dumps")
    with dg.build_sensor_context(
        instance=pipeline.instance, definitions=pipeline.defs, sensor_name="new_dumps"
    ) as context:
        return definition.evaluate_tick(context)


def load(pipeline: Pipeline, day: date = DAY) -> Any:
    pipeline.instance.add_dynamic_partitions(DUMPS, [day.isoformat()])
    return pipeline.run("bootstrap", day.isoformat())


def test_a_run_fills_the_months_without_a_request(pipeline: Pipeline, tmp_path: Path) -> None:
    requests = len(pipeline.simulator.log)
    assert load(pipeline).success
    assert len(pipeline.simulator.log) == requests
    for asset in BULK_ASSETS:
        assert pipeline.materialized(asset) == {DAY.isoformat()}
    months = {"ca9|2024-01-01", "scotus|2026-09-01"}
    for stream in ("dockets", "clusters", "opinions"):
        assert months <= pipeline.materialized(stream)
        [event] = pipeline.instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(stream), asset_partitions=["ca9|2024-01-01"]), limit=5
        ).records
        shown = event.asset_materialization
        assert shown is not None
        assert shown.metadata["source"].value == f"bulk of {DAY}"
    assert pipeline.materialized("docket_entries") == set()
    # What was kept for the time of the run is gone.
    assert list((tmp_path / "work").iterdir()) == []


def test_a_dump_becomes_a_partition_and_a_run_only_where_dumps_are_in_use(pipeline: Pipeline, tmp_path: Path) -> None:
    first = sensor_result(pipeline)
    assert [request.partition_keys for request in first.dynamic_partitions_requests] == [[DAY.isoformat()]]
    assert first.run_requests == []
    assert load(pipeline).success
    assert "known" in sensor_result(pipeline).skip_message
    Invented(SIZE).write(tmp_path / "dump", date(2026, 12, 31))
    [request] = sensor_result(pipeline).run_requests
    assert request.tags["dagster/partition"] == "2026-12-31"
    (tmp_path / "dump" / "opinions-2026-12-31.csv.bz2").unlink()
    (tmp_path / "dump" / f"opinions-{DAY}.csv.bz2").unlink()
    assert "lacks opinions" in sensor_result(pipeline).skip_message


def test_only_configured_courts_and_months_can_be_filled(pipeline: Pipeline) -> None:
    pipeline.instance.add_dynamic_partitions(DUMPS, [DAY.isoformat()])
    config = {"ops": {"bootstrap_from_bulk": {"config": {"courts": ["ca9"], "first_month": "2025-01"}}}}
    assert pipeline.run("bootstrap", DAY.isoformat(), run_config=config).success
    assert {court for (court,) in pipeline.rows("SELECT DISTINCT court_id FROM courtlistener.records")} == {"ca9"}
    assert min(pipeline.materialized("clusters")) == "ca9|2025-01-01"
    settings = Settings.from_environ(pipeline.environ)
    with pytest.raises(SettingError, match="COURTLISTENER_COURTS does not have nysd"):
        plan(settings, courts=["nysd"])
    with pytest.raises(SettingError, match="earlier months"):
        plan(settings, first_month=date(2023, 12, 1))


def test_a_damaged_file_fails_the_run_and_the_next_one_goes_on(pipeline: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "dump" / f"opinions-{DAY}.csv.bz2"
    whole = path.read_bytes()
    path.write_bytes(whole[:2000] + b"\0\0\0\0" + whole[2004:])
    result = load(pipeline)
    assert not result.success
    assert "DumpDamaged" in str(result.all_events[-2:]) or any(
        "DumpDamaged" in str(event.event_specific_data) for event in result.all_events
    )
    path.write_bytes(whole)
    assert load(pipeline).success


def test_the_command_says_what_it_does_and_does_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in pipeline.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, ["bootstrap", "--courts", "ca9"], input="n\n")
    assert refused.exit_code == 1
    assert "ca9 from 2024-01 on, as of 2026-09-29" in refused.output
    assert "are free" in refused.output
    assert pipeline.rows("SELECT FROM pg_class WHERE relname = 'oral_arguments'") == []
    done = CliRunner().invoke(main, ["bootstrap", "--courts", "ca9", "--from", "2024-06", "--yes"])
    assert done.exit_code == 0, done.output
    assert "Stored: " in done.output
    assert pipeline.rows("SELECT FROM courtlistener.records WHERE source = 'bulk' LIMIT 1")
    wrong = CliRunner().invoke(main, ["bootstrap", "--courts", "nysd", "--yes"])
    assert wrong.exit_code == 1
    assert "COURTLISTENER_COURTS does not have nysd" in wrong.output


def test_two_do_not_work_in_one_folder(tmp_path: Path) -> None:
    from courtlistener_assets.download.bulk.work import Workshop

    work = Workshop(tmp_path, {})
    with pytest.raises(DumpUnavailable, match="another run"):
        Workshop(tmp_path, {})
    work.close()
    Workshop(tmp_path, {}).close()
