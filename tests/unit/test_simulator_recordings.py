"""The simulator answers every request of the recordings as the real server did, where the recordings are at hand.

They are not part of the project: a directory `shared/wire` beside one of the directories above it may hold them, as
`exchanges*.jsonl`. What matters of them is in `wire_facts.py` as well, for everybody.

Objects differ, since the corpora do; compared are status, headers, links, wording, keys and types of JSON.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from courtlistener_assets.devkit.simulator import shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator

Exchange = dict[str, Any]
Json = Any

#: Exchanges that the simulator does not play, and why.
EXCEPTIONS = {
    "19c_search": "search is not simulated, and the index of the recorded server was not running",
    "19e_bad_host": "the recording does not say which host was asked for; the simulator answers to every name",
}
#: The last page of the recorded courts is the 21st.
_COURTS = 420
#: Objects that the recordings ask for by number.
_DOCKETS, _CLUSTERS, _ENTRIES = (1, 2, 6, 7, 8, 61), (1, 5), (1,)


def _found() -> list[Exchange]:
    for directory in Path(__file__).resolve().parents:
        files = sorted((directory / "shared" / "wire").glob("exchanges*.jsonl"))
        if files:
            return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return []


RECORDED = _found()
pytestmark = pytest.mark.skipif(not RECORDED, reason="no directory shared/wire with recordings beside this checkout")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """A corpus that has the objects which the recordings name."""
    made = generate(seed=1)
    moment = made.now()
    made.add("tag", shapes.tag(1, "sandbox-tag", moment))
    for number in range(_COURTS - len(made.table("courts"))):
        made.add("courts", shapes.court(f"court{number}"))
    for number in _DOCKETS:
        if made.get("dockets", number) is None:
            made.add("dockets", shapes.docket(number, "ca9", "Roe v. Wade", moment, date_filed="2024-01-05"))
    for number in _CLUSTERS:
        if made.get("clusters", number) is None:
            made.add("clusters", shapes.cluster(number, 8, "Roe v. Wade", moment, date_filed="2024-01-05"))
    for number in _ENTRIES:
        assert made.get("docket-entries", number)
    for number in (1, 2):
        made.update("dockets", number, tags=[shapes.address("tag", 1)], assigned_to=shapes.address("people", 1))
    return made


# --- what must have happened before a request


class Clock:
    """The server's clock; it stands still."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def _used(account: str, rates: str, requests: int = 100) -> Callable[[Simulator], None]:
    """The account has these rates and has used them up."""

    def prepare(simulator: Simulator) -> None:
        found = simulator.accounts.by_name[account]
        found.set_rates(rates)
        for _ in range(requests):
            found.admit(round(simulator.clock() * 1e6))

    return prepare


def _anonymous_used_up(simulator: Simulator) -> None:
    for _ in range(5):
        simulator.accounts.anonymous.admit(round(simulator.clock() * 1e6))


def _api_usage_used_up(simulator: Simulator) -> None:
    for _ in range(10):
        simulator.accounts.by_name["bench"].admit(round(simulator.clock() * 1e6), api_usage=True)


def _promoted(simulator: Simulator) -> None:
    for account in simulator.accounts.by_name.values():
        account.set_promotion(active=True)


def _first_page_is_cached(simulator: Simulator) -> None:
    _ask(simulator, {"request": {"method": "GET", "path": "/api/rest/v4/dockets/", "authorization": "Token <wide>"}})


def _database_is_down(simulator: Simulator) -> None:
    simulator.faults.add(Fault("500"))


PREPARED: dict[str, Callable[[Simulator], None]] = {
    "03c_count_off": _first_page_is_cached,
    "04_page_size_1": _first_page_is_cached,
    "04_page_size_20": _first_page_is_cached,
    "06i_empty_value": _first_page_is_cached,
    "14c_cursor_empty": _first_page_is_cached,
    "30_api_usage_promo_on_bench": _promoted,
    "30_api_usage_promo_on_blocked": _promoted,
    "30_api_usage_promo_on_plain": _promoted,
    "30_api_usage_promo_on_tier1": _promoted,
    "31_api_usage_429": _api_usage_used_up,
    "32_429_per_min": _used("probe", "5/min,8/hour"),
    "32b_api_usage_probe": _used("probe", "5/min,8/hour"),
    "33_429_per_hour": _used("probe", "8/hour"),
    "34_429_both_windows": _used("probe", "3/min,3/hour"),
    "35_429_per_day": _used("probe", "3/day"),
    "37_429_anon": _anonymous_used_up,
    "41_500_db_down": _database_is_down,
}

