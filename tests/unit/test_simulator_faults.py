"""What goes wrong on demand, what the truth log says of it, and the control addresses that order it."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from courtlistener_assets.devkit.simulator.accounts import Account
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.faults import Fault, FaultPlan, Latency
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.errors import SettingError

PATH = "opinions/?id__gt=0&order_by=id"


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Shared by all tests that change no object."""
    return generate(seed=4, size=0.1)


@pytest.fixture
def simulator(corpus: Corpus) -> Iterator[Simulator]:
    with Simulator(corpus, [Account("small", "small-token", "4/hour")]) as running:
        yield running


def get(simulator: Simulator, path: str = PATH, token: str = "wide-token") -> requests.Response:
    headers = {"Authorization": f"Token {token}", "Accept-Encoding": "identity"}
    return requests.get(simulator.api_url + path, headers=headers, timeout=10)


def strike(simulator: Simulator, kind: str, **how: Any) -> None:
    simulator.faults.add(Fault(kind, times=1, **how))


def control(simulator: Simulator, path: str, **body: Any) -> Any:
    url = f"{simulator.url}/__simulator__/{path}"
    answer = requests.post(url, json=body, timeout=10) if body else requests.get(url, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [
        ("500", 500, "text/plain; charset=utf-8"),
        ("crash", 500, "text/html; charset=utf-8"),
        ("502", 502, "text/html; charset=utf-8"),
        ("503", 503, "text/html; charset=utf-8"),
        ("504", 504, "text/html; charset=utf-8"),
        ("html", 200, "text/html; charset=utf-8"),
        ("empty", 200, "application/json"),
    ],
)
def test_a_bad_answer_comes_once_and_costs_quota(
    simulator: Simulator, kind: str, status: int, content_type: str
) -> None:
    strike(simulator, kind)
    bad, good = get(simulator), get(simulator)
    assert (bad.status_code, bad.headers["Content-Type"]) == (status, content_type)
    with pytest.raises(requests.JSONDecodeError):
        bad.json()
    assert good.json()["results"]
    assert [(entry.status, entry.admitted, entry.fault) for entry in simulator.log] == [
        (status, True, kind),
        (200, True, None),
    ]


def test_a_500_ends_the_connection_and_says_what_the_server_says(simulator: Simulator) -> None:
    strike(simulator, "500")
    bad = get(simulator)
    assert (bad.text, bad.headers["Connection"]) == ("Internal Server Error", "close")


@pytest.mark.parametrize(("kind", "admitted"), [("reset_before", False), ("reset_after", True)])
def test_a_reset_gives_no_answer_before_or_after_the_throttle(simulator: Simulator, kind: str, admitted: bool) -> None:
    strike(simulator, kind)
    with pytest.raises(requests.ConnectionError, match="reset"):
        get(simulator)
    (entry,) = simulator.log
    assert (entry.status, entry.admitted, entry.fault) == (0, admitted, kind)


def test_a_cut_body_is_shorter_than_announced(simulator: Simulator) -> None:
    strike(simulator, "cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        get(simulator)
    (entry,) = simulator.log
    assert (entry.status, entry.admitted, entry.fault) == (200, True, "cut")


@pytest.mark.parametrize(("seconds", "header"), [(7, "7"), (None, None)])
def test_a_429_on_demand_costs_nothing_and_is_no_refusal_of_the_throttle(
    simulator: Simulator, seconds: int | None, header: str | None
) -> None:
    strike(simulator, "429", retry_after_seconds=seconds)
    answer = get(simulator)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, header)
    assert "Request was throttled." in answer.json()["detail"]
    (entry,) = simulator.log
    assert (entry.admitted, entry.refused, entry.fault) == (False, False, "429")
    assert simulator.summary()["refused"] == 0


def test_a_poison_object_spoils_every_answer_that_shows_it(simulator: Simulator) -> None:
    ids = [opinion["id"] for opinion in simulator.corpus.opinions]
    bad = ids[5]
    simulator.faults.add(Fault("poison", endpoint="opinions", object_id=bad))
    assert get(simulator).status_code == 500
    assert get(simulator, f"opinions/{bad}/").status_code == 500
    assert get(simulator, f"opinions/?id__gt={bad}&order_by=id").status_code == 200
    assert get(simulator, f"opinions/?id__gte={ids[4]}&id__lt={bad}").status_code == 200
    assert get(simulator, "opinions/?id__gt=0&count=on").status_code == 200
    assert simulator.summary()["faults"] == {"poison": 2}


