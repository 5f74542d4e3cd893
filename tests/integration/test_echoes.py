"""What a server echoes: the token never stands in a message, a log line, Postgres or Dagster's events."""

from __future__ import annotations

import json
import logging
import re
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import redis
from dagster_shared.serdes import serialize_value
from pydantic import ValidationError

from courtlistener_assets.defs.build import build_definitions
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.download.sweep import Sweeper
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.errors import ApiError, SettingError
from resources.records.store import RecordStore
from tests.integration.client_harness import Bench, hand_made_server, http
from tests.integration.pipeline_harness import MONTH, Pipeline, environment, pipeline_for
from tests.integration.test_token_leaks import Traces, collect_postgres, collect_redis

TOKEN = "5f0c1d0e9b7a4c3d8e2f6a1b0c9d8e7f6a5b4c3d"
#: Clears the screen, colours the text, names a window, and begins a line that looks like another one's.
ESCAPES = "\x1b[2J\x1b[31m\x1b]0;owned\x07\x9b5m\r\nFATAL: not ours\u202e"
SAID = f"{ESCAPES} you sent {TOKEN}, that is Token {TOKEN}"
JSON = "application/json"


def json_of(text: str, name: str = "detail") -> bytes:
    escaped = "".join(f"\\u{ord(each):04x}" if not each.isprintable() else each for each in text)
    return f'{{"{name}": "{escaped}"}}'.encode()


def raw(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body


ECHOES = {
    "400 as JSON": http("400 Bad Request", json_of(SAID), Content_Type=JSON),
    "400 of a field": http("400 Bad Request", json_of(SAID, "court"), Content_Type=JSON),
    "400 as text": http("400 Bad Request", SAID.encode(), Content_Type="text/plain"),
    "401": http("401 Unauthorized", json_of(SAID), Content_Type=JSON),
    "403": http("403 Forbidden", json_of(SAID), Content_Type=JSON),
    "404": http("404 Not Found", json_of(SAID), Content_Type=JSON),
    "418 in its reason": raw(f"HTTP/1.1 418 {TOKEN}\nContent-Length: 0"),
    "429 in its detail": http("429 Too Many Requests", json_of(SAID), Content_Type=JSON, Retry_After="1"),
    "429 in its Retry-After": http("429 Too Many Requests", b"{}", Content_Type=JSON, Retry_After=f"Token {TOKEN}"),
    "429 of a blocked account": http("429 Too Many Requests", json_of(f"blocked: {SAID}"), Content_Type=JSON),
    "301 to the token": http("301 Moved Permanently", Location=f"/api/rest/v4/{TOKEN}/\x1b[2J"),
    "301 to another host": http("301 Moved Permanently", Location=f"http://evil.example/{TOKEN}\x1b[2J"),
    "301 to no address": http("301 Moved Permanently", Location=f"http://[{TOKEN}\x1b[2J"),
    "a content type": http("200 OK", b"x", Content_Type=f"text/{TOKEN}\x1b[2J"),
    "next on another host": http("200 OK", f'{{"results": [], "next": "http://[{TOKEN}"}}'.encode(), Content_Type=JSON),
    "a broken body": http("200 OK", f'{{"results": {TOKEN}'.encode(), Content_Type=JSON),
    "no HTTP at all": raw(f"you sent Token {TOKEN}"),
    "a header that is none": raw(f"HTTP/1.1 400 Bad Request\nyou sent Token {TOKEN}\nContent-Length: 0"),
    "a length that is none": raw(f"HTTP/1.1 200 OK\nContent-Length: {TOKEN}", b"{}"),
    "a chunk that is none": raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", f"{TOKEN}\r\nx".encode()),
    "an encoding that is none": http("200 OK", TOKEN.encode(), Content_Type=JSON, Content_Encoding="gzip"),
}


def assert_clean(text: str) -> None:
    assert TOKEN not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text), repr(text)


@pytest.mark.parametrize("name", ECHOES)
def test_an_error_shows_neither_the_token_nor_control_characters(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with hand_made_server(lambda connection, _: connection.sendall(ECHOES[name])) as (url, received):
        bench = Bench(url, token=TOKEN, max_attempts=2)
        with pytest.raises(ApiError) as raised:
            bench.client.page("dockets", {"court": "ca9"})
        assert TOKEN.encode() in received[0], "the token was never sent: nothing to echo"
    assert_clean(str(raised.value))
    assert "\n" not in str(raised.value)
    assert_clean("".join(traceback.format_exception(raised.value)))
    assert_clean(repr([vars(raised.value), bench.ledger.holds]))
    assert_clean(caplog.text)


def test_an_object_that_echoes_the_token_is_stored_without_it(database: Database) -> None:
    [stream] = [stream for stream in STREAMS if stream.name == "dockets"]
    docket = {**dict.fromkeys(stream.needs), "id": 7, "court_id": "ca9", "case_name": TOKEN}
    body = json.dumps({"next": None, "results": [docket, {"x": TOKEN}]})
    page = http("200 OK", body.encode(), Content_Type=JSON)
    store = RecordStore(database)
    store.prepare(stream.stores)
    with hand_made_server(lambda connection, _: connection.sendall(page)) as (url, _):
        Sweeper(Bench(url, token=TOKEN).client, store, "run").walk(stream, stream.sweeps[0], CourtMonth.parse(MONTH))
    [(name,)] = database.rows("SELECT body->>'case_name' FROM courtlistener.records")
    assert name == "********"
    assert TOKEN not in str(database.rows("SELECT * FROM courtlistener.failures"))


@pytest.mark.parametrize("address", [
    "https://user:pass-word@www.courtlistener.com",
    "https://pass-word@www.courtlistener.com",
    "https://www.courtlistener.com/?key=pass-word",
    "http://www.courtlistener.com",
])  # fmt: skip
def test_the_client_itself_refuses_an_address_that_is_not_only_a_server(address: str) -> None:
    with pytest.raises(SettingError, match="API") as raised:
        Bench(address)
    assert "pass-word" not in str(raised.value)


# --- whole runs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipeline(
    simulator: Simulator, redis_server: RedisServer, redis_client: redis.Redis, database: Database, database_url: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Pipeline]:  # fmt: skip
    environ = environment(simulator, database_url, redis_server.url, str(tmp_path))
    monkeypatch.setenv("A_SECRET_OF_THE_WORKER", TOKEN)
    with pipeline_for(simulator, database, environ, monkeypatch) as pipeline:
        yield pipeline


