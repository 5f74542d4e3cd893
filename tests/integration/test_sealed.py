"""Nobody who launches a run can send the token, a variable or a file elsewhere, or read them in the UI."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value

from courtlistener_assets.devkit.servers.server import free_port
from courtlistener_assets.location import location
from resources.dagster_resources import (
    BacklogResource,
    CourtListenerResource,
    PostgresResource,
    RecordStoreResource,
    RedisRateLimitResource,
    RedisResource,
)
from resources.errors import SettingError
from resources.sealed import SealedFiles

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "COURTLISTENER_API_TOKEN": "the-token-of-the-worker",
    "POSTGRES_URL": "postgresql://worker:pg-secret@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://:redis-secret@127.0.0.1:1/0",
}
SECRETS = ("the-token-of-the-worker", "pg-secret", "redis-secret")
#: What a launch may try, by resource; {foreign} is an address that listens.
OVERRIDES: list[tuple[str, dict[str, Any]]] = [
    ("courtlistener", {"base_url": "http://{foreign}", "api_token": {"env": "POSTGRES_URL"}}),
    ("courtlistener", {"base_url": "http://{foreign}"}),
    ("courtlistener", {"api_token": "other"}),
    ("courtlistener", {"api_token_file": "/etc/passwd"}),
    ("courtlistener", {"account": "other"}),
    ("courtlistener", {"rate_limit": {"redis": {"url": "redis://{foreign}"}}}),
    ("courtlistener", {"rate_limit": {"postgres": {"url": "postgresql://{foreign}/x"}}}),
    ("courtlistener_quota", {"redis": {"url": "redis://{foreign}"}}),
    ("courtlistener_records", {"postgres": {"url": "postgresql://{foreign}/x"}}),
    ("courtlistener_backlog", {"postgres": {"url": {"env": "COURTLISTENER_API_TOKEN"}}}),
]
every_override = pytest.mark.parametrize(("key", "config"), OVERRIDES, ids=str)


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def foreign() -> Iterator[str]:
    """The address of a server to which nothing must ever be sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def overriding(key: str, config: dict[str, Any], foreign: str) -> dict[str, Any]:
    return {"resources": {key: {"config": json.loads(json.dumps(config).replace("{foreign}", foreign))}}}


@dg.asset
def fetched(
    courtlistener: CourtListenerResource,
    courtlistener_quota: RedisRateLimitResource,
    courtlistener_records: RecordStoreResource,
    courtlistener_backlog: BacklogResource,
) -> dg.MaterializeResult[Any]:
    """What the resources have become when a step begins; no test lets it show a secret outside of this process."""
    return dg.MaterializeResult(
        metadata={"has_token": courtlistener.api_token == VARIABLES["COURTLISTENER_API_TOKEN"],
                  "has_url": courtlistener.rate_limit.postgres.url == VARIABLES["POSTGRES_URL"]}
    )  # fmt: skip


class Greeting(dg.ConfigurableResource[Any]):
    """A resource of somebody else, open to whoever launches a run, around one of ours."""

    postgres: PostgresResource
    greeting: str


def resources() -> dict[str, Any]:
    postgres, redis = PostgresResource(url=dg.EnvVar("POSTGRES_URL")), RedisResource(url=dg.EnvVar("REDIS_URL"))
    quota = RedisRateLimitResource(redis=redis, postgres=postgres)
    token = dg.EnvVar("COURTLISTENER_API_TOKEN")
    return {
        "courtlistener": CourtListenerResource(api_token=token, rate_limit=quota),
        "courtlistener_quota": quota,
        "courtlistener_records": RecordStoreResource(postgres=postgres),
        "courtlistener_backlog": BacklogResource(postgres=postgres, redis=redis),
    }


def run_of(defs: dg.Definitions) -> Callable[..., dg.ExecuteInProcessResult]:
    return defs.resolve_implicit_global_asset_job_def().execute_in_process


# --- in a process -----------------------------------------------------------------------------------------------------


def test_without_an_override_a_step_gets_what_the_code_has_bound() -> None:
    result = run_of(dg.Definitions([fetched], resources=resources()))()
    [materialization] = result.asset_materializations_for_node("fetched")
    assert {name: value.value for name, value in materialization.metadata.items()} == {
        "has_token": True,
        "has_url": True,
    }
    assert dg.materialize([fetched], resources=resources(), run_config={"resources": {"courtlistener": {}}}).success