#: Credentials that the recordings do not spell out.
_AS_GIVEN = {
    "09c_malformed_auth": "Token",
    "09d_bearer": "Bearer abc",
    "19g_basic_auth": f"Basic {base64.b64encode(b'wide:wide-token').decode()}",
}


def _ask(simulator: Simulator, exchange: Exchange) -> tuple[http.client.HTTPResponse, str]:
    request = dict(exchange["request"])
    method, path = request.pop("method"), request.pop("path")
    authorization = _AS_GIVEN.get(exchange.get("name", ""), request.pop("authorization", None))
    headers = {"accept": "*/*"} | request.pop("headers", {}) | request
    if authorization is not None:
        headers["authorization"] = re.sub(r"<(\w+)>", r"\1-token", authorization)
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


# --- the comparison


def _differences(exchange: Exchange, status: int, headers: http.client.HTTPMessage, body: str, url: str) -> list[str]:
    wanted = {name.lower(): value for name, value in exchange["headers"].items()}
    found = [f"status {status}, recorded {exchange['status']}"] if status != exchange["status"] else []
    for name in ("content-type", "allow", "vary", "www-authenticate", "connection"):
        if headers[name] != wanted.get(name):
            found.append(f"{name} {headers[name]!r}, recorded {wanted.get(name)!r}")
    if (headers["retry-after"] is None) != ("retry-after" not in wanted):
        found.append(f"retry-after {headers['retry-after']!r}, recorded {wanted.get('retry-after')!r}")
    place = (headers["location"] or "").replace(url, "http://SERVER")
    if _without_numbers(place) != _without_numbers(wanted.get("location", "")):
        found.append(f"location {place!r}, recorded {wanted.get('location')!r}")
    return found + _differences_of_bodies(exchange, body, url)


def _differences_of_bodies(exchange: Exchange, body: str, url: str) -> list[str]:
    recorded = exchange["body"]
    if isinstance(recorded, str):
        return _differences_of_texts(exchange, body)
    try:
        served = json.loads(body.replace(url, "http://SERVER"))
    except ValueError:
        return [f"no JSON but {body[:60]!r}"]
    if exchange["request"]["method"] == "OPTIONS":
        return _differences_of_descriptions(recorded, served)
    if exchange["status"] >= 400:
        same = _without_numbers(json.dumps(served)) == _without_numbers(json.dumps(recorded))
        return [] if same else [f"{served}, not {recorded}"]
    if "results" in recorded and "count" in recorded:
        return _differences_of_pages(recorded, served)
    return list(_differences_of_shapes(recorded, served, ""))


def _differences_of_texts(exchange: Exchange, body: str) -> list[str]:
    """Pages for people are not compared word by word: their size is, as it is what a client has to swallow."""
    kind = exchange["headers"].get("content-type", "")
    if "xml" in kind:
        return [] if body.startswith("<?xml") else [f"no XML but {body[:60]!r}"]
    if "html" not in kind:
        return [] if body == exchange["body"] else [f"{body[:60]!r}, recorded {exchange['body'][:60]!r}"]
    length = int(exchange["headers"].get("content-length", 0))
    if exchange["status"] >= 400 and length and not 0.9 < len(body) / length < 1.1:
        return [f"a page of {len(body)} characters, recorded {length}"]
    return [] if not length or "<!DOCTYPE html>" in body else [f"no page but {body[:60]!r}"]


def _differences_of_pages(recorded: Json, served: Json) -> list[str]:
    found = [] if list(served) == list(recorded) else [f"keys {list(served)}, recorded {list(recorded)}"]
    if isinstance(recorded["count"], str) and served["count"] != recorded["count"]:
        found.append(f"count {served['count']}, recorded {recorded['count']}")
    if type(served["count"]) is not type(recorded["count"]):
        found.append(f"count {served['count']!r}, recorded {recorded['count']!r}")
    for link in ("next", "previous"):
        if served[link] and recorded[link] and _without_cursor(served[link]) != _without_cursor(recorded[link]):
            found.append(f"{link} {served[link]}, recorded {recorded[link]}")
    return found + list(_differences_of_shapes(recorded["results"], served["results"], "results"))


