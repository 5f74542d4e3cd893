"""Many courts kept fresh by sweeps over their jurisdictions: what that costs, and what of it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.download import jurisdictions
from courtlistener_assets.download.jurisdictions import grouping_of
from resources.connections.postgres import Database
from resources.errors import SettingError
from resources.records.jurisdictions import Grouping, Jurisdictions
from tests.integration.pipeline_harness import Pipeline
from tests.integration.test_fresh_data import catch_up, scheduled

APPELLATE, DISTRICTS = (
    tuple(court["id"] for court in shapes.known_courts() if court["jurisdiction"] == code) for code in ("F", "FD")
)
CONFIGURED = (*APPELLATE, *DISTRICTS[:86])
FREE_ACCOUNT = 125


@pytest.fixture
def pipeline_settings() -> Mapping[str, str]:
    return {"COURTLISTENER_COURTS": ",".join(CONFIGURED), "COURTLISTENER_GROUPED": "F,FD"}


def new_docket(pipeline: Pipeline, court: str) -> int:
    """A docket that was filed just now; returns its id."""
    corpus = pipeline.simulator.corpus
    id = max(docket["id"] for docket in corpus.dockets) + 1
    now = datetime.now(UTC)
    corpus.add("dockets", shapes.docket(id, court, "New v. Old", now, date_filed=now.date().isoformat()))
    return id


def requests_of(pipeline: Pipeline) -> int:
    return int(pipeline.simulator.summary()["admitted"])


def test_a_hundred_courts_are_kept_fresh_within_a_free_account(pipeline: Pipeline) -> None:
    """60 dockets are filed a day in 30 courts, of which 22 are configured."""
    assert len(CONFIGURED) == 100
    spent, wanted = [], set()
    for day in range(3):
        before = requests_of(pipeline)
        for request in scheduled(pipeline, "catch_up", datetime(2024, 3, 1 + day, 3, 30, tzinfo=UTC)):
            assert pipeline.launch(request, "catch_up").success
        spent.append(requests_of(pipeline) - before)
        if day:
            found = {id for (id,) in pipeline.rows("SELECT id FROM courtlistener.dockets")}
            assert found == wanted
        for number in range(60):
            court = DISTRICTS[64 + number % 30]
            id = new_docket(pipeline, court)
            wanted |= {id} if court in CONFIGURED else set()
    print(f"requests a day for {len(CONFIGURED)} courts: {spent}")
    # The first day also asks which courts the jurisdictions have: 14 and 94, 20 a page.
    assert spent[0] == 10 + 1 + 5
    # After it a sweep costs one request, and one more for each further page.
    assert spent[1] == 9 + 60 // 20
    # What falls into the overlap comes twice.
    assert spent[2] <= 9 + 2 * 60 // 20
    assert max(spent) <= FREE_ACCOUNT
    current = pipeline.rows("SELECT count(*), min(current_as_of) > now() - interval '1 hour' FROM courtlistener.courts")
    assert current == [(100, True)]


def test_a_group_stores_what_belongs_to_configured_courts_only(pipeline: Pipeline) -> None:
    catch_up(pipeline, "FD")
    ours, theirs = new_docket(pipeline, CONFIGURED[-1]), new_docket(pipeline, DISTRICTS[-1])
    metadata = catch_up(pipeline, "FD")
    assert (metadata["courts"], metadata["dockets_modified"]) == (86, 1)
    assert pipeline.rows("SELECT id, court_id FROM courtlistener.dockets") == [(ours, CONFIGURED[-1])]
    assert theirs not in [id for (id,) in pipeline.rows("SELECT id FROM courtlistener.records")]


def test_a_court_of_a_group_can_still_be_caught_up_with_by_itself(pipeline: Pipeline) -> None:
    id = new_docket(pipeline, "ca9")
    assert catch_up(pipeline, "ca9")["courts"] == 1
    assert pipeline.rows("SELECT id FROM courtlistener.dockets") == [(id,)]


# --- which courts a group has -----------------------------------------------------------------------------------------


class Courts:
    """A client that answers with lists of courts and counts how often it was asked."""

    def __init__(self, **courts: list[str]) -> None:
        self.courts, self.asked = courts, 0

    def numbered(self, endpoint: str, *, jurisdiction: str) -> list[dict[str, str]]:
        assert endpoint == "courts"
        self.asked += 1
        return [{"id": court} for court in self.courts[jurisdiction]]


def grouping(client: Courts, known: Jurisdictions, codes: str, courts: str, **options: Any) -> Grouping:
    return grouping_of(client, known, codes.split(","), courts.split(","), **options)  # type: ignore[arg-type]


@pytest.fixture
def known(database: Database) -> Jurisdictions:
    return Jurisdictions(database)


def test_the_server_is_asked_once_in_thirty_days(known: Jurisdictions) -> None:
    client = Courts(F=["scotus", "ca9"], FD=["cand"])
    found = grouping(client, known, "F,FD", "ca9,cand,cal")
    assert found.groups == {"F": ("ca9",), "FD": ("cand",)}
    assert found.alone == ("cal",)
    assert client.asked == 2
    assert grouping(client, known, "F,FD", "cal,cand,ca9").alone == ("cal",)
    now = datetime.now(UTC)
    grouping(client, known, "F,FD", "ca9", now=now + jurisdictions.READ_AGAIN_AFTER - timedelta(minutes=1))
    assert client.asked == 2
    grouping(client, known, "F,FD", "ca9", now=now + jurisdictions.READ_AGAIN_AFTER + timedelta(minutes=1))
    assert client.asked == 4


def test_a_court_or_group_that_is_new_to_the_settings_is_asked_about(known: Jurisdictions) -> None:
    client = Courts(F=["scotus", "ca9"], S=["cal"])
    grouping(client, known, "F", "ca9")
    assert grouping(client, known, "F", "ca9,scotus").groups == {"F": ("ca9", "scotus")}
    assert client.asked == 1  # It was in the list already.
    assert grouping(client, known, "F", "ca9,cal").alone == ("cal",)
    assert client.asked == 2
    assert grouping(client, known, "F,S", "ca9,cal").groups == {"F": ("ca9",), "S": ("cal",)}
    assert client.asked == 4
    assert grouping(client, known, "F", "ca9,cal").alone == ("cal",)
    assert client.asked == 4


def test_a_court_that_changes_its_jurisdiction_changes_its_group(known: Jurisdictions) -> None:
    later = datetime.now(UTC) + timedelta(days=31)
    grouping(Courts(F=["ca9", "cand"], FD=["nysd"]), known, "F,FD", "ca9,cand")
    found = grouping(Courts(F=["ca9"], FD=["cand", "nysd"]), known, "F,FD", "ca9,cand", now=later)
    assert found.groups == {"F": ("ca9",), "FD": ("cand",)}


def test_without_groups_nothing_is_asked(known: Jurisdictions) -> None:
    assert grouping_of(Courts(), known, [], ["ca9"]).alone == ("ca9",)  # type: ignore[arg-type]


def test_courts_that_are_in_no_group_follow_once_that_is_known(pipeline: Pipeline, known: Jurisdictions) -> None:
    now = datetime(2024, 3, 1, 3, 30, tzinfo=UTC)
    assert [request.partition_key for request in scheduled(pipeline, "catch_up", now)] == ["F", "FD"]
    known.replace({"F": APPELLATE, "FD": [court for court in DISTRICTS if court != "nysd"]}, CONFIGURED)
    assert [request.partition_key for request in scheduled(pipeline, "catch_up", now)] == ["F", "FD", "nysd"]
    known.replace({"F": APPELLATE, "FD": DISTRICTS[86:]}, CONFIGURED)
    assert [request.partition_key for request in scheduled(pipeline, "catch_up", now)] == ["F", *DISTRICTS[:86]]


@pytest.mark.parametrize(("value", "hint"), [("f", "did you mean F"), ("X", "there are F, FD")])
def test_a_jurisdiction_that_there_is_not_is_named(value: str, hint: str) -> None:
    with pytest.raises(SettingError, match=hint):
        jurisdictions.jurisdictions(value)