@every_override
def test_an_override_is_refused_wherever_the_resources_stand(key: str, config: dict[str, Any], foreign: str) -> None:
    run_config = overriding(key, config, foreign)
    merged = dg.Definitions.merge(dg.Definitions([fetched]), dg.Definitions(resources=resources()))
    for run in (run_of(dg.Definitions([fetched], resources=resources())), run_of(merged)):
        with pytest.raises(dg.DagsterInvalidConfigError, match="Received unexpected config entr"):
            run(run_config=run_config)
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.materialize([fetched], resources=resources(), run_config=run_config)


def test_inside_an_open_resource_of_somebody_else_the_sealed_one_stays_sealed(foreign: str) -> None:
    seen = []

    @dg.asset
    def use(mine: Greeting) -> None:
        seen.append((mine.greeting, mine.postgres.url))

    bound = Greeting(postgres=PostgresResource(url=dg.EnvVar("POSTGRES_URL")), greeting="hello")
    run = run_of(dg.Definitions([use], resources={"mine": bound}))
    with pytest.raises(dg.DagsterInvalidConfigError):
        run(run_config=overriding("mine", {"postgres": {"url": "postgresql://{foreign}/x"}}, foreign))
    assert run(run_config={"resources": {"mine": {"config": {"greeting": "good day"}}}}).success
    assert seen == [("good day", VARIABLES["POSTGRES_URL"])]


def test_a_sealed_resource_cannot_be_left_to_the_launch() -> None:
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="cannot be configured by a run"):
        CourtListenerResource.configure_at_launch()
    job = dg.define_asset_job("named", config=overriding("courtlistener", {"account": "other"}, ""))
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.Definitions([fetched], jobs=[job], resources=resources()).resolve_job_def("named").execute_in_process()


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURTLISTENER_API_TOKEN")
    with pytest.raises(dg.DagsterInvalidConfigError, match="COURTLISTENER_API_TOKEN"):
        dg.materialize([fetched], resources=resources())


def test_the_files_of_outputs_stay_where_the_code_puts_them(tmp_path: Path) -> None:
    @dg.asset
    def plain() -> int:
        return 1

    run = run_of(dg.Definitions([plain], resources={"io_manager": SealedFiles(base_dir=str(tmp_path))}))
    with pytest.raises(dg.DagsterInvalidConfigError):
        run(run_config={"resources": {"io_manager": {"config": {"base_dir": {"env": "POSTGRES_URL"}}}}})
    assert run().success
    assert (tmp_path / "plain").exists()


@pytest.mark.parametrize("address", ["https://user:pass-word@www.courtlistener.com", "http://www.courtlistener.com"])
def test_an_address_with_a_password_is_refused_before_any_ui_shows_it(address: str) -> None:
    with pytest.raises(SettingError, match="API") as raised:
        CourtListenerResource(base_url=address, api_token="x", rate_limit=resources()["courtlistener_quota"])
    assert "pass-word" not in str(raised.value)


def test_an_address_in_a_variable_is_refused_when_a_step_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDRESS", "https://user:pass-word@www.courtlistener.com")
    quota = resources()["courtlistener_quota"]
    courtlistener = CourtListenerResource(base_url=dg.EnvVar("ADDRESS"), api_token="x", rate_limit=quota)

    @dg.asset
    def never() -> None: ...

    shown = snapshot_of(dg.Definitions([never], resources={"courtlistener": courtlistener}))
    assert "ADDRESS" in shown
    opened = courtlistener.process_config_and_initialize_cm()
    with pytest.raises(SettingError, match="API") as raised, opened:
        raise AssertionError("the address should have been refused")
    assert "pass-word" not in str(raised.value)


# --- what is shown ----------------------------------------------------------------------------------------------------


def literal_resources() -> dict[str, Any]:
    """As somebody writes them who has not heard of variables."""
    token, postgres_url, redis_url = VARIABLES.values()
    quota = RedisRateLimitResource(redis_url=redis_url, postgres_url=postgres_url)
    return {
        **resources(),
        "courtlistener": CourtListenerResource(api_token=token, rate_limit=quota),
        "courtlistener_quota": quota,
    }


def snapshot_of(defs: dg.Definitions) -> str:
    job = defs.resolve_implicit_global_asset_job_def()
    return serialize_value(RepositorySnap.from_def(defs.get_repository_def())) + serialize_value(job.get_job_snapshot())


