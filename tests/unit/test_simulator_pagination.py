"""Walks through the simulator's lists meet every object, or lose them just as the real server loses them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.endpoints import ENDPOINTS
from courtlistener_assets.devkit.simulator.expected import expected, sweeps
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.pacific import parse_moment
from courtlistener_assets.devkit.simulator.pagination import Cursor, cursor_page, sort_rows
from courtlistener_assets.devkit.simulator.responses import Request
from courtlistener_assets.devkit.simulator.views import Views

Json = dict[str, Any]
List = Callable[[str], Json]
_MONTH = "docket__court=ca9&date_filed__gte=2024-02-01&date_filed__lt=2024-03-01"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return generate(seed=3)


@pytest.fixture(scope="module")
def ask(corpus: Corpus) -> List:
    """A list's body, or `{"status": 404, ...}`."""
    views = Views(corpus, lambda: 0.0)

    def answer(path: str) -> Json:
        address = urlsplit(path)
        name = address.path.rstrip("/").rpartition("/")[2]
        request = Request("GET", f"/api/rest/v4/{name}/", address.query, {}, "127.0.0.1:8000")
        found, _ = views.listing(ENDPOINTS[name], request)
        body: Json = json.loads(found.body)
        return body if found.status == 200 else {"status": found.status, **body}

    return answer


def by_cursor(ask: List, path: str) -> list[Json]:
    """All pages by `next`."""
    pages = [ask(path)]
    while pages[-1].get("next"):
        pages.append(ask(pages[-1]["next"]))
        assert len(pages) < 500
    return pages


def by_id(ask: List, path: str) -> list[Json]:
    """All pages by `id__gt`, the way in which downloads walk."""
    pages, after = [], 0
    while True:
        pages.append(ask(f"{path}&order_by=id&id__gt={after}"))
        if not pages[-1]["next"]:
            return pages
        after = pages[-1]["results"][-1]["id"]


def ids(pages: list[Json]) -> list[int]:
    return [row["id"] for page in pages for row in page.get("results", [])]


@pytest.mark.parametrize("ordering", ["id", "-id"])
@pytest.mark.parametrize("endpoint", ["dockets", "clusters", "opinions", "docket-entries", "recap-documents"])
def test_a_cursor_by_id_meets_every_object_once_in_order(
    ask: List, corpus: Corpus, endpoint: str, ordering: str
) -> None:
    met = ids(by_cursor(ask, f"{endpoint}/?order_by={ordering}&fields=id"))
    assert met == sorted((record["id"] for record in corpus.table(endpoint)), reverse=ordering == "-id")


def test_previous_leads_back_over_the_same_pages(ask: List) -> None:
    pages = by_cursor(ask, "opinions/?order_by=id&fields=id")
    back = [pages[-1]]
    while back[-1]["previous"]:
        back.append(ask(back[-1]["previous"]))
    assert [ids([page]) for page in reversed(back)] == [ids([page]) for page in pages]


