"""The simulator as a process of its own: one line when it is ready, a clean end, kept connections."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.devkit.simulator.server import Simulator

_ROOT = Path(__file__).parents[2]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it printed."""
    command = [sys.executable, "-m", "courtlistener_assets.devkit.simulator", *arguments]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator listening on http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    with running("--rates", "2/hour", "--token", "secret", "--log", str(log)) as (process, url):
        headers = {"Authorization": "Token secret"}
        statuses = [
            requests.get(f"{url}/api/rest/v4/courts/", headers=headers, timeout=10).status_code for _ in range(3)
        ]
        process.send_signal(number)
        assert process.wait(10) == 0
    assert statuses == [200, 200, 429]
    assert [json.loads(line)["admitted"] for line in log.read_text().splitlines()] == [True, True, False]


def test_it_serves_the_opinions_of_a_file(tmp_path: Path) -> None:
    line = {
        **{"case_name": "Doe v. Roe", "court_id": "scotus", "date_filed": "2024-05-16", "docket_number": "22-448"},
        **{"citation": "601 U.S. 416", "type": "010combined", "field": "plain_text", "text": "It is so ordered."},
    }
    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps(line))
    with running("--corpus", str(file)) as (_, url):
        headers = {"Authorization": "Token demo-token"}
        page = requests.get(
            f"{url}/api/rest/v4/opinions/?cluster__docket__court=scotus", headers=headers, timeout=10
        ).json()
    assert [opinion["plain_text"] for opinion in page["results"]] == ["It is so ordered."]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--corpus", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["--rates", "many"], "'many' is not like"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "courtlistener_assets.devkit.simulator", *arguments]
    run = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_connections_are_kept_and_end_with_the_server() -> None:
    simulator = Simulator(generate(seed=4, size=0.1)).start()
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    sockets = []
    for _ in range(3):
        connection.request("GET", "/api/rest/v4/courts/nysd/", headers={"Authorization": "Token wide-token"})
        connection.getresponse().read()
        sockets.append(connection.sock)
    assert sockets[0] is not None
    assert sockets.count(sockets[0]) == 3
    simulator.stop()
    assert connection.sock is not None
    assert connection.sock.recv(1) == b""
    with pytest.raises(requests.ConnectionError):
        requests.get(simulator.api_url, timeout=10)


def test_two_simulators_run_side_by_side() -> None:
    with Simulator(generate(seed=4, size=0.1)) as one, Simulator(generate(seed=5, size=0.1)) as other:
        assert one.url != other.url
        for simulator in (one, other):
            assert requests.get(simulator.api_url, timeout=10).status_code == 200
