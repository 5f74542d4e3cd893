"""From objects of the API to records."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from courtlistener_assets.download.partitions import CourtMonth, Everything, Selection
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.streams import STREAMS
from resources.errors import SettingError
from resources.records.model import PageOfRecords
from resources.records.tables import Members

PARTITION = CourtMonth("ca9", date(2024, 2, 1))
STREAM: dict[str, Stream] = {stream.name: stream for stream in STREAMS}
MODIFIED = {"date_modified": "2024-03-01T12:00:00.5-08:00"}


def read(name: str, *objects: Any, partition: Selection = PARTITION) -> PageOfRecords:
    """Read a page of these objects of a stream; fields of theirs that are needed and not named here are null."""

    def filled(body: Any, needs: list[str]) -> Any:
        return {**{field: body.get(field) for field in needs if "__" not in field}, **body}

    def complete(body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        inner = [field.partition("__")[2] for field in STREAM[name].needs if "__" in field]
        nested = [filled(each, inner) for each in body.get("recap_documents") or []]
        whole = filled(body, [*STREAM[name].needs, *STREAM[name].alternatives])
        return {**whole, "recap_documents": nested} if "recap_documents" in body else whole

    return STREAM[name].read_page([complete(body) for body in objects], partition)


def test_dockets_are_swept_by_filing_and_by_decision() -> None:
    filed, decided = (sweep.params(PARTITION) for sweep in STREAM["dockets"].sweeps)
    assert filed == {"court": "ca9", "date_filed__gte": "2024-02-01", "date_filed__lt": "2024-03-01"}
    assert decided == {
        "court": "ca9",
        "clusters__date_filed__gte": "2024-02-01",
        "clusters__date_filed__lt": "2024-03-01",
    }


OF_DOCKETS = [stream for stream in STREAMS if stream.docket_filter]


@pytest.mark.parametrize("stream", OF_DOCKETS, ids=lambda stream: stream.name)
def test_a_single_docket_is_taken_within_the_court(stream: Stream) -> None:
    params = stream.docket_sweep(7).params(PARTITION)
    assert sorted(params.values()) == ["7", "ca9"]


def test_a_docket_keeps_its_whole_body_and_its_keys() -> None:
    body = {"id": 5, "court_id": "ca9", "date_filed": "2024-02-03", "unknown_field": [1], **MODIFIED}
    [record] = read("dockets", body).records
    assert (record.id, record.docket_id, record.court_id, record.date_filed) == (5, 5, "ca9", date(2024, 2, 3))
    assert record.date_modified == datetime(2024, 3, 1, 20, 0, 0, 500_000, tzinfo=UTC)
    assert record.body == {**dict.fromkeys(STREAM["dockets"].needs), **body}


def test_documents_become_records_with_the_docket_of_their_entry() -> None:
    entry = {
        "id": 9,
        "docket": "https://example.com/api/rest/v4/dockets/5/",
        "date_filed": "2024-02-03",
        "recap_documents": [{"id": 90, "plain_text": "a", **MODIFIED}, {"id": 91, "plain_text": "", **MODIFIED}],
        **MODIFIED,
    }
    records = read("docket_entries", entry).records
    assert [(record.stream, record.id, record.docket_id, record.docket_entry_id) for record in records] == [
        ("docket_entries", 9, 5, 9),
        ("recap_documents", 90, 5, 9),
        ("recap_documents", 91, 5, 9),
    ]
    assert "recap_documents" not in records[0].body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"docket_id": 3}, "id is None"),
        ({"id": "12", "docket_id": 3}, "id is '12'"),
        ({"id": True, "docket_id": 3}, "id is True"),
        ({"id": 12, "docket_id": None}, "docket_id is None"),
        ({"id": 12, "docket_id": 3, "date_filed": "soon"}, "date_filed is 'soon'"),
        ({"id": 12, "docket_id": 3, "date_filed": 20240203}, "date_filed is 20240203"),
        ({"id": 12, "docket_id": 3, "date_modified": "2024-03-01T12:00:00"}, "with a zone"),
        ("text", "an object of the page is str"),
        (None, "an object of the page is NoneType"),
    ],
)
def test_an_object_that_does_not_fit_fails_alone(body: Any, reason: str) -> None:
    good = {"id": 1, "docket_id": 2, "date_filed": "2024-02-03", **MODIFIED}
    page = read("clusters", body, good)
    assert [record.id for record in page.records] == [1]
    [failure] = page.failures
    assert reason in failure.message
    if isinstance(body, dict):
        assert failure.docket_id == body["docket_id"]


@pytest.mark.parametrize("court", ["ca9\0", "x" * 3000, "ca 9", "ca9|x", "/"])
def test_a_court_is_an_id_that_an_index_can_hold(court: str) -> None:
    page = read("dockets", {"id": 5, "court_id": court, **MODIFIED})
    assert [failure.message for failure in page.failures] == [f"court_id is {court!r:.80}, not the id of a court"]


def test_what_a_cluster_lists_is_known_by_the_table_of_its_children() -> None:
    address = "https://example.com/api/rest/v4/opinions/{}/"
    listed = {"sub_opinions": [address.format(7), address.format(8)]}
    [record] = read("clusters", {"id": 1, "docket_id": 2, **listed, **MODIFIED}).records
    assert record.lists == {"opinions": {7, 8}}


def test_a_field_that_is_missing_is_not_taken_for_one_that_is_null() -> None:
    whole = {**dict.fromkeys(STREAM["clusters"].needs), "id": 1, "docket_id": 2}
    page = STREAM["clusters"].read_page([{k: v for k, v in whole.items() if k != "date_filed"}, whole], PARTITION)
    assert [failure.message for failure in page.failures] == ["date_filed is missing"]
    assert [record.date_filed for record in page.records] == [None]


def test_an_entry_with_a_bad_document_is_stored_without_it_being_lost() -> None:
    entry = {"id": 9, "docket": "https://example.com/api/rest/v4/dockets/5/", "recap_documents": [{"id": None}]}
    page = read("docket_entries", entry)
    [failure] = page.failures
    assert (failure.docket_id, failure.object_id) == (5, 9)
    assert [(record.stream, record.id) for record in page.records] == [("docket_entries", 9)]


def test_an_oral_argument_belongs_to_the_month_in_which_it_was_added_in_utc() -> None:
    audio = {
        "id": 4,
        "docket": "https://example.com/api/rest/v4/dockets/5/",
        "date_created": "2024-02-29T20:00:00-08:00",
        **MODIFIED,
    }
    [record] = read("oral_arguments", audio).records
    assert (record.stream, record.id, record.docket_id, record.court_id) == ("oral_arguments", 4, 5, "ca9")
    assert record.date_filed == date(2024, 3, 1)
    [created] = (sweep.params(PARTITION) for sweep in STREAM["oral_arguments"].sweeps)
    assert created == {
        "docket__court": "ca9",
        "date_created__gte": "2024-02-01T00:00:00Z",
        "date_created__lt": "2024-03-01T00:00:00Z",
    }
    [failure] = read("oral_arguments", {**audio, "date_created": None}).failures
    assert (failure.object_id, failure.docket_id) == (4, 5)


def test_people_belong_to_no_court_and_no_docket() -> None:
    people = STREAM["people"]
    [record] = read("people", {"id": 3, "name_last": "Alder", **MODIFIED}, partition=Everything()).records
    assert (record.stream, record.id, record.court_id, record.docket_id) == ("people", 3, None, None)
    assert [sweep.params(Everything()) for sweep in people.sweeps] == [{}]
    assert not people.by_month
    with pytest.raises(SettingError, match="people belong to no docket"):
        people.docket_sweep(7)


def test_rows_are_counted_by_the_dates_that_the_sweeps_ask_for() -> None:
    filed, decided = STREAM["dockets"].members()["dockets"]
    assert (filed.dated, decided.dated) == ("member", "dated")
    assert filed.tables == {"dockets"}
    assert decided.tables == {"dockets", "clusters"}
    assert {name: rows[0].tables for name, rows in STREAM["docket_entries"].members().items()} == {
        "docket_entries": {"docket_entries", "dockets"},
        "recap_documents": {"recap_documents", "dockets"},
    }
    assert Members(STREAM["people"].table).of_month() == Members(STREAM["people"].table).rows()


def test_every_entry_stores_into_a_table_of_its_name_and_needs_what_it_reads() -> None:
    for stream in STREAMS:
        assert stream.table.name == stream.name
        assert {"id", "date_modified"} <= set(stream.needs)
        assert {kind.table.name for kind in stream.kinds} <= set(stream.stores)
