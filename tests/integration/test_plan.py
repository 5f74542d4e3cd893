"""`courtlistener plan`: what it asks, what it says, and how far that is from what a real download takes."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.devkit.simulator.bulk_files import BULK_ROOT
from courtlistener_assets.download.choice import known_tables
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.operations import plan as planning
from courtlistener_assets.operations.api import courtlistener
from courtlistener_assets.operations.status import read_status
from courtlistener_assets.settings import Settings
from resources.errors import SettingError
from resources.records.store import RecordStore
from tests.integration.pipeline_harness import Pipeline

COURTS = ("scotus", "ca9")
FIRST, TODAY = date(2024, 1, 1), date(2024, 3, 31)


@pytest.fixture(autouse=True)
def _bulk_files(pipeline: Pipeline) -> None:
    pipeline.environ["COURTLISTENER_BULK_URL"] = f"{pipeline.simulator.url}{BULK_ROOT}"


def settings_of(pipeline: Pipeline, **more: str) -> Settings:
    return Settings.from_environ({**pipeline.environ, **more})


def asked(pipeline: Pipeline) -> Counter[str]:
    """What was asked of the server, by endpoint, but for api-usage."""
    return Counter(each.endpoint for each in pipeline.simulator.truth.entries if each.endpoint != "api-usage")


def planned(pipeline: Pipeline, settings: Settings) -> planning.Estimate:
    question = planning.question(settings, pipeline.database, COURTS, FIRST, TODAY)
    planning.count(question, settings, pipeline.database, lambda line: None)
    return planning.estimate(question, settings, pipeline.database)


def test_four_requests_a_court_are_said_before_and_kept_for_a_day(pipeline: Pipeline) -> None:
    settings = settings_of(pipeline)
    pipeline.database.ensure_schema()
    question = planning.question(settings, pipeline.database, COURTS, FIRST, TODAY)
    assert "8 requests of your quota, 4 a court at most" in str(question)
    assert not asked(pipeline)
    planned(pipeline, settings)
    assert asked(pipeline) == dict.fromkeys(("dockets", "clusters", "opinions", "docket-entries"), 2)
    again = planning.question(settings, pipeline.database, COURTS, FIRST, TODAY)
    assert (again.requests, str(again)) == (0, "All counts are less than a day old: no request is sent.")


def test_the_estimate_is_what_the_download_takes(pipeline: Pipeline) -> None:
    settings = settings_of(pipeline)
    pipeline.database.ensure_schema()
    estimate = planned(pipeline, settings)
    before = asked(pipeline).total()
    store = RecordStore(pipeline.database, known_tables())
    store.prepare([table.name for table in known_tables()])
    with courtlistener(settings, max_wait_seconds=60).open() as client:
        sweeper = Sweeper(client, store, "run")
        for court in COURTS:
            for month in (1, 2, 3):
                for stream in settings.chosen_streams:
                    sweeper.walk_partition(stream, CourtMonth(court, date(2024, month, 1)))
    took = asked(pipeline).total() - before
    assert estimate.requests == estimate.requests_left == pytest.approx(took, rel=0.15)
    after = planned(pipeline, settings)
    assert (after.requests, after.requests_left) == (estimate.requests, 0)
    assert estimate.partitions == 6
    assert estimate.bulk
    # Filings are in no bulk file.
    assert 6 <= estimate.bulk.requests < estimate.requests


def test_it_ends_with_the_last_month_that_is_configured_as_the_partitions_do(pipeline: Pipeline) -> None:
    settings = settings_of(pipeline, COURTLISTENER_LAST_MONTH="2024-02")
    pipeline.database.ensure_schema()
    question = planning.question(settings, pipeline.database, COURTS, FIRST, TODAY)
    planning.count(question, settings, pipeline.database, lambda line: None)
    estimate = planning.estimate(question, settings, pipeline.database)
    assert (estimate.months, estimate.partitions) == (2, 4)
    # The whole quarter has more.
    whole = planning.question(settings_of(pipeline), pipeline.database, COURTS, FIRST, TODAY)
    assert whole.requests == question.requests
    planning.count(whole, settings, pipeline.database, lambda line: None)
    more = planning.estimate(whole, settings, pipeline.database).objects
    assert all(more[asset] > count for asset, count in estimate.objects.items())
    # Each is known, for who goes back to it.
    again = planning.question(settings, pipeline.database, COURTS, FIRST, TODAY)
    assert again.requests == 0
    found = planning.estimate(again, settings, pipeline.database)
    assert (found.objects, found.requests_left) == (estimate.objects, estimate.requests_left)
    with pytest.raises(SettingError, match="is after COURTLISTENER_LAST_MONTH=2024-02"):
        planning.question(settings, pipeline.database, COURTS, date(2024, 3, 1), TODAY)


def test_what_never_ends_is_null_in_json(pipeline: Pipeline) -> None:
    settings = settings_of(pipeline)
    pipeline.database.ensure_schema()
    found = planning.estimate(
        planning.question(settings, pipeline.database, COURTS, FIRST, TODAY), settings, pipeline.database
    )
    assert found.bulk
    endless = replace(found, seconds=math.inf, bulk=replace(found.bulk, requests_seconds=math.inf))
    body = json.loads(planning.as_json(endless), parse_constant=pytest.fail)
    assert body["seconds"] is body["bulk"]["requests_seconds"] is None


def test_a_court_that_the_server_does_not_have_is_named_with_what_may_be_meant(pipeline: Pipeline) -> None:
    settings = settings_of(pipeline)
    pipeline.database.ensure_schema()
    question = planning.question(settings, pipeline.database, ["ca99"], FIRST, TODAY)
    with pytest.raises(SettingError, match="no court 'ca99'; did you mean ca9"):
        planning.count(question, settings, pipeline.database, lambda line: None)
    with pytest.raises(SettingError, match="yet to come"):
        planning.question(settings, pipeline.database, COURTS, date(2025, 1, 1), TODAY)


def test_without_a_token_nothing_can_be_counted(pipeline: Pipeline) -> None:
    settings = settings_of(pipeline, COURTLISTENER_API_TOKEN="")
    pipeline.database.ensure_schema()
    question = planning.question(settings, pipeline.database, COURTS, FIRST, TODAY)
    with pytest.raises(SettingError, match="counts for accounts only"):
        planning.count(question, settings, pipeline.database, lambda line: None)


def test_the_command_asks_first_and_its_counts_make_the_status_surer(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in pipeline.environ.items():
        monkeypatch.setenv(name, value)
    refused = CliRunner().invoke(main, ["plan"], input="n\n")
    assert refused.exit_code == 1
    assert not asked(pipeline)
    result = CliRunner().invoke(main, ["plan", "--courts", "scotus,ca9", "--from", "2024-01"], input="y\n")
    assert result.exit_code == 0, result.output
    for said in ("partitions of each asset", "Over the API: about", "From the bulk files of", "GB", "chunks"):
        assert said in result.output.replace("MB", "GB")
    machine = CliRunner().invoke(main, ["plan", "--json"])
    found = json.loads(machine.stdout)
    assert found["requests_left"] == found["requests"]
    status = read_status(settings_of(pipeline), pipeline.database)
    assert status.pipeline.requests_left == pytest.approx(found["requests"], rel=0.05)
