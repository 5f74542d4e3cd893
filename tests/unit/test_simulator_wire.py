"""The simulator answers as the real server was recorded to."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator
from tests.unit import wire_facts
from tests.unit.wire_facts import FACTS, OBJECT_TYPES, ROOT, Fact


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Sends one request at a time, exactly as written."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def ask(
        self,
        path: str,
        method: str = "GET",
        authorization: str | None = "Token wide-token",
        accept: str | None = "*/*",
    ) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection(urlsplit(self.simulator.url).netloc, timeout=10)
        connection.putrequest(method, ROOT + path, skip_accept_encoding=True)
        for name, value in (("Authorization", authorization), ("Accept", accept)):
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
        return response, body

    def json(self, path: str, **how: Any) -> Any:
        response, body = self.ask(path, **how)
        assert response.status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return generate(seed=1)


@pytest.fixture(scope="module")
def client(corpus: Corpus) -> Iterator[Client]:
    with Simulator(corpus) as simulator:
        yield Client(simulator)


@pytest.fixture(scope="module")
def names(corpus: Corpus, client: Client) -> dict[str, str]:
    """The objects that stand in for the generic ids of the facts."""
    merged, into = next(iter(corpus.redirections.items()))
    ids = {"docket": corpus.dockets[0]["id"], "merged": merged, "merged_into": into, "sealed": corpus.sealed[0]}
    return {name: str(number) for name, number in ids.items()} | {"base": client.simulator.url}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_the_simulator_answers_as_recorded(client: Client, names: dict[str, str], fact: Fact) -> None:
    response, body = client.ask(fact.path.format_map(names), fact.method, fact.authorization, fact.accept)
    assert response.status == fact.status, body
    for name, value in fact.headers.items():
        assert response.headers[name] == (value.format_map(names) if value else value), name
    if isinstance(fact.body, dict):
        assert json.loads(body) == fact.body
    elif fact.body is not None:
        assert body == fact.body
    if fact.body_characters:
        assert fact.body_characters * 0.9 < len(body) < fact.body_characters * 1.1
    if fact.keys:
        assert tuple(json.loads(body)) == fact.keys


@pytest.mark.parametrize("endpoint", OBJECT_TYPES)
def test_objects_have_the_keys_and_types_of_the_recordings(client: Client, corpus: Corpus, endpoint: str) -> None:
    seen = 0
    for record in corpus.table(endpoint):
        types = OBJECT_TYPES[endpoint]
        assert record.keys() == types.keys()
        assert [key for key, value in record.items() if not isinstance(value, types[key])] == []
        seen += 1
    assert seen > 20
    assert client.json(f"{endpoint}/")["results"][0].keys() == OBJECT_TYPES[endpoint].keys()


def test_docket_entries_carry_their_documents_whole(client: Client, corpus: Corpus) -> None:
    entry = next(entry for entry in corpus.docket_entries if len(entry["recap_documents"]) > 1)
    served = client.json(f"docket-entries/{entry['id']}/")["recap_documents"]
    assert [document["id"] for document in served] == [document["id"] for document in entry["recap_documents"]]
    assert served[0].keys() == OBJECT_TYPES["recap-documents"].keys()
    assert served[0]["plain_text"] == entry["recap_documents"][0]["plain_text"]


def test_addresses_in_bodies_are_those_of_the_host_that_was_asked(client: Client) -> None:
    docket = client.json("dockets/?court=ca9")["results"][0]
    assert docket["court"] == f"{client.simulator.url}/api/rest/v4/courts/ca9/"
    assert client.json("")["dockets"] == f"{client.simulator.url}/api/rest/v4/dockets/"


def test_links_of_a_page_keep_the_query_with_its_parameters_sorted(client: Client) -> None:
    page = client.json("dockets/?page_size=100&court=ca9&fields=id,court_id")
    base = f"{client.simulator.url}/api/rest/v4/dockets/?"
    assert page["count"] == f"{base}count=on&court=ca9&fields=id%2Ccourt_id&page_size=100"
    assert page["next"].startswith(f"{base}court=ca9&cursor=cD0")
    assert page["next"].endswith("&fields=id%2Ccourt_id&page_size=100")
    assert page["previous"] is None


def test_a_negation_in_a_link_is_escaped(client: Client) -> None:
    assert client.json("dockets/?court!=nysd")["count"].endswith("?count=on&court%21=nysd")


def test_pages_have_twenty_objects_whatever_is_asked(client: Client) -> None:
    for size in (1, 20, 100):
        assert len(client.json(f"dockets/?court=ca9&page_size={size}")["results"]) == 20


def test_an_unfiltered_first_page_is_shared_for_ten_minutes(corpus: Corpus) -> None:
    clock = Clock()
    with Simulator(generate(seed=2, size=0.2), clock=clock) as simulator:
        client = Client(simulator)
        first = client.json("opinions/?page_size=5")
        newest = first["results"][0]["id"]
        simulator.corpus.touch("opinions", newest, author_str="Changed")
        assert client.json("opinions/") == first
        # Elsewhere an empty cursor is refused.
        assert client.json("opinions/?cursor=") == first
        assert client.json(f"opinions/?id__lte={newest}")["results"][0]["author_str"] == "Changed"
        clock.now += 600
        assert client.json("opinions/")["results"][0]["author_str"] == "Changed"


def test_an_ordering_that_is_not_known_falls_to_page_numbers(client: Client, corpus: Corpus) -> None:
    own = [docket["id"] for docket in corpus.dockets if docket["court_id"] == "ca9"]
    for ordering in ("bogus", "-bogus", ""):
        page = client.json(f"dockets/?court=ca9&order_by={ordering}")
        assert page["count"] == len(own)
        assert page["results"][0]["id"] == max(own)
        assert page["next"].endswith(f"order_by={ordering}&page=2")


def test_fields_and_omit_choose_keys_and_reach_into_nested_objects(client: Client, corpus: Corpus) -> None:
    docket = corpus.dockets[0]["id"]
    assert list(client.json(f"dockets/{docket}/?fields=clusters,id")) == ["id", "clusters"]
    opinion = client.json("opinions/?id__gt=0&omit=plain_text,html")["results"][0]
    assert OBJECT_TYPES["opinions"].keys() - opinion.keys() == {"plain_text", "html"}
    entry = next(entry for entry in corpus.docket_entries if entry["recap_documents"])
    shown = client.json(f"docket-entries/{entry['id']}/?omit=recap_documents__plain_text")
    assert "plain_text" not in shown["recap_documents"][0]
    assert "description" in shown["recap_documents"][0]


def test_moments_are_printed_and_read_in_pacific_time(client: Client) -> None:
    # Noon in UTC is 5 in the morning in California, in summer.
    tied = "2024-06-01T05:00:00.123456-07:00"
    for value in ("2024-06-01T12:00:00.123456Z", "2024-06-01T05:00:00.123456", "2024-06-01T12:00:00.123456%2B00:00"):
        page = client.json(f"dockets/?date_modified={value}&fields=date_modified")
        assert {row["date_modified"] for row in page["results"]} == {tied}
    assert client.json("dockets/?date_modified=2024-06-01T12:00:00.123456&count=on") == {"count": 0}


def test_every_answer_is_dated_by_the_server(client: Client) -> None:
    clock = Clock()
    with Simulator(generate(seed=2, size=0.1), clock=clock) as simulator:
        response, _ = Client(simulator).ask("courts/nysd/")
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == clock.now


# --- quota


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(corpus: Corpus, clock: Clock) -> Iterator[Client]:
    """A server with a clock of its own and an account of three requests a minute and five an hour."""
    with Simulator(corpus, [Account("limited", "limited-token", "3/min,5/hour")], clock=clock) as simulator:
        yield Client(simulator)


def _as(name: str) -> dict[str, Any]:
    return {"authorization": f"Token {name}-token"}


def _user_rows(client: Client, name: str) -> list[dict[str, Any]]:
    return [row for row in client.json("api-usage/", **_as(name))["current_usage"] if row["scope"] == "user"]


@pytest.mark.parametrize("name", wire_facts.COUNTED)
def test_what_costs_quota_costs_one_request(limited: Client, names: dict[str, str], name: str) -> None:
    method, path = wire_facts.COUNTED[name]
    limited.ask(path.format_map(names), method, **_as("limited"))
    assert {row["used"] for row in _user_rows(limited, "limited")} == {1}


@pytest.mark.parametrize("name", wire_facts.NOT_COUNTED)
def test_what_costs_no_quota_costs_nothing(limited: Client, names: dict[str, str], name: str) -> None:
    method, path = wire_facts.NOT_COUNTED[name]
    limited.ask(path.format_map(names), method, **_as("limited"))
    assert {row["used"] for row in _user_rows(limited, "limited")} == {0}


def test_the_tightest_full_window_is_named_with_whole_seconds(limited: Client, clock: Clock) -> None:
    start = clock.now
    for _ in range(3):
        limited.json("courts/nysd/", **_as("limited"))
    clock.now = start + 2.4
    response, body = limited.ask("courts/nysd/?fields=id", **_as("limited"))
    assert (response.status, response.headers["Retry-After"]) == (429, "58")
    assert json.loads(body) == {
        "detail": "Request was throttled. Rate limit exceeded: 3/min. Expected available in 58 seconds."
    }
    clock.now = start + 60
    for _ in range(2):
        limited.json("courts/nysd/", **_as("limited"))
    response, body = limited.ask("courts/nysd/", **_as("limited"))
    assert response.headers["Retry-After"] == "3540"
    assert json.loads(body)["detail"] == (
        "Request was throttled. Rate limit exceeded: 5/hour. Expected available in 3540 seconds."
    )


def test_waiting_as_long_as_told_frees_a_slot_and_a_refusal_costs_nothing(limited: Client, clock: Clock) -> None:
    for _ in range(3):
        limited.json("courts/nysd/", **_as("limited"))
    response, _ = limited.ask("courts/nysd/", **_as("limited"))
    clock.now += int(response.headers["Retry-After"]) - 1
    assert limited.ask("courts/nysd/", **_as("limited"))[0].status == 429
    clock.now += 1
    assert limited.ask("courts/nysd/", **_as("limited"))[0].status == 200


def test_api_usage_tells_all_windows_fullest_first(limited: Client, clock: Clock) -> None:
    for _ in range(3):
        limited.json("courts/nysd/", **_as("limited"))
    body = limited.json("api-usage/", **_as("limited"))
    assert tuple(body) == ("current_usage", "historical_usage", "membership")
    rows = body["current_usage"]
    assert all(tuple(row) == wire_facts.USAGE_KEYS for row in rows)
    assert {row["scope"] for row in rows} > {"user", "api_usage"}
    fullness = [row["used"] / row["limit"] for row in rows]
    assert fullness == sorted(fullness, reverse=True)
    assert rows[0] == {
        "scope": "user",
        "rate": "3/min",
        "used": 3,
        "limit": 3,
        "remaining": 0,
        "window_seconds": 60,
        "reset_at": "2026-11-18T11:07:40+00:00",
        "blocked": False,
    }
    assert body["historical_usage"] == {"2026-11-18": 3, "total": 3}
    assert body["membership"] is None


def test_api_usage_answers_while_throttled_or_blocked(limited: Client) -> None:
    for _ in range(4):
        limited.ask("courts/nysd/", **_as("limited"))
    assert [row["remaining"] for row in _user_rows(limited, "limited")] == [0, 2]
    blocked = limited.json("api-usage/", **_as("blocked"))["current_usage"][0]
    assert blocked == {
        "scope": "user",
        "rate": "0/min",
        "used": 0,
        "limit": 0,
        "remaining": 0,
        "window_seconds": 60,
        "reset_at": None,
        "blocked": True,
    }


def test_api_usage_has_a_throttle_of_its_own(limited: Client, clock: Clock) -> None:
    for _ in range(10):
        limited.json("api-usage/", **_as("bench"))
    response, body = limited.ask("api-usage/", **_as("bench"))
    assert (response.status, response.headers["Retry-After"]) == (429, "60")
    assert "Rate limit exceeded: 10/min." in body
    assert limited.ask("courts/nysd/", **_as("bench"))[0].status == 200


def test_a_membership_is_told(limited: Client) -> None:
    membership = {"level": "CL Membership - Tier 1", "is_active": True}
    assert limited.json("api-usage/", **_as("tier1"))["membership"] == membership


def test_the_accounts_of_the_recordings_have_their_rates(limited: Client) -> None:
    rates = {name: [row["rate"] for row in _user_rows(limited, name)] for name in ("plain", "bench", "tier1")}
    assert [sorted(found) for found in rates.values()] == [
        ["125/day", "5/min", "50/hour"],
        ["5000/hour", "60/min"],
        ["10/min", "300/day", "75/hour"],
    ]


def test_rates_change_while_the_log_stays(limited: Client, clock: Clock) -> None:
    for _ in range(3):
        limited.json("courts/nysd/", **_as("limited"))
        clock.now += 10
    limited.simulator.accounts.by_name["limited"].set_rates("1/min")
    response, _ = limited.ask("courts/nysd/", **_as("limited"))
    # The youngest of the three leaves the window after 60 seconds, of which 10 have passed.
    assert response.headers["Retry-After"] == "50"
    assert math.isclose(clock.now, 1_795_000_030.0)
    limited.simulator.accounts.by_name["limited"].set_rates("6/min")
    assert limited.ask("courts/nysd/", **_as("limited"))[0].status == 200


def test_anonymous_requests_share_one_small_quota(limited: Client) -> None:
    statuses = [limited.ask("courts/nysd/", authorization=None)[0].status for _ in range(6)]
    assert statuses == [200] * 5 + [429]
