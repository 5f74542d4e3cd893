"""The Helm values with Dagster's own chart: its schema takes them, and Kubernetes and Dagster take what Helm renders.

The chart is not ours to distribute: `make helm DAGSTER_CHART=directory` names an unpacked copy, and installs Helm for
the occasion. Without it these tests are skipped; `test_kubernetes.py` holds what can be held without.
"""

from __future__ import annotations

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import dagster as dg
import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
CHART = os.environ.get("DAGSTER_CHART", "")
pytestmark = pytest.mark.skipif(
    not CHART or not find_spec("helm_python"), reason="needs Dagster's chart: make helm DAGSTER_CHART=directory"
)
#: Where the chart's schema looks for those of Kubernetes, and where they are here. Names of definitions are the same.
_ASKED = "https://kubernetesjsonschema.dev/v1.18.0/_definitions.json#/definitions/"
_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
VERSION = "1.37"


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The chart, with a schema that needs no network."""
    import helm_python

    copy = tmp_path_factory.mktemp("chart") / "dagster"
    shutil.copytree(CHART, copy)
    for schema in copy.rglob("values.schema.json"):
        here = f"file://{_SCHEMAS / 'v1.25.0-local' / '_definitions.json'}#/$defs/"
        schema.write_text(schema.read_text(encoding="utf-8").replace(_ASKED, here), encoding="utf-8")
    return helm_python.Chart.load(str(copy))


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def manifests(chart: Any, values: dict[str, Any]) -> list[dict[str, Any]]:
    rendered = chart.render(values, name="courtlistener", namespace="courtlistener")
    texts = [text for path, text in rendered.items() if not path.endswith("NOTES.txt")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def of_kind(manifests: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def instance_of(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The rendered dagster.yaml."""
    found: dict[str, Any] = yaml.safe_load(
        of_kind(manifests, "ConfigMap")["courtlistener-dagster-instance"]["data"]["dagster.yaml"]
    )
    return found


def test_the_chart_refuses_a_typing_error_and_takes_our_values(chart: Any, values: dict[str, Any]) -> None:
    chart.validate_schema(values)
    wrong = json.loads(json.dumps(values))
    wrong["runLauncher"]["config"]["k8sRunLauncher"]["loadInclusterConfig"] = "perhaps"
    with pytest.raises(Exception, match="loadInclusterConfig"):
        chart.validate_schema(wrong)


def test_everything_that_is_rendered_is_valid_for_kubernetes(manifests: list[dict[str, Any]]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    deployments = of_kind(manifests, "Deployment")
    assert set(deployments) == {
        "courtlistener-dagster-webserver",
        "courtlistener-dagster-daemon",
        "courtlistener-dagster-user-deployments-courtlistener",
        "courtlistener-metrics",
    }
    assert set(of_kind(manifests, "Job")) == {"courtlistener-migrate"}
    assert len(of_kind(manifests, "NetworkPolicy")) == 4


def test_every_pod_is_under_a_policy_and_cannot_write_but_to_its_volumes(manifests: list[dict[str, Any]]) -> None:
    policies = [each["spec"]["podSelector"] for each in of_kind(manifests, "NetworkPolicy").values()]
    pods = [each["spec"]["template"] for each in manifests if each["kind"] in ("Deployment", "Job")]
    for pod in pods:
        labels = pod["metadata"]["labels"]
        assert any(policy["matchLabels"].items() <= labels.items() for policy in policies)
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        containers = pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
        assert all(each["securityContext"]["readOnlyRootFilesystem"] for each in containers)
        assert {"/tmp"} <= {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}


def test_dagster_takes_the_rendered_instance(
    manifests: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "secret")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    instance = instance_of(manifests)
    url = dg._check.not_none(instance["run_storage"]["config"]["postgres_db"]["params"])
    assert url["options"] == "-csearch_path=dagster"
    # Nothing is connected to: the storage is one in memory, all else is what the chart has rendered.
    for name in ("run_storage", "event_log_storage", "schedule_storage"):
        del instance[name]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance), encoding="utf-8")
    with mock.patch("kubernetes.config.load_incluster_config"), dg.DagsterInstance.from_config(str(tmp_path)) as loaded:
        pools = loaded.get_concurrency_config().pool_config
        assert (pools.default_pool_limit, pools.pool_granularity.value) == (4, "op")
        assert loaded.get_concurrency_config().run_queue_config.max_concurrent_runs == 8
        assert type(loaded.run_launcher).__name__ == "K8sRunLauncher"
        assert type(loaded.compute_log_manager).__name__ == "S3ComputeLogManager"
        assert loaded.run_monitoring_enabled


def test_a_run_gets_the_settings_the_volumes_and_the_security_of_the_deployment(
    manifests: list[dict[str, Any]],
) -> None:
    """The job that the launcher would send to Kubernetes."""
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import construct_dagster_k8s_job
    from dagster_k8s.launcher import K8sRunLauncher
    from kubernetes.client import ApiClient

    given = process_config(
        resolve_to_config_type(K8sRunLauncher.config_type()), instance_of(manifests)["run_launcher"]["config"]
    )
    with mock.patch("kubernetes.config.load_incluster_config"):
        launcher = K8sRunLauncher.from_config_value(None, given.value)
    code = of_kind(manifests, "Deployment")["courtlistener-dagster-user-deployments-courtlistener"]["spec"]["template"][
        "spec"
    ]
    [container] = code["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    context = json.loads(variables["DAGSTER_CLI_API_GRPC_CONTAINER_CONTEXT"])
    origin = SimpleNamespace(repository_origin=SimpleNamespace(container_context=context))
    run: Any = SimpleNamespace(job_code_origin=origin, tags={})
    merged = K8sContainerContext.create_for_run(run, launcher, include_run_tags=True)
    job = ApiClient().sanitize_for_serialization(
        construct_dagster_k8s_job(
            job_config=merged.get_k8s_job_config(job_image=variables["DAGSTER_CURRENT_IMAGE"], run_launcher=launcher),
            args=["dagster", "api", "execute_run", "-"],
            job_name="run",
            user_defined_k8s_config=merged.run_k8s_config,
            labels={"dagster/run-id": "run"},
        )
    )
    kubernetes_validate.validate({"apiVersion": "batch/v1", "kind": "Job", **job}, VERSION, strict=True)
    template = job["spec"]["template"]
    assert template["metadata"]["labels"]["courtlistener/role"] == "worker"
    assert template["spec"]["securityContext"] == code["securityContext"]
    assert template["spec"]["containers"][0]["securityContext"] == container["securityContext"]
    assert {"/data", "/tmp"} <= {mount["mountPath"] for mount in template["spec"]["containers"][0]["volumeMounts"]}
    assert {"secretRef": {"name": "courtlistener"}} in template["spec"]["containers"][0]["envFrom"]
