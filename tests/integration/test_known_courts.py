"""Courts are those that the server has: what a run asks, what it is told, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.download import courts
from courtlistener_assets.operations.doctor.courts_checks import check_courts as examined
from courtlistener_assets.operations.doctor.findings import Severity
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.errors import SettingError, TransientApiError
from resources.records.known_courts import Court, KnownCourts
from tests.integration.pipeline_harness import Pipeline


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_COURTS": "scotus,ca9,mspb,texapp1,alaproct,uscfc"}


@pytest.fixture(autouse=True)
def _server_has(pipeline: Pipeline) -> None:
    """The server has courts that courts-db lacks, and lacks some that courts-db has: alaproct, and uscfc here."""
    corpus = pipeline.simulator.corpus
    corpus.add("courts", shapes.court("mspb", full_name="Merit Systems Protection Board", jurisdiction="FS"))
    corpus.add("courts", shapes.court("texapp1", full_name="Texas Court of Appeals, First District", jurisdiction="SA"))


@pytest.fixture
def known(database: Database) -> KnownCourts:
    return KnownCourts(database)


def asked(pipeline: Pipeline) -> list[str]:
    """What was requested, without api-usage."""
    paths = [entry.path.removeprefix("/api/rest/v4/") for entry in pipeline.simulator.log]
    return [path for path in paths if not path.startswith("api-usage")]


def failure_of(result: Any) -> str:
    [event] = [each for each in result.get_step_failure_events() if each.step_key == "dockets"]
    return str(event.step_failure_data.user_failure_data.description)


def dockets(pipeline: Pipeline, court: str) -> Any:
    return pipeline.run("downloads", f"{court}|2024-01-01")


# --- runs ------------------------------------------------------------------------------------------------------------


def test_federal_courts_cost_no_request_more(pipeline: Pipeline) -> None:
    assert dockets(pipeline, "scotus").success
    assert [path for path in asked(pipeline) if path.startswith("courts")] == []


@pytest.mark.parametrize("court", ["mspb", "texapp1"])
def test_a_court_that_courts_db_lacks_is_asked_about_once_and_downloaded(pipeline: Pipeline, court: str) -> None:
    id = max(docket["id"] for docket in pipeline.simulator.corpus.dockets) + 1
    modified = datetime(2024, 1, 9, tzinfo=UTC)
    pipeline.simulator.corpus.add("dockets", shapes.docket(id, court, "A v. B", modified, date_filed="2024-01-09"))
    assert dockets(pipeline, court).success
    assert pipeline.run("court_month", f"{court}|2024-02-01").success
    assert [path.partition("?")[0] for path in asked(pipeline)].count("courts/") == 1
    assert pipeline.rows("SELECT id FROM courtlistener.dockets") == [(id,)]


def test_a_court_that_the_server_lacks_is_named_before_anything_is_downloaded(pipeline: Pipeline) -> None:
    said = failure_of(dockets(pipeline, "alaproct"))
    assert "CourtListener has no court 'alaproct'" in said
    assert "did you mean" in said
    assert "COURTLISTENER_COURTS" in said
    [only] = asked(pipeline)
    assert only.startswith("courts/?")
    assert "has no court 'alaproct'" in failure_of(dockets(pipeline, "alaproct"))
    assert asked(pipeline) == [only]


def test_a_federal_court_that_the_server_refuses_is_named_by_its_refusal(pipeline: Pipeline) -> None:
    assert "CourtListener has no court 'uscfc'" in failure_of(dockets(pipeline, "uscfc"))
    assert [path for path in asked(pipeline) if path.startswith("courts")] == []
    sent = len(asked(pipeline))
    assert "CourtListener has no court 'uscfc'" in failure_of(dockets(pipeline, "uscfc"))
    assert len(asked(pipeline)) == sent


def test_a_court_that_was_founded_since_is_found_a_day_later(pipeline: Pipeline, known: KnownCourts) -> None:
    with pipeline.resources()["courtlistener"].open() as client:
        with pytest.raises(SettingError, match="no court 'alaproct'"):
            courts.confirm(client, known, ["alaproct"])
        pipeline.simulator.corpus.add("courts", shapes.court("alaproct"))
        with pytest.raises(SettingError, match="no court 'alaproct'"):
            courts.confirm(client, known, ["alaproct"])
        courts.confirm(client, known, ["alaproct"], now=datetime.now(UTC) + timedelta(days=1, minutes=1))
    assert courts.absent(known, ["alaproct"]) == []


# --- the list --------------------------------------------------------------------------------------------------------


def test_many_unknown_courts_are_looked_up_in_the_list(
    pipeline: Pipeline, known: KnownCourts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courts, "LIST_REQUESTS", 2)
    with pipeline.resources()["courtlistener"].open() as client, pytest.raises(SettingError) as raised:
        courts.confirm(client, known, ["scotus", "mspb", "texapp1", "alaproct"])
    assert "no court 'alaproct'" in str(raised.value)
    assert "mspb" not in str(raised.value)
    # 110 courts, 20 a request, and one more for the court that is not among them.
    assert len(asked(pipeline)) == 7


def test_hundreds_of_courts_that_the_server_lacks_are_not_all_asked_about(
    pipeline: Pipeline, known: KnownCourts
) -> None:
    lacking = [f"alact{number}" for number in range(200)]
    known.keep([], lacking[:190])
    later = datetime.now(UTC) + timedelta(days=2)
    with (
        pipeline.resources()["courtlistener"].open() as client,
        pytest.raises(SettingError, match="190 others") as said,
    ):
        courts.confirm(client, known, lacking, now=later)
    assert str(said.value).count("has no court") == 10
    # The list, and ten courts.
    assert len(asked(pipeline)) == 6 + 10


def test_what_stops_in_the_middle_of_the_list_goes_on_from_there(pipeline: Pipeline, known: KnownCourts) -> None:
    def stop(page: int, _: int) -> None:
        if page == 2:
            raise TransientApiError("the server went away")

    with pipeline.resources()["courtlistener"].open() as client:
        with pytest.raises(TransientApiError):
            courts.read_list(client, known, stop)
        assert known.list_state().next_page == 3
        assert known.list_state().read_at is None
        assert courts.read_list(client, known) == 4
    assert known.list_state().read_at is not None
    assert len(asked(pipeline)) == 6
    assert {each.id for each in known.all()} == {each["id"] for each in pipeline.simulator.corpus.table("courts")}


def test_a_court_that_the_list_no_longer_names_is_asked_about_again(known: KnownCourts) -> None:
    known.keep_page([Court("ca9"), Court("old")], 1, is_last=True)
    known.keep_page([Court("ca9")], 1, is_last=True)
    assert [each.id for each in known.all()] == ["ca9"]
    assert courts.unconfirmed(known, ["ca9", "old", "scotus"]) == ["old", "scotus"]
    assert courts.absent(known, ["ca9", "old"]) == []


def test_a_court_without_a_name_in_courts_db_has_the_servers(known: KnownCourts) -> None:
    known.keep([Court("mspb", "Merit Systems Protection Board")])
    assert courts.name_of_court("mspb", known) == "Merit Systems Protection Board"
    assert courts.name_of_court("scotus", known) == "Supreme Court of the United States"
    assert courts.name_of_court("nowhere", known) == ""


# --- the command -----------------------------------------------------------------------------------------------------


def command(*arguments: str, status: int = 0) -> Any:
    ended = CliRunner().invoke(main, ["courts", *arguments, "--json"])
    assert ended.exit_code == status, ended.output
    return json.loads(ended.stdout)


def test_the_command_finds_courts_in_the_servers_list_which_is_read_once(pipeline: Pipeline) -> None:
    found = command("texas", "first")
    assert [(each["id"], each["configured"]) for each in found["courts"]] == [("texapp1", True)]
    assert found["source"].startswith("CourtListener's list of 110 courts")
    assert [each["name"] for each in command("mspb")["courts"]] == ["Merit Systems Protection Board"]
    assert command("probate", status=1)["courts"] == []
    assert len(asked(pipeline)) == 6
    command("mspb", "--refresh")
    assert len(asked(pipeline)) == 12


def test_the_command_says_what_it_costs_and_shows_a_table(pipeline: Pipeline) -> None:
    ended = CliRunner().invoke(main, ["courts", "mspb"])
    assert ended.exit_code == 0
    assert "about 40 requests" in ended.stderr
    assert "Merit Systems" in ended.stdout
    assert "Federal Special" in ended.stdout


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("why", ["offline", "no token", "no Postgres"])
def test_the_command_searches_courts_db_where_the_server_cannot_be_asked(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "no token":
        monkeypatch.delenv("COURTLISTENER_API_TOKEN")
    if why == "no Postgres":
        monkeypatch.setenv("POSTGRES_URL", "postgresql://127.0.0.1:1/nowhere?connect_timeout=1")
    found = command("alabama", "probate", *(["--offline"] if why == "offline" else []))
    assert "alaproct" in [each["id"] for each in found["courts"]]
    assert found["source"].startswith("From courts-db")
    assert asked(pipeline) == []


def test_the_command_goes_on_with_courts_db_when_the_server_is_down(pipeline: Pipeline) -> None:
    pipeline.simulator.stop()
    found = command("mspb", status=1)
    assert "was read to page 0 only" in found["source"]


# --- the doctor ------------------------------------------------------------------------------------------------------


def test_the_doctor_names_courts_that_the_server_lacks(pipeline: Pipeline) -> None:
    settings = Settings.from_environ(pipeline.environ)
    [finding] = examined(settings)
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("CourtListener has no court 'alaproct'")
    assert finding.remedy.startswith("Correct COURTLISTENER_COURTS")
    # mspb, texapp1, alaproct; federal courts are not asked about.
    assert len(asked(pipeline)) == 3
    assert [each.severity for each in examined(settings)] == [Severity.ERROR]
    assert len(asked(pipeline)) == 3


def test_the_doctor_asks_about_a_few_courts_only(pipeline: Pipeline) -> None:
    many = ",".join(f"texapp{number}" for number in range(1, 15))
    [finding] = examined(Settings.from_environ({**pipeline.environ, "COURTLISTENER_COURTS": many}))
    assert finding.severity is Severity.NOTICE
    assert "texapp1, texapp2, texapp3, texapp4, texapp5 and 9 more" in finding.message
    assert asked(pipeline) == []


def test_the_doctor_is_content_with_courts_that_are_known(pipeline: Pipeline) -> None:
    settings = Settings.from_environ({**pipeline.environ, "COURTLISTENER_COURTS": "scotus,mspb"})
    [finding] = examined(settings)
    assert (finding.severity, finding.message) == (Severity.OK, "CourtListener has all 2")