def test_walking_by_id_sends_the_requests_that_the_rows_need(ask: List, corpus: Corpus) -> None:
    pages = by_id(ask, f"clusters/?{_MONTH}")
    wanted = expected(corpus, ["ca9"], "2024-02", "2024-02")
    assert ids(pages) == wanted["ids"]["clusters"]
    assert len(pages) == -(-len(wanted["ids"]["clusters"]) // 20)


def test_a_filter_on_children_repeats_a_row_for_each_child(ask: List, corpus: Corpus) -> None:
    path = "dockets/?court=ca9&clusters__date_filed__gte=2024-02-01&clusters__date_filed__lt=2024-03-01"
    rows = [docket["id"] for docket in sweeps(corpus, "ca9", "2024-02")[1]]
    assert max(Counter(rows).values()) >= 26
    assert ask(f"{path}&count=on") == {"count": len(rows)}
    # Twenty rows of one docket fill a page; the walk goes on behind it.
    assert set(ids(by_id(ask, path))) == set(rows)


def test_both_ends_of_a_child_filter_hold_for_the_same_child(ask: List, corpus: Corpus) -> None:
    path = "dockets/?clusters__date_filed__gte=2024-03-01&clusters__date_filed__lt=2024-02-01&count=on"
    assert ask(path) == {"count": 0}


def test_chains_reach_parents_of_parents(ask: List, corpus: Corpus) -> None:
    courts = {docket["id"]: docket["court_id"] for docket in corpus.dockets}
    dockets = {cluster["id"]: cluster["docket_id"] for cluster in corpus.clusters}
    wanted = [opinion["id"] for opinion in corpus.opinions if courts[dockets[opinion["cluster_id"]]] == "scotus"]
    assert ids(by_id(ask, "opinions/?cluster__docket__court=scotus&fields=id")) == wanted
    unwanted = ids(by_id(ask, "opinions/?cluster__docket__court!=scotus&fields=id"))
    assert sorted(wanted + unwanted) == [opinion["id"] for opinion in corpus.opinions]


def test_a_date_filter_never_returns_what_has_no_date(ask: List, corpus: Corpus) -> None:
    dated = [docket["id"] for docket in corpus.dockets if docket["date_filed"]]
    assert len(dated) < len(corpus.dockets)
    assert ids(by_id(ask, "dockets/?date_filed__gte=1900-01-01&fields=id")) == dated


def test_documents_are_found_by_the_docket_that_they_do_not_name(ask: List, corpus: Corpus) -> None:
    entry = max(corpus.docket_entries, key=lambda entry: len(entry["recap_documents"]))
    docket = corpus.parent_key("docket-entries", "docket", entry)
    found = ids(by_id(ask, f"recap-documents/?docket_entry__docket={docket}&fields=id"))
    assert {document["id"] for document in entry["recap_documents"]} <= set(found)


def test_of_a_repeated_parameter_the_last_counts_but_types_add_up(ask: List, corpus: Corpus) -> None:
    last = ask("dockets/?court=scotus&court=ca9&fields=court_id")["results"]
    assert {row["court_id"] for row in last} == {"ca9"}
    pages = by_id(ask, "opinions/?type=020lead&type=040dissent&fields=id,type")
    assert {row["type"] for page in pages for row in page["results"]} == {"020lead", "040dissent"}


def test_an_empty_value_returns_everything(ask: List, corpus: Corpus) -> None:
    assert ask("dockets/?court=&count=on") == {"count": len(corpus.dockets)}


def test_ranges_include_both_ends_and_may_be_empty(ask: List, corpus: Corpus) -> None:
    low, high = corpus.dockets[3]["id"], corpus.dockets[9]["id"]
    wanted = [docket["id"] for docket in corpus.dockets[3:10]]
    assert ids([ask(f"dockets/?id__range={low},{high}&order_by=id&fields=id")]) == wanted
    assert ask(f"dockets/?id__range={high},{low}&count=on") == {"count": 0}


# --- the server's weaknesses


def test_a_first_page_of_ties_leads_to_a_cursor_that_is_refused(ask: List) -> None:
    first = ask("dockets/?order_by=date_modified&date_modified=2024-06-01T12:00:00.123456Z&fields=id")
    assert len(first["results"]) == 20
    assert "cursor=bz0yMA%3D%3D" in first["next"]
    assert ask(first["next"]) == {"status": 404, "detail": "Invalid cursor"}


def test_a_walk_by_date_goes_through_ties_by_offsets(ask: List, corpus: Corpus) -> None:
    tied = parse_moment("2024-06-01T12:00:00.123456Z")
    before = sorted(parse_moment(docket["date_modified"]) for docket in corpus.dockets)
    start = [moment for moment in before if moment < tied][-4]
    query = f"order_by=date_modified&date_modified__gte={start:%Y-%m-%dT%H:%M:%S.%fZ}&fields=id"
    met = ids(by_cursor(ask, f"dockets/?{query}"))
    assert len(met) == len(set(met)) == 4 + 45


def test_an_offset_beyond_a_thousand_leads_to_the_same_page_for_ever() -> None:
    rows = [{"id": number, "date_modified": "2024-06-01T05:00:00-07:00"} for number in range(1, 1200)]
    url = "http://127.0.0.1/api/rest/v4/recap-documents/?order_by=date_modified"
    stuck = Cursor("2024-01-01 00:00:00+00:00", 1020).encode()
    page = cursor_page(rows, url, "date_modified", stuck)
    assert page.rows[0]["id"] == 1001
    assert page.next is not None
    assert page.next.endswith(f"cursor={stuck.replace('=', '%3D')}&order_by=date_modified")


def test_page_numbers_end_at_a_hundred() -> None:
    corpus = generate(seed=3, size=0.1)
    template = corpus.dockets[0]
    for number in range(1, 2101):
        corpus.add("dockets", template | {"id": 10_000 + number, "clusters": []})
    views = Views(corpus, lambda: 0.0)

    def status(page: int) -> int:
        query = f"order_by=docket_number&page={page}"
        return views.listing(ENDPOINTS["dockets"], Request("GET", "/api/rest/v4/dockets/", query))[0].status

    assert [status(page) for page in (1, 100, 101)] == [200, 200, 404]


def test_page_numbers_link_to_each_other(ask: List) -> None:
    second = ask("dockets/?order_by=date_filed&court=ca9&page=2&fields=id")
    base = "http://127.0.0.1:8000/api/rest/v4/dockets/?court=ca9&fields=id&order_by=date_filed"
    assert (second["previous"], second["next"]) == (base, f"{base}&page=3")
    last = ask("dockets/?order_by=date_filed&court=ca9&page=last&fields=id")
    assert last["next"] is None
    assert last["previous"].startswith(f"{base}&page=")


def test_dates_are_sorted_with_the_missing_ones_last(ask: List) -> None:
    for ordering in ("date_filed", "-date_filed"):
        pages = by_cursor(ask, f"dockets/?order_by={ordering}&fields=date_filed")
        dates = [row["date_filed"] for page in pages for row in page["results"]]
        known = [date for date in dates if date]
        assert dates == sorted(known, reverse=ordering.startswith("-")) + [None] * (len(dates) - len(known))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 30), max_size=120), st.booleans())