def test_a_snapshot_holds_the_names_of_variables_and_no_secret() -> None:
    shown = snapshot_of(dg.Definitions([fetched], resources=resources()))
    assert not [secret for secret in SECRETS if secret in shown]
    assert "COURTLISTENER_API_TOKEN" in shown
    shown = snapshot_of(dg.Definitions([fetched], resources=literal_resources()))
    assert not [secret for secret in SECRETS if secret in shown]
    assert "********" in shown
    assert not [secret for secret in SECRETS if secret in repr(literal_resources())]


def test_the_whole_location_holds_no_secret() -> None:
    environ = {**VARIABLES, "COURTLISTENER_COURTS": "scotus", "COURTLISTENER_FIRST_MONTH": "2024-01"}
    shown = serialize_value(RepositorySnap.from_def(location(environ).get_repository_def()))
    assert not [secret for secret in SECRETS if secret in shown]


# --- a real webserver -------------------------------------------------------------------------------------------------

LITERAL_LOCATION = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import dagster as dg
from tests.integration.test_sealed import fetched, literal_resources
defs = dg.Definitions([fetched], resources=literal_resources())
"""
WORKSPACE = "load_from: [{python_module: courtlistener_assets.definitions}, {python_file: literal.py}]"
LOCATION = {"repositoryLocationName": "courtlistener_assets.definitions", "repositoryName": "__repository__"}
LITERAL = {**LOCATION, "repositoryLocationName": "literal.py"}
LAUNCHED = "__typename ... on RunConfigValidationInvalid { errors { reason message } } ... on PythonError { message }"
DETAILS = """
    query($location: RepositorySelector!) { allTopLevelResourceDetailsOrError(repositorySelector: $location) {
        ... on ResourceDetailsList { results {
            name configuredValues { key value type } configFields { name defaultValueAsJson } } } } }
"""


class Webserver:
    """GraphQL of a webserver with two locations: ours, and one whose secrets are written in the code."""

    def __init__(self, home: Path) -> None:
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        (home / "workspace.yaml").write_text(WORKSPACE)
        (home / "literal.py").write_text(LITERAL_LOCATION)
        self.port, self.log = free_port(), home / "log"
        environ = {
            **os.environ, **VARIABLES, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT),
            "COURTLISTENER_COURTS": "scotus", "COURTLISTENER_FIRST_MONTH": "2024-01",
        }  # fmt: skip
        command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environ, cwd=home, stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 150
        while True:
            try:
                self.ask("{ version }")
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.3)

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer
        return answer["data"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webserver]:
    server = Webserver(tmp_path_factory.mktemp("home"))
    yield server
    server.stop()


@pytest.mark.timeout(300)
def test_every_way_to_launch_an_override_through_the_webserver_is_refused(webserver: Webserver, foreign: str) -> None:
    for key, config in OVERRIDES:
        run_config = overriding(key, config, foreign)
        job = {
            "courtlistener_quota": "cleanup_expired_keys",
            "courtlistener_backlog": "requeue_dead_dockets",
        }.get(key, "check_completeness")
        params = {"selector": {**LOCATION, "pipelineName": job}, "runConfigData": run_config, "mode": "default"}
        for mutation in ("launchRun", "launchPipelineExecution"):
            query = f"mutation($params: ExecutionParams!) {{ {mutation}(executionParams: $params) {{ {LAUNCHED} }} }}"
            answer = webserver.ask(query, params=params)[mutation]
            assert answer["__typename"] == "RunConfigValidationInvalid", (key, config, answer)
            assert all(error["reason"].startswith("FIELD") for error in answer["errors"]), answer
            assert not [secret for secret in SECRETS if secret in str(answer)]
    listed = webserver.ask("{ runsOrError { ... on Runs { results { runId } } } }")
    assert listed["runsOrError"]["results"] == []


@pytest.mark.timeout(300)
def test_the_ui_shows_the_names_of_variables_and_masks_literals(webserver: Webserver) -> None:
    ours, literal = (json.dumps(webserver.ask(DETAILS, location=each)) for each in (LOCATION, LITERAL))
    assert not [secret for secret in SECRETS if secret in ours + literal]
    assert "COURTLISTENER_API_TOKEN" in ours
    assert "********" in literal