def traces_of(pipeline: Pipeline, run_id: str, printed: str) -> Traces:
    """All that a run has left behind."""
    traces = Traces({"printed": printed.encode()})
    events = [serialize_value(entry) for entry in pipeline.instance.all_logs(run_id)]
    traces.places["events"] = "\n".join(events).encode()
    collect_postgres(traces, pipeline.environ["POSTGRES_URL"])
    collect_redis(traces, pipeline.environ["REDIS_URL"])
    return traces


@pytest.mark.parametrize("name", ["400 as JSON", "401", "403", "301 to another host"])
def test_a_run_that_meets_an_echo_leaves_no_token_behind(
    name: str, simulator: Simulator, redis_server: RedisServer, redis_client: redis.Redis, database: Database,
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(ECHOES[name] if TOKEN.encode() in head else http("500 No Token"))

    environ = environment(simulator, database_url, redis_server.url, str(tmp_path), COURTLISTENER_API_TOKEN=TOKEN)
    with hand_made_server(answer) as (url, received):
        environ["COURTLISTENER_BASE_URL"] = url
        with pipeline_for(simulator, database, environ, monkeypatch) as pipeline:
            result = pipeline.run("downloads", MONTH)
            assert not result.success
            traces = traces_of(pipeline, result.run_id, "".join(capfd.readouterr()))
    assert received
    assert traces.holding("STEP_FAILURE") == ["events", "printed"]
    assert traces.holding(TOKEN) == []
    assert traces.holding("\x1b[2J") == []


VARIABLE = {"env": "A_SECRET_OF_THE_WORKER"}


@pytest.mark.parametrize(("job", "config"), [
    ("downloads", {"dockets": {"claim_id": VARIABLE}}),
    ("downloads", {"dockets": {"resumes": VARIABLE}}),
    ("downloads", {"dockets": {"id_ranges": [{"sweep": VARIABLE, "after_id": 1, "up_to_id": 2}]}}),
    ("downloads", {"dockets": {"docket_ids": [VARIABLE]}}),
    ("forget_deferred_partitions", {"forget_deferred": {"partitions": [VARIABLE]}}),
    ("check_completeness", {"completeness": {"partitions": [VARIABLE]}}),
    ("requeue_dead_dockets", {"requeue_dead": {"failure_ids": [VARIABLE]}}),
], ids=str)  # fmt: skip
def test_a_run_that_names_a_variable_in_place_of_a_value_never_shows_it(
    pipeline: Pipeline, job: str, config: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    run_config = {"ops": {name: {"config": each} for name, each in config.items()}}
    partition = MONTH if job == "downloads" else None
    # By Dagster before the run begins, or by the step.
    with pytest.raises((dg.DagsterError, dg.Failure, ValidationError)) as raised:
        pipeline.run(job, partition, run_config=run_config, raise_on_error=True)
    assert TOKEN not in "".join(traceback.format_exception(raised.value))
    for run in pipeline.instance.get_runs():
        assert traces_of(pipeline, run.run_id, "".join(capfd.readouterr())).holding(TOKEN) == []
    assert all(TOKEN not in entry.path for entry in pipeline.simulator.log)


FILES = {"resources": {"io_manager": {"config": {"base_dir": VARIABLE}}}}


def test_a_run_cannot_choose_where_dagsters_own_files_go(pipeline: Pipeline) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="io_manager"):
        pipeline.run("show_failed_dockets", run_config=FILES)


@pytest.mark.parametrize("job", ["court_month", "check_completeness", "requeue_dead_dockets", "cleanup_expired_keys"])
def test_in_the_location_of_somebody_else_nothing_is_written_into_a_variable(
    pipeline: Pipeline, job: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Their io_manager may be open to launches; nothing of ours has an output that it would store."""
    embedded = replace(pipeline, defs=build_definitions(Settings.from_environ(pipeline.environ)))
    run = embedded.run(job, MONTH if job == "court_month" else None, run_config=FILES, raise_on_error=True)
    assert traces_of(pipeline, run.run_id, "".join(capfd.readouterr())).holding(TOKEN) == []
