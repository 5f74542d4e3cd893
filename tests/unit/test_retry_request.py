"""From a claim on failed dockets to the run that retries them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from courtlistener_assets.defs.assets.failed_dockets import failures_table, table
from courtlistener_assets.defs.jobs import ForgetConfig
from courtlistener_assets.defs.names import Names
from courtlistener_assets.defs.sensors.resume_deferred import resume_request
from courtlistener_assets.defs.sensors.retry_failed_dockets import retry_request
from courtlistener_assets.download.membership import COURT_CHANGES
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.streams import STREAMS
from resources.backlog.deferrals import Deferral
from resources.backlog.failure_entries import OpenFailure
from resources.backlog.failures import Claim

MOMENT = datetime(2024, 1, 31, 13, 5, tzinfo=UTC)
MONTH = "ca9|2024-01-01"
PLAIN = OpenFailure(
    "TransientApiError",
    "500",
    id=1,
    asset="dockets",
    partition=MONTH,
    sweep="filed",
    tries=1,
    requests=2,
    first_at=MOMENT,
    last_at=MOMENT,
    due_at=MOMENT,
)


def config(*failures: OpenFailure, asset: str = "dockets") -> dict[str, object]:
    request = retry_request(Claim("claim", MONTH, 1, tuple(failures)), Names())
    found = dict(request.run_config["ops"][asset]["config"])
    assert found.pop("claim_id") == "claim"
    return found


@pytest.mark.parametrize(
    ("failure", "dockets", "objects", "ranges"),
    [
        (replace(PLAIN, docket_id=17), [17], [], []),
        (replace(PLAIN, sweep="docket:17", after_id=3, up_to_id=9), [17], [], []),
        (replace(PLAIN, docket_id=17, object_id=99), [], [99], []),
        (replace(PLAIN, sweep="docket:17", object_id=99), [], [99], []),
        (replace(PLAIN, sweep="filed:90-99", object_id=99), [], [99], []),
        (replace(PLAIN, sweep="recap_documents", object_id=99), [], [], [("recap_documents", 98, 99)]),
        (replace(PLAIN, after_id=40, up_to_id=60), [], [], [("filed", 40, 60)]),
    ],
)
def test_a_retry_asks_for_the_one_object_or_for_its_docket_or_for_a_range_of_the_sweep(
    failure: OpenFailure, dockets: list[int], objects: list[int], ranges: list[tuple[str, int, int]]
) -> None:
    wanted = [{"sweep": sweep, "after_id": after, "up_to_id": up_to} for sweep, after, up_to in ranges]
    assert config(failure) == {"docket_ids": dockets, "object_ids": objects, "id_ranges": wanted}


def test_a_courts_changes_are_asked_for_by_ids_even_where_the_docket_is_known() -> None:
    failure = replace(PLAIN, asset=COURT_CHANGES, sweep="clusters", docket_id=17, object_id=99)
    found = config(failure, asset=COURT_CHANGES)
    ranges = [{"sweep": "clusters", "after_id": 98, "up_to_id": 99}]
    assert found == {"docket_ids": [], "object_ids": [], "id_ranges": ranges}


@pytest.mark.parametrize(
    ("partition", "job"),
    [(MONTH, "retry_failed_dockets"), ("ca9", "catch_up"), ("FD", "catch_up"), ("ca9|undated", "undated"),
     ("all", "whole_streams")],
)  # fmt: skip
def test_each_kind_of_partition_has_its_job(partition: str, job: str) -> None:
    assert retry_request(Claim("claim", partition, 1, (replace(PLAIN, partition=partition),)), Names()).job_name == job


def test_dockets_whose_court_is_not_known_are_looked_up() -> None:
    request = retry_request(Claim("claim", "", 1, (replace(PLAIN, partition="", docket_id=17),)), Names(("mine",)))
    assert (request.job_name, request.partition_key) == ("mine__look_up_failed_dockets", None)
    assert request.run_config == {"ops": {"mine__look_up_dockets": {"config": {"claim_id": "claim"}}}}


@pytest.mark.parametrize("key", [MONTH, "ca9|2024-05-17", "ca9|undated", "ca9", "F", "FD", "all"])
def test_keys_of_partitions_are_taken(key: str) -> None:
    assert ForgetConfig(partitions=[key]).partitions == [key]


@pytest.mark.parametrize(
    "key", ["hunter2", "0123456789abcdef0123456789abcdef01234567", "ca9|", "fd9x", "ca9|undated|x"]
)
def test_what_may_be_a_password_is_no_key_and_is_not_quoted(key: str) -> None:
    with pytest.raises(dg.Failure, match="a partition key is") as raised:
        ForgetConfig(partitions=[key])
    assert key not in str(raised.value)


def test_a_run_that_resumes_a_download_without_months_makes_its_text_too() -> None:
    until = datetime(2024, 1, 31, tzinfo=UTC)
    deferral = Deferral("undated_dockets", "ca9|undated", until, "", "run", downstream=["undated_vector_inputs"])
    text = Deferral("undated_vector_inputs", "ca9|undated", until, "", "run")
    for deferrals in ([deferral], [deferral, text]):
        request = resume_request(deferrals, Names(), lambda asset, key: True)
        assert request.job_name == "undated"
        assert [key.to_user_string() for key in request.asset_selection or ()] == [
            "undated_dockets",
            "undated_vector_inputs",
        ]
        assert request.run_config == {
            "ops": {
                "undated_dockets": {"config": {"resumes": "run"}},
                "undated_vector_inputs": {"config": {"as_made": True}},
            }
        }


def test_the_run_key_differs_between_attempts_and_between_sets_of_failures() -> None:
    one, other = replace(PLAIN, docket_id=17), replace(PLAIN, id=2, docket_id=18)
    keys = {
        retry_request(claim, Names()).run_key
        for claim in (Claim("a", MONTH, 1, (one,)), Claim("b", MONTH, 2, (one,)), Claim("c", MONTH, 1, (one, other)))
    }
    assert len(keys) == 3


@pytest.mark.parametrize("stream", [each for each in STREAMS if each.docket_filter], ids=lambda each: each.name)
def test_the_sweeps_of_a_retry_stay_within_the_court(stream: Stream) -> None:
    parts = [sweep.part(98, 99) for sweep in stream.sweeps]
    for sweep in (stream.docket_sweep(17), stream.object_sweep(99), *parts):
        assert "ca9" in sweep.params(CourtMonth("ca9", date(2024, 1, 1))).values()


def test_a_table_survives_whatever_a_cell_holds() -> None:
    text = table({"message": lambda row: row}, ["a | b\nc <script>", "x" * 500])
    [_, _, first, second] = text.split("\n")
    assert first == "| a \\| b c &lt;script> |"
    assert len(second) < 200


def test_the_table_of_failures_has_three_narrow_columns() -> None:
    url = "500 Internal Server Error: /opinions/?cluster__docket__court=ca9&cluster__date_filed__gte=2024-02-01"
    [header, _, row] = failures_table([replace(PLAIN, object_id=36, message=url)]).split("\n")
    assert header == "| failure | error | tries |"
    assert row.startswith("| 1: dockets object 36 | TransientApiError: 500 Internal Server Error: /opinions/?cluste… |")
    assert max(map(len, row.split())) <= 18