@pytest.mark.parametrize(
    ("kind", "status", "header"),
    [
        ("maintenance", 503, ("Retry-After", "3600")),
        ("firewall_202", 202, ("x-amzn-waf-action", "challenge")),
        ("firewall_403", 403, ("X-Cache", "Error from cloudfront")),
        ("firewall_405", 405, ("x-amzn-waf-action", "captcha")),
        ("login", 302, ("Location", "{url}/sign-in/?next=/api/rest/v4/opinions/")),
        ("missing", 404, ("Vary", "origin, Cookie")),
    ],
)
def test_what_is_in_front_of_the_api_answers_people_and_costs_no_quota(
    simulator: Simulator, kind: str, status: int, header: tuple[str, str]
) -> None:
    strike(simulator, kind, retry_after_seconds=3600)
    bad = requests.get(simulator.api_url + PATH, timeout=10, allow_redirects=False)
    name, value = header
    assert (bad.status_code, bad.headers[name]) == (status, value.format(url=simulator.url))
    assert bad.headers["Content-Type"].startswith("text/html")
    (entry,) = simulator.log
    assert (entry.status, entry.admitted, entry.fault) == (status, False, kind)


def test_an_account_may_be_forbidden_one_endpoint(simulator: Simulator) -> None:
    simulator.faults.add(Fault("forbidden", path_prefix="/api/rest/v4/opinions/"))
    bad = get(simulator)
    assert (bad.status_code, bad.json()["detail"]) == (403, "You do not have permission to perform this action.")
    assert get(simulator, "clusters/?id__gt=0").status_code == 200
    assert [entry.admitted for entry in simulator.log] == [False, True]


def test_a_timeout_is_counted_and_says_nothing(simulator: Simulator) -> None:
    strike(simulator, "timeout")
    headers = {"Authorization": "Token wide-token"}
    with pytest.raises(requests.ReadTimeout):
        requests.get(simulator.api_url + PATH, headers=headers, timeout=0.1)
    (entry,) = simulator.log
    assert (entry.status, entry.admitted, entry.fault) == (0, True, "timeout")


@pytest.mark.parametrize("kind", ["drip_headers", "drip_chunks"])
def test_a_response_that_drips_never_lets_a_read_time_out(simulator: Simulator, kind: str) -> None:
    strike(simulator, kind, seconds=0.4)
    started = time.monotonic()
    with contextlib.suppress(requests.exceptions.ChunkedEncodingError):
        requests.get(simulator.api_url + PATH, headers={"Authorization": "Token wide-token"}, timeout=0.2)
    assert time.monotonic() - started >= 0.35


def test_a_page_can_have_too_many_objects_or_one_that_is_too_deep(simulator: Simulator) -> None:
    strike(simulator, "many", count=21)
    assert len(get(simulator).json()["results"]) == 21
    strike(simulator, "nested", count=100)
    assert "[" * 100 + "]" * 100 in get(simulator).text


def test_an_open_page_fails_where_ids_of_others_are_left(simulator: Simulator) -> None:
    simulator.faults.add(Fault("unbounded", endpoint="clusters", by="504"))
    last = max(cluster["id"] for cluster in simulator.corpus.clusters)
    court = "clusters/?docket__court=scotus&order_by=id&id__gt="
    own = [cluster["id"] for cluster in get(simulator, f"{court}0&id__lte={last}").json()["results"]]
    assert own
    asked = [f"{court}{own[-1]}", f"{court}{own[-1]}&id__lte={last}", f"{court}{last}", f"{court}0&count=on"]
    assert [get(simulator, path).status_code for path in asked] == [504, 200, 200, 200]
    assert simulator.summary()["faults"] == {"unbounded": 1}


def test_what_spoils_a_page_may_be_a_timeout(simulator: Simulator) -> None:
    shown = get(simulator).json()["results"][3]["id"]
    simulator.faults.add(Fault("poison", endpoint="opinions", object_id=shown, by="timeout", seconds=0.01))
    with pytest.raises(requests.ConnectionError):
        get(simulator)
    assert simulator.log[-1].fault == "poison"


def test_the_id_of_a_poison_object_can_be_listed(simulator: Simulator) -> None:
    shown = get(simulator).json()["results"][3]["id"]
    simulator.faults.add(Fault("poison", endpoint="opinions", object_id=shown))
    assert {"id": shown} in get(simulator, f"{PATH}&fields=id").json()["results"]


def test_a_poison_document_spoils_the_entry_that_nests_it(simulator: Simulator) -> None:
    entry = next(entry for entry in simulator.corpus.docket_entries if entry["recap_documents"])
    bad = entry["recap_documents"][0]["id"]
    simulator.faults.add(Fault("poison", endpoint="recap-documents", object_id=bad))
    assert get(simulator, f"docket-entries/{entry['id']}/").status_code == 500
    assert get(simulator, f"recap-documents/{bad}/").status_code == 500


def test_faults_strike_the_paths_that_they_name(simulator: Simulator) -> None:
    strike(simulator, "502", path_prefix="/api/rest/v4/clusters/")
    assert get(simulator).status_code == 200
    assert get(simulator, "clusters/?id__gt=0").status_code == 502


def test_a_fault_can_let_some_requests_pass_first(simulator: Simulator) -> None:
    strike(simulator, "503", after=2, path_prefix="/api/rest/v4/opinions/")
    assert get(simulator, "dockets/").status_code == 200
    assert [get(simulator).status_code for _ in range(4)] == [200, 200, 503, 200]