def test_a_cursor_walk_over_few_ties_loses_nothing(minutes: list[int], backwards: bool) -> None:
    """Fewer ties than a page holds, none of them at the start: then the server's cursors are right."""
    few = [minute for minute in range(31) for _ in range(min(minutes.count(minute), 15))]
    rows = [{"id": n + 1, "date_modified": f"2024-01-01T00:{minute:02d}:00-08:00"} for n, minute in enumerate(few)]
    ordering = "-date_modified" if backwards else "date_modified"
    ordered = sort_rows(rows, [ordering])
    url, cursor, met = "http://127.0.0.1/", None, []
    for _ in range(20):
        page = cursor_page(ordered, url, ordering, cursor)
        met += [row["id"] for row in page.rows]
        if not page.next:
            break
        cursor = parse_qs(urlsplit(page.next).query)["cursor"][0]
    assert met == [row["id"] for row in ordered]


# --- cursors as recorded

_DESCENDING = list(range(300, 0, -1))
_ASCENDING = list(range(1, 301))
_OF_CHILDREN = [1, 3, 4, 5, 6, 7, *[8] * 26, 9]


@pytest.mark.parametrize(
    ("rows", "ordering", "cursor", "first", "following", "previous"),
    [
        (_DESCENDING, "-id", None, 300, "cD0yODE=", None),
        (_DESCENDING, "-id", "cD0yODE=", 280, "cD0yNjE=", "cj0xJnA9Mjgw"),
        (_DESCENDING, "-id", "cj0xJnA9Mjgw", 300, "cD0yODE=", None),
        (_DESCENDING, "-id", "cD0xMQ==", 10, None, "cj0xJnA9MTA="),
        (_ASCENDING, "id", "cD0xMQ==", 12, "cD0zMQ==", "cj0xJnA9MTI="),
        (_OF_CHILDREN, "id", None, 1, "bz0xNCZwPTc=", None),
        ([2] * 230, "id", None, 2, "bz0yMA==", None),
    ],
)
def test_cursors_are_those_of_the_recordings(
    rows: list[int], ordering: str, cursor: str | None, first: int, following: str | None, previous: str | None
) -> None:
    page = cursor_page([{"id": number} for number in rows], "http://127.0.0.1/", ordering, cursor)
    links = [parse_qs(urlsplit(link).query)["cursor"][0] if link else None for link in (page.next, page.previous)]
    assert (page.rows[0]["id"], *links) == (first, following, previous)
