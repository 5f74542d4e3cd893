"""Courts without a server: the form of ids, what may be meant, search."""

from __future__ import annotations

import pytest

from courtlistener_assets.defs.jobs import ForgetConfig
from courtlistener_assets.download.courts import check_courts, is_known_id, meant, offline, search
from courtlistener_assets.settings import Settings
from resources.errors import SettingError
from resources.records.known_courts import Court

COURTS = [
    Court("texapp", "Texas Court of Appeals", "Tex. App."),
    Court("texapp1", "Texas Court of Appeals, First District", "Tex. App.—Houston"),
    Court("tex", "Texas Supreme Court", "Tex."),
    Court("mspb", "Merit Systems Protection Board", "MSPB"),
]


def test_courts_that_the_server_may_have_are_accepted_without_asking() -> None:
    assert check_courts(("scotus", "mspb", "texapp1")) == ("scotus", "mspb", "texapp1")


@pytest.mark.parametrize("court", ["SCOTUS", "scotus;", "court of appeals", "ca9|2024-01-01"])
def test_what_is_no_id_is_refused(court: str) -> None:
    with pytest.raises(SettingError, match="is not the id of a court"):
        check_courts((court,))


def test_an_id_in_capitals_is_answered_with_the_one_that_is_meant() -> None:
    with pytest.raises(SettingError, match="did you mean scotus"):
        check_courts(("SCOTUS",))


def test_the_nearest_ids_are_named() -> None:
    assert meant("scotsu", offline()).startswith("; did you mean scotus")
    assert meant("xyzzy-plugh", offline()) == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["texapp"], ["texapp", "texapp1"]),
        (["tex"], ["tex", "texapp", "texapp1"]),
        (["first", "TEXAS"], ["texapp1"]),
        (["houston"], ["texapp1"]),
        (["probate"], []),
        ([], ["mspb", "tex", "texapp", "texapp1"]),
    ],
)
def test_a_court_is_found_by_its_id_name_or_citation_with_its_own_id_first(words: list[str], found: list[str]) -> None:
    assert [each.id for each in search(COURTS, words)] == found


def test_a_partition_of_a_configured_court_can_be_named_though_courts_db_lacks_it() -> None:
    assert not is_known_id("newcourt7")
    Settings(courts=("newcourt7",))
    assert ForgetConfig(partitions=["newcourt7"]).partitions == ["newcourt7"]
