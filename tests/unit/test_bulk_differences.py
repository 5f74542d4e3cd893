"""Two bodies of one object: when they say the same, what is made of both, and what a report shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from courtlistener_assets.download.bulk.comparison import different, merged, shown
from courtlistener_assets.download.bulk.ids import IdSet
from courtlistener_assets.operations.comparison import MEANING
from resources.records.differences import KINDS

API = "https://www.courtlistener.com/api/rest/v4"


@pytest.mark.parametrize(
    ("stored", "dumped"),
    [
        ({"panel": [f"{API}/people/2/", f"{API}/people/1/"]}, {"panel": [f"{API}/people/1/", f"{API}/people/2/"]}),
        ({"docket": "http://localhost:8000/api/rest/v4/dockets/7/"}, {"docket": f"{API}/dockets/7/"}),
        ({"date_created": "2024-01-01T00:00:00Z"}, {"date_created": "2023-12-31T16:00:00-08:00"}),
        ({"date_modified": "2024-01-01T00:00:00Z"}, {"date_modified": "2025-01-01T00:00:00Z"}),
        ({"cluster_redirections": [1]}, {"case_name": "Only one of them has it"}),
        ({"citations": [{"page": "1", "shown_since": "v5"}]}, {"citations": [{"page": "1"}]}),
        ({"filepath_pdf_harvard": None}, {"filepath_pdf_harvard": None}),
    ],
)
def test_what_says_the_same_does_not_differ(stored: dict[str, Any], dumped: dict[str, Any]) -> None:
    assert different("clusters", stored, dumped) == []


@pytest.mark.parametrize(
    ("stored", "dumped"),
    [
        ({"citation_count": 3}, {"citation_count": 4}),
        ({"panel": [f"{API}/people/1/"] * 2}, {"panel": [f"{API}/people/1/"]}),
        ({"judges": ""}, {"judges": None}),
        ({"citations": [{"page": "1"}]}, {"citations": [{"page": "2"}]}),
        ({"date_filed": "2024-01-01"}, {"date_filed": "2024-01-02"}),
    ],
)
def test_what_says_something_else_differs(stored: dict[str, Any], dumped: dict[str, Any]) -> None:
    assert different("clusters", stored, dumped) == list(stored)


def test_a_nested_object_is_compared_and_merged_in_what_both_have() -> None:
    stored = {"original_court_info": {"id": 5, "docket_number": "1", "date_rehearing_denied": "2024-01-01"}, "tags": []}
    same = {"original_court_info": {"id": 5, "docket_number": "1"}}
    other = {"original_court_info": {"id": 5, "docket_number": "2"}}
    assert different("dockets", stored, same) == []
    names = different("dockets", stored, other)
    assert merged(stored, other, names) == {
        "original_court_info": {"id": 5, "docket_number": "2", "date_rehearing_denied": "2024-01-01"},
        "tags": [],
    }
    assert merged(stored, {"original_court_info": {"id": 6}}, names)["original_court_info"] == {"id": 6}
    assert merged(stored, {"original_court_info": None}, names)["original_court_info"] is None


def test_the_address_goes_with_what_it_is_made_of() -> None:
    stored = {"slug": "a", "absolute_url": "/opinion/1/a/", "judges": ""}
    dumped = {"slug": "b", "absolute_url": "/opinion/1/b/", "judges": ""}
    assert merged(stored, dumped, ["slug"]) == dumped
    assert merged(stored, dumped, ["judges"]) == stored


def test_a_report_shows_no_text_of_opinions() -> None:
    old, new = shown("plain_text", "sealed", "")
    assert (old.startswith("6 characters, SHA-256 "), new) == (True, "")
    assert shown("case_name", "Doe v. Roe", "Roe v. Doe") == ["Doe v. Roe", "Roe v. Doe"]
    assert shown("panel", [1, 2], [2, 3]) == [["1"], ["3"]]
    [many, none] = shown("opinions_cited", list(range(30)), [])
    assert (len(many), many[-1], none) == (21, "and 10 more", [])


def test_every_kind_is_explained() -> None:
    assert tuple(MEANING) == KINDS


def test_pages_of_a_set_of_ids_can_be_kept_and_put_back() -> None:
    ids = IdSet()
    ids.add(pa.chunked_array([pa.array([1, 5, 3_000_000])]))
    pages = dict(ids.changes())
    assert (sorted(pages), dict(ids.changes())) == ([0, 2], {})
    ids.add(pa.chunked_array([pa.array([7])]))
    again = IdSet()
    for page, bits in (*pages.items(), *ids.changes()):
        again.restore(page, bits)
    again.add(pa.chunked_array([pa.array([8])]))
    assert again.holds(np.array([1, 2, 5, 7, 8, 3_000_000])).tolist() == [True, False, True, True, True, True]