def _differences_of_shapes(recorded: Json, served: Json, where: str) -> Iterator[str]:
    """Compare keys and types. What is null or empty on one side says nothing; `…` says where a recording was cut."""
    if recorded is None or served is None:
        return
    if type(recorded) is not type(served):
        yield f"{where}: {type(served).__name__}, recorded {type(recorded).__name__}"
    elif isinstance(recorded, dict):
        keys = [[name for name in one if not _DAY.fullmatch(name)] for one in (recorded, served)]
        if keys[0] != keys[1]:
            yield f"{where}: keys {keys[1]}, recorded {keys[0]}"
        for name in recorded.keys() & served.keys():
            yield from _differences_of_shapes(recorded[name], served[name], f"{where}.{name}")
    elif isinstance(recorded, list):
        # One object after the other, as far as both go: nulls of one do not hide what another shows.
        samples = [one for one in recorded if not _is_cut(one)]
        for each in served[:3] if samples else ():
            for sample in samples:
                yield from _differences_of_shapes(sample, each, f"{where}[]")


def _differences_of_descriptions(recorded: Json, served: Json) -> Iterator[str] | list[str]:
    """OPTIONS: what a field is, in words, is left out."""
    found = [] if list(served) == list(recorded) else [f"keys {list(served)}, recorded {list(recorded)}"]
    for name in ("name", "description", "renders", "parses", "ordering"):
        if not _same_but_cut(recorded[name], served[name]):
            found.append(f"{name} {served[name]}, recorded {recorded[name]}")
    for method, fields in recorded["actions"].items():
        if list(fields) != list(served["actions"].get(method, ())):
            found.append(f"{method} {list(served['actions'].get(method, ()))}, recorded {list(fields)}")
    if sorted(served["filters"]) != sorted(recorded["filters"]):
        found.append(f"filters {sorted(set(served['filters']) ^ set(recorded['filters']))}")
    for name, described in recorded["filters"].items():
        shown = served["filters"].get(name, {})
        if shown.get("type") != described["type"] or not _same_but_cut(
            described["lookup_types"], shown.get("lookup_types")
        ):
            found.append(f"{name} {shown}, recorded {described}")
        found += _differences_of_shapes(described.get("choices"), shown.get("choices"), f"{name} choices")
    return found


def _same_but_cut(recorded: Json, served: Json) -> bool:
    """Whether lists are the same as far as the recording goes, and as long as it says (`… 9 more`)."""
    if not isinstance(recorded, list) or not recorded or not _is_cut(recorded[-1]):
        return bool(recorded == served)
    kept, more = len(recorded) - 1, re.search(r"\d+", str(recorded[-1]))
    return recorded[:-1] == served[:kept] and (not more or len(served) == kept + int(more[0]))


def _is_cut(value: Json) -> bool:
    return "…" in value if isinstance(value, (str, dict)) else False


#: A key of api-usage's history.
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "N", text)


def _without_cursor(link: str) -> str:
    address = urlsplit(link)
    kept = [
        (name, value)
        for name, value in parse_qsl(address.query, keep_blank_values=True)
        if name not in ("cursor", "page")
    ]
    return f"{address.path}?{urlencode(kept)}"


@pytest.mark.parametrize("exchange", RECORDED, ids=lambda exchange: exchange["name"])
def test_the_simulator_answers_as_the_server_did(corpus: Corpus, exchange: Exchange) -> None:
    if exchange["name"] in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[exchange["name"]])
    with Simulator(corpus, clock=Clock()) as simulator:
        PREPARED.get(exchange["name"], lambda _: None)(simulator)
        response, body = _ask(simulator, exchange)
        assert _differences(exchange, response.status, response.headers, body, simulator.url) == []


def test_no_exception_and_no_preparation_is_out_of_date() -> None:
    assert {*EXCEPTIONS, *PREPARED, *_AS_GIVEN} <= {exchange["name"] for exchange in RECORDED}
