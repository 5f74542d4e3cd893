"""Rows say where a chunk comes from; ids depend on the document and the text only; nothing is dropped in silence."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import random
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from courtlistener_assets.chunks.document import Document, id_of
from courtlistener_assets.chunks.duplicates import Duplicates
from courtlistener_assets.chunks.rows import Tally, partition_rows
from courtlistener_assets.download.streams import OPINION, RECAP_DOCUMENT
from resources.errors import UnusableRecord
from tests.chunk_rows import rows_of

SENTENCES = [f"The {number}. lock of the canal was built by the county in 18{number:02}." for number in range(60)]


def opinion(number: int = 7, text: str = "It is so ordered.", **changes: Any) -> Document:
    body = {
        "id": number,
        "type": "040dissent",
        "author_id": 3,
        "sha1": f"sha1-{number}",
        "date_modified": "2026-01-12T16:17:20.900566-08:00",
        "absolute_url": f"/opinion/{number}/doe-v-roe/",
        "extracted_by_ocr": True,
        "main_version": None,
        "plain_text": text,
    }
    given = {name: changes.pop(name) for name in list(changes) if name in body}
    defaults: dict[str, Any] = {
        "docket_id": 5,
        "cluster_id": 6,
        "court_id": "scotus",
        "court_name": "Supreme Court of the United States",
        "case_name": "Doe v. Roe",
        "docket_number": "23-1",
        "date_filed": dt.date(2024, 1, 31),
        "precedential_status": "Published",
        "citations": ("1 U.S. 2", "3 S. Ct. 4"),
        "author": "Alder",
    }
    return Document(kind=OPINION, body=body | given, **(defaults | changes))


def recap_document(number: int = 9, text: str = "Motion granted.", **changes: Any) -> Document:
    body = {"id": number, "plain_text": text, "ocr_status": 4, "document_number": "12", "description": "Order"}
    return Document(kind=RECAP_DOCUMENT, body=body | changes, docket_id=5, court_id="nysd", case_name="Doe v. Roe")


def rows(*documents: Document, **settings: Any) -> tuple[list[dict[str, Any]], Tally]:
    tally = Tally()
    return list(partition_rows(documents, tally, **settings)), tally


def test_the_row_of_an_opinion_says_all_that_a_search_filters_by() -> None:
    (row,) = rows_of(opinion())
    assert row | {"chunk_id": "", "content_hash": "", "header_hash": ""} == {
        "chunk_id": "",
        "content_hash": "",
        "text": "It is so ordered.",
        "context_header": "Doe v. Roe, 1 U.S. 2 (Supreme Court of the United States 2024-01-31) | Dissent by Alder",
        "header_hash": "",
        "header_token_count": 35,
        "char_start": 0,
        "char_end": 17,
        "token_count": 5,
        "tokenizer": "cl100k_base",
        "chunk_index": 0,
        "chunk_count": 1,
        "previous_chunk_id": None,
        "next_chunk_id": None,
        "page_start": None,
        "page_end": None,
        "headings": [],
        "is_footnote": False,
        "footnotes": [],
        "quality": "prose",
        "doc_type": "opinion",
        "document_id": 7,
        "docket_id": 5,
        "cluster_id": 6,
        "opinion_id": 7,
        "recap_document_id": None,
        "court_id": "scotus",
        "case_name": "Doe v. Roe",
        "docket_number": "23-1",
        "date_filed": dt.date(2024, 1, 31),
        "opinion_type": "040dissent",
        "author_id": 3,
        "precedential_status": "Published",
        "citations": ["1 U.S. 2", "3 S. Ct. 4"],
        "cites": None,
        "cites_clusters": None,
        "text_source": "plain_text",
        "ocr": "done",
        "source_sha1": "sha1-7",
        "source_date_modified": dt.datetime(2026, 1, 13, 0, 17, 20, 900566, tzinfo=dt.UTC),
        "absolute_url": "/opinion/7/doe-v-roe/",
        "chunker_version": row["chunker_version"],
        "cleaner_version": row["cleaner_version"],
        "is_duplicate_of": None,
        "duplicate_kind": None,
    }


def test_the_row_of_a_recap_document_has_its_ocr_status_and_no_opinion() -> None:
    (row,) = rows_of(recap_document())
    assert (row["recap_document_id"], row["opinion_id"], row["opinion_type"], row["ocr"]) == (9, None, None, "needed")
    assert row["context_header"] == "Doe v. Roe (nysd) | Document 12: Order"


def test_ids_are_the_same_in_every_order_and_process() -> None:
    documents = [opinion(number, " ".join(SENTENCES[number:])) for number in range(1, 8)]
    found, _ = rows(*documents, max_tokens=64)
    random.Random(4).shuffle(documents)
    again, _ = rows(*documents, max_tokens=64)
    assert {row["chunk_id"] for row in found} == {row["chunk_id"] for row in again}
    assert len({row["chunk_id"] for row in found}) == len(found)
    program = (
        "from courtlistener_assets.chunks.document import Document\n"
        "from tests.chunk_rows import rows_of\n"
        "from courtlistener_assets.download.streams import OPINION\n"
        "body = {'id': 7, 'plain_text': 'It is so ordered.'}\n"
        "print(rows_of(Document(kind=OPINION, body=body, docket_id=1, court_id='x'))[0]['chunk_id'])"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == rows_of(opinion())[0]["chunk_id"]


def test_metadata_does_not_change_ids_but_document_and_text_do() -> None:
    (row,) = rows_of(opinion())
    assert rows_of(opinion(case_name="Doe v. Poe", type="020lead"))[0]["chunk_id"] == row["chunk_id"]
    assert rows_of(opinion(8))[0]["chunk_id"] != row["chunk_id"]
    assert rows_of(opinion(8))[0]["content_hash"] == row["content_hash"]
    assert rows_of(opinion(text="It is not so ordered."))[0]["chunk_id"] != row["chunk_id"]
    assert rows_of(recap_document(7, "It is so ordered."))[0]["chunk_id"] != row["chunk_id"]


def test_equal_chunks_of_one_document_have_different_ids() -> None:
    found, _ = rows(
        opinion(text="The same words are said again in this very long and tedious sentence. " * 30), max_tokens=32
    )
    assert len({row["content_hash"] for row in found}) < len(found)
    assert len({row["chunk_id"] for row in found}) == len(found)


def test_documents_without_text_are_counted() -> None:
    found, tally = rows(opinion(1, " \n"), opinion(2), recap_document(3, ""))
    assert [row["opinion_id"] for row in found] == [2]
    assert (tally.documents, tally.without_text, tally.chunks, tally.sentence_end_share) == (3, 2, 1, 1.0)


def test_copies_and_versions_are_marked_and_kept() -> None:
    found, tally = rows(
        opinion(1, "First  text.", sha1="a"),
        opinion(2, "First text.", sha1="b"),
        opinion(3, "Third text.", sha1="a"),
        opinion(4, "Fourth text.", sha1="b"),
        opinion(5, "Fifth text.", main_version="https://example.test/api/rest/v4/opinions/9/"),
        opinion(6, "Sixth text.", sha1=""),
        opinion(7, "Seventh text.", sha1=""),
    )
    assert {row["opinion_id"]: row["is_duplicate_of"] for row in found} == {
        1: None,
        2: "opinion:1",
        3: "opinion:1",
        4: "opinion:1",
        5: None,
        6: None,
        7: None,
    }
    assert [row["duplicate_kind"] for row in found] == [
        None,
        "same_text",
        "same_file",
        "same_file",
        None,
        None,
        None,
    ]
    assert tally.duplicates == 3


def marked(*documents: Document, **settings: Any) -> dict[int, tuple[str, str] | None]:
    """What each document of a partition repeats, and how."""
    return {
        row["document_id"]: (row["is_duplicate_of"], row["duplicate_kind"]) if row["is_duplicate_of"] else None
        for row in rows(*documents, **settings)[0]
    }


def alone(number: int, text: str, **changes: Any) -> Document:
    """An opinion that shares nothing with another one but what is said."""
    own: dict[str, Any] = {
        "docket_id": number,
        "cluster_id": number,
        "case_name": f"Doe v. {number}",
        "docket_number": f"23-{number:05}",
        "citations": (f"{number} U.S. 2",),
    }
    return opinion(number, text, **(own | changes))


LONG = " ".join(SENTENCES[:8])


def test_the_same_words_in_another_case_are_another_decision() -> None:
    assert marked(alone(1, "Affirmed."), alone(2, "Affirmed.")) == {1: None, 2: None}
    assert marked(alone(1, LONG), alone(2, LONG)) == {1: None, 2: None}


@pytest.mark.parametrize(
    "shared",
    [
        {"docket_id": 5},
        {"cluster_id": 6},
        {"citations": ("1 U.S. 2", "3 S. Ct. 4")},
        {"docket_number": "No. 7 of 1931"},
        {"case_name": "Doe v. Roe"},
    ],
)
def test_a_long_text_is_a_copy_in_the_same_case(shared: dict[str, Any]) -> None:
    found = marked(
        alone(1, LONG, **shared), alone(2, LONG.replace(" ", "  "), **shared), alone(3, f"{LONG} No.", **shared)
    )
    assert found == {1: None, 2: ("opinion:1", "same_text"), 3: None}


def test_a_short_text_is_a_copy_in_its_cluster_or_on_its_day_only() -> None:
    assert marked(alone(1, "Affirmed.", cluster_id=6), alone(2, "Affirmed.", cluster_id=6))[2]
    assert marked(recap_document(1, "Granted."), recap_document(2, "Granted."))[2]
    days = [replace(recap_document(number, "Granted."), date_filed=dt.date(2024, 1, number)) for number in (1, 2)]
    assert marked(*days) == {1: None, 2: None}
    assert (
        marked(alone(1, "Affirmed.", case_name="Doe v. Roe"), alone(2, "Affirmed.", case_name="Doe v. Roe"))[2] is None
    )


def test_a_text_with_the_numbers_of_both_dockets_is_in_both() -> None:
    assert marked(alone(1, f"Nos. 23-00001, 23-00002. {LONG}"), alone(2, f"Nos. 23-00001, 23-00002. {LONG}"))[2]
    assert marked(alone(1, f"No. 23-00001. {LONG}"), alone(2, f"No. 23-00001. {LONG}"))[2] is None


def test_a_version_is_one_of_a_document_that_is_there() -> None:
    assert marked(opinion(5, "Old.", main_version="/opinions/9/"), opinion(9, "New.")) == {
        5: ("opinion:9", "version"),
        9: None,
    }
    assert marked(opinion(5, "Old.", main_version="/opinions/9/"), opinion(9, "")) == {5: None}
    assert marked(opinion(5, "Old.", main_version="/opinions/5/")) == {5: None}


def test_what_repeats_one_another_is_left_with_one_that_repeats_none() -> None:
    documents = [
        opinion(1, "Old.", main_version="/opinions/2/"),
        opinion(2, "New.", main_version="/opinions/1/"),
        opinion(3, "Old."),
        opinion(4, "Third.", main_version="/opinions/3/", sha1="sha1-1"),
    ]
    for order in itertools.permutations(documents):
        found = marked(*order)
        originals = {f"opinion:{number}" for number, original in found.items() if original is None}
        assert originals
        assert {original[0] for original in found.values() if original} <= originals


def test_parts_of_a_combined_opinion_point_to_it_and_what_it_lacks_does_not() -> None:
    lead, dissent = " ".join(SENTENCES[:20]), " ".join(SENTENCES[20:40])
    found = marked(
        opinion(1, f"ALDER, J., dissenting. {dissent}", type="040dissent"),
        opinion(2, f"ASH, J. {lead} ALDER, J. {dissent}", type="010combined"),
        opinion(3, lead, type="020lead"),
        opinion(4, " ".join(SENTENCES[40:]), type="030concurrence"),
        alone(50, lead, type="020lead"),
    )
    assert found == {1: ("opinion:2", "part"), 2: None, 3: ("opinion:2", "part"), 4: None, 50: None}


def test_a_header_without_a_name_begins_with_the_court() -> None:
    unnamed: dict[str, Any] = {"case_name": "", "citations": (), "docket_number": "", "court_name": "", "author": ""}
    assert rows_of(opinion(**unnamed))[0]["context_header"] == "scotus 2024-01-31 | Dissent"
    (row,) = rows_of(opinion(**(unnamed | {"docket_number": "23-1"})))
    assert row["context_header"] == "No. 23-1 (scotus 2024-01-31) | Dissent"
    assert row["header_hash"] == hashlib.sha256(row["context_header"].encode()).hexdigest()


def test_chunks_name_their_neighbours() -> None:
    found, _ = rows(opinion(text=" ".join(SENTENCES)), opinion(8), max_tokens=64)
    chunks = [row for row in found if row["document_id"] == 7]
    assert len(chunks) > 3
    assert [row["previous_chunk_id"] for row in chunks] == [None, *(row["chunk_id"] for row in chunks[:-1])]
    assert [row["next_chunk_id"] for row in chunks] == [*(row["chunk_id"] for row in chunks[1:]), None]


def test_a_document_given_twice_is_no_copy_of_itself() -> None:
    with Duplicates.none_yet() as duplicates:
        assert duplicates.original_of(opinion(), "text") is None
        assert duplicates.original_of(opinion(), "text") is None


def test_flags_of_texts_are_counted() -> None:
    _, tally = rows(opinion(text="The frst offcer made a specifc finding."), opinion(8))
    assert tally.flagged == {"lost_ligatures": 1}


@pytest.mark.parametrize("value", [None, "7", True])
def test_a_document_without_an_id_is_refused(value: object) -> None:
    with pytest.raises(UnusableRecord):
        rows_of(opinion(id=value))


def test_strings_that_cannot_be_stored_are_repaired_in_metadata_too() -> None:
    (row,) = rows_of(opinion(case_name="Doe\x00 v. \ud800Roe", date_modified="yesterday"))
    assert row["case_name"] == "Doe v. \ufffdRoe"
    assert row["source_date_modified"] is None


@pytest.mark.parametrize(
    ("value", "id"),
    [
        (7, 7),
        ("https://www.courtlistener.com/api/rest/v4/people/7/", 7),
        (True, None),
        (2**63, None),
        (float("nan"), None),
        ("9" * 5000, None),
        (f"/people/{'9' * 25}/", None),
        (None, None),
        ({}, None),
    ],
)
def test_an_id_that_no_column_can_hold_is_none(value: object, id: int | None) -> None:
    assert id_of(value) == id