def test_a_probability_strikes_about_so_often_and_the_same_way_each_time() -> None:
    def struck() -> list[bool]:
        plan = FaultPlan([Fault("500", probability=0.2)], seed=7)
        return [plan.draw("/api/rest/v4/dockets/") is not None for _ in range(2000)]

    first = struck()
    assert first == struck()
    assert 0.16 < sum(first) / len(first) < 0.24


def test_a_fault_that_makes_no_sense_is_named() -> None:
    with pytest.raises(SettingError, match="501"):
        Fault("501")
    with pytest.raises(SettingError, match="login"):
        Fault("poison", by="login")


@pytest.mark.parametrize(
    ("spec", "median", "longest"),
    [("fixed:0.05", 0.05, 0.05), ("uniform:0.01,0.11", 0.06, 0.11)],
)
def test_latencies_have_the_distribution_that_was_asked_for(spec: str, median: float, longest: float) -> None:
    latency = Latency(spec, seed=3)
    totals = [sum(latency.draw()) for _ in range(4000)]
    assert statistics.median(totals) == pytest.approx(median, rel=0.08)
    assert max(totals) <= longest + 1e-9


@pytest.mark.parametrize("spec", ["fast", "uniform:1", "fixed:abc", "uniform:1,2,3"])
def test_a_latency_that_makes_no_sense_is_named(spec: str) -> None:
    with pytest.raises(SettingError, match="latency"):
        Latency(spec)


def test_latency_passes_before_and_after_the_throttle_decides(corpus: Corpus) -> None:
    now = [1_795_000_000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with Simulator(corpus, latency="fixed:2", clock=lambda: now[0], sleep=sleep) as simulator:
        get(simulator)
    assert now[0] == pytest.approx(1_795_000_002.0)
    assert 1_795_000_000.0 < simulator.log[0].time < 1_795_000_002.0


# --- the truth


def test_the_truth_log_tells_admitted_refused_and_free_requests_apart(simulator: Simulator) -> None:
    for _ in range(5):
        get(simulator, token="small-token")
    get(simulator, token="wrong")
    get(simulator, "api-usage/", token="small-token")
    told = [(entry.account, entry.endpoint, entry.status, entry.admitted, entry.refused) for entry in simulator.log]
    assert told == [
        *[("small", "opinions", 200, True, False)] * 4,
        ("small", "opinions", 429, False, True),
        ("", "opinions", 401, False, False),
        ("small", "api-usage", 200, True, False),
    ]
    assert simulator.summary() == {
        "requests": 7,
        "admitted": 4,
        "refused": 1,
        "api_usage": 1,
        "by_endpoint": {"opinions": 4},
        "by_account": {"small": 4},
        "by_status": {"200": 4, "429": 1, "401": 1},
        "faults": {},
    }


def test_the_truth_is_in_the_file_before_the_client_has_its_answer(corpus: Corpus, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with Simulator(corpus, log_path=path) as simulator:
        for count in (1, 2, 3):
            get(simulator)
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert len(lines) == count
    assert lines[0]["path"] == f"/api/rest/v4/{PATH}"
    assert lines[0].keys() == {
        *("time", "account", "method", "path", "endpoint", "status", "admitted", "refused", "fault")
    }


# --- control


def test_other_processes_read_the_truth(simulator: Simulator) -> None:
    get(simulator)
    get(simulator, "clusters/?id__gt=0")
    assert control(simulator, "summary")["by_endpoint"] == {"opinions": 1, "clusters": 1}
    told = control(simulator, "expected?courts=scotus,ca9&first_month=2024-01&last_month=2024-02-01")
    assert told["counts"]["clusters"] == len(told["ids"]["clusters"]) > 0
    assert len(simulator.log) == 2


def test_other_processes_order_faults(simulator: Simulator) -> None:
    control(simulator, "faults", kind="503", times=1)
    assert [get(simulator).status_code for _ in range(2)] == [503, 200]


def test_other_processes_end_faults(simulator: Simulator) -> None:
    control(simulator, "faults", kind="503")
    assert get(simulator).status_code == 503
    assert requests.delete(f"{simulator.url}/__simulator__/faults", timeout=10).status_code == 200
    assert get(simulator).status_code == 200


def test_a_control_request_that_does_not_fit_is_told_why(simulator: Simulator) -> None:
    answer = requests.post(f"{simulator.url}/__simulator__/faults", json={"kind": "501"}, timeout=10)
    assert answer.status_code == 400
    assert "501" in answer.json()["error"]
    assert requests.get(f"{simulator.url}/__simulator__/nothing", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("rebound.example:8000", 403),
        ("127.0.0.1.rebound.example", 403),
        ("10.0.0.1", 403),
        ("", 403),
        ("localhost:1", 200),
        ("[::1]", 200),
        ("127.0.0.1", 200),
    ],
)
def test_the_control_addresses_are_for_this_machine_only(simulator: Simulator, host: str, status: int) -> None:
    """A page in somebody's browser must not order faults by a name of its own that points here."""
    url = f"{simulator.url}/__simulator__/faults"
    answer = requests.post(url, json={"kind": "503", "times": 0}, headers={"Host": host}, timeout=10)
    assert answer.status_code == status
