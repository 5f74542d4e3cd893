"""What Kubernetes is given by the Helm values: of the form that its schemas have, and no wider than it must be.

Without Dagster's chart, which is not in this repository: `test_helm_chart.py` renders with it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

from courtlistener_assets.cli import main as command_line

ROOT = Path(__file__).parents[2]


class Strict(yaml.SafeLoader):  # type: ignore[misc]
    """As Helm reads YAML: a key that stands twice is an error."""


def unique(loader: Strict, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [key.value for key, _ in node.value]
    assert len(keys) == len(set(keys)), f"a key stands twice in line {node.start_mark.line + 1}: {keys}"
    loader.flatten_mapping(node)
    mapping: dict[str, Any] = loader.construct_mapping(node, deep=True)
    return mapping


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, unique)
VALUES: dict[str, Any] = yaml.load((ROOT / "deploy" / "helm" / "values.yaml").read_text(encoding="utf-8"), Strict)
[CODE] = VALUES["dagster-user-deployments"]["deployments"]
MANIFESTS: list[dict[str, Any]] = VALUES["extraManifests"]
#: The oldest that clouds still run, and the newest of the package.
VERSIONS = ["1.30", "1.37"]
WORKER = VALUES["runLauncher"]["config"]["k8sRunLauncher"]["labels"]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] == kind]


def pod_templates() -> list[dict[str, Any]]:
    """The pods of the manifests."""
    return [manifest["spec"]["template"] for manifest in MANIFESTS if "template" in manifest.get("spec", {})]


def named(manifest: dict[str, Any]) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=named)
def test_every_manifest_of_ours_is_of_the_form_that_kubernetes_knows(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_typing_error_in_a_manifest_would_be_found() -> None:
    wrong = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {}, "spec": {"minAvailabel": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="minAvailabel"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "of_chart", [VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], CODE], ids=["webserver", "daemon", "code"]
)
def test_what_the_chart_passes_on_to_pods_is_of_that_form_too(of_chart: dict[str, Any], version: str) -> None:
    probes = {
        name: {key: value for key, value in of_chart[name].items() if key != "enabled"}
        for name in ("readinessProbe", "livenessProbe", "startupProbe")
        if name in of_chart
    }
    container = {key: of_chart[key] for key in ("securityContext", "resources", "volumeMounts")} | probes
    spec = {
        "containers": [{"name": "c", "image": "i", **container}],
        "volumes": of_chart["volumes"],
        "securityContext": of_chart["podSecurityContext"],
    }
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec}, version, strict=True
    )


def test_all_of_our_processes_run_one_image_and_one_set_of_settings() -> None:
    name = f"{CODE['image']['repository']}:{CODE['image']['tag']}"
    assert VALUES["dagsterWebserver"]["image"] == VALUES["dagsterDaemon"]["image"] == CODE["image"]
    containers = [container for template in pod_templates() for container in template["spec"]["containers"]]
    assert {container["image"] for container in containers} == {name}
    for container in containers:
        assert (container["env"], container["envFrom"]) == (
            CODE["env"],
            [{"secretRef": secret} for secret in CODE["envSecrets"]],
        )
        [subcommand] = re.findall(r"\bcourtlistener (\w+)", " ".join(container["command"]))
        assert subcommand in getattr(command_line, "commands", {})


def test_no_process_may_do_more_than_it_must() -> None:
    launched = VALUES["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    pods = [VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], CODE]
    pod_level = [each["podSecurityContext"] for each in pods] + [launched["podSpecConfig"]["securityContext"]]
    level = [each["securityContext"] for each in pods] + [launched["containerConfig"]["securityContext"]]
    for template in pod_templates():
        assert template["spec"]["automountServiceAccountToken"] is False
        pod_level.append(template["spec"]["securityContext"])
        level += [container["securityContext"] for container in template["spec"]["containers"]]
    assert all(each["runAsNonRoot"] and each["runAsUser"] == 10001 for each in pod_level)
    for each in level:
        assert each["readOnlyRootFilesystem"] is True
        assert each["allowPrivilegeEscalation"] is False
        assert each["capabilities"] == {"drop": ["ALL"]}


def test_the_migration_comes_before_everything_else_of_an_install_and_of_an_upgrade() -> None:
    [job] = of_kind("Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"].split(",") == ["pre-install", "pre-upgrade"]
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["courtlistener", "migrate"]


def test_the_schema_of_dagster_is_the_one_that_the_documented_role_owns() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    [schema] = re.findall(r"-csearch_path=(\w+)", VALUES["postgresql"]["postgresqlParams"]["options"])
    assert f"CREATE SCHEMA {schema} AUTHORIZATION" in page
    assert f"SET search_path = {schema};" in page


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector chooses a pod with these labels; of expressions only `In`, which is all that there is."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", ()))


DAGSTER = {"app.kubernetes.io/name": "dagster", "app.kubernetes.io/instance": "courtlistener"}


@pytest.mark.parametrize(
    ("labels", "ports"),
    [
        ({"app.kubernetes.io/name": "dagster", "app.kubernetes.io/instance": "dagster", **WORKER}, set()),
        (pod_templates()[0]["metadata"]["labels"], set()),
        (pod_templates()[1]["metadata"]["labels"], set()),
        ({"component": "user-deployments", "deployment": "courtlistener"}, set()),
        ({**DAGSTER, "component": "dagster-webserver"}, {6443}),
        ({**DAGSTER, "component": "dagster-daemon"}, {6443}),
    ],
    ids=["run", "migration", "exporter", "code server", "webserver", "daemon"],
)
def test_every_pod_reaches_only_the_name_server_the_stores_https_and_the_code_server(
    labels: dict[str, str], ports: set[int]
) -> None:
    policies = [each["spec"] for each in of_kind("NetworkPolicy") if selects(each["spec"]["podSelector"], labels)]
    assert policies
    assert any("Ingress" in policy["policyTypes"] for policy in policies)
    allowed = [rule for policy in policies for rule in policy.get("egress", ())]
    assert all(rule["to"] and rule["ports"] for rule in allowed)
    assert {port["port"] for rule in allowed for port in rule["ports"]} == {53, 443, 4000, 5432, 6379} | ports
    for rule in allowed:
        for place in rule["to"]:
            if place.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                assert [port["port"] for port in rule["ports"]] == [443]
                assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(place["ipBlock"]["except"])


def test_a_budget_covers_only_what_has_two_pods() -> None:
    [budget] = of_kind("PodDisruptionBudget")
    assert selects(budget["spec"]["selector"], {**DAGSTER, "component": "dagster-webserver"})
    assert budget["spec"]["minAvailable"] < VALUES["dagsterWebserver"]["replicaCount"]


def test_the_service_of_the_exporter_finds_its_pod() -> None:
    [service], [deployment] = of_kind("Service"), of_kind("Deployment")
    assert selects({"matchLabels": service["spec"]["selector"]}, deployment["spec"]["template"]["metadata"]["labels"])
    [port] = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def exporter() -> dict[str, Any]:
    [pod] = [each for each in pod_templates() if each["spec"]["containers"][0]["name"] == "metrics"]
    return pod


def test_the_exporter_takes_the_password_of_dagsters_tables_from_where_dagster_has_it(tmp_path: Path) -> None:
    """One secret has it, and nobody has to write it down twice."""
    [container] = exporter()["spec"]["containers"]
    [volume] = [each for each in exporter()["spec"]["volumes"] if "secret" in each]
    assert volume["secret"]["secretName"] == VALUES["global"]["postgresqlSecretName"]
    [place] = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == volume["name"]]
    # As Kubernetes mounts it, and with a program that tells how it was called.
    (tmp_path / "postgresql-password").write_text("it's $ecret", encoding="utf-8")
    (tmp_path / "courtlistener").write_text('#!/bin/sh\nprintf "%s|" "$DAGSTER_PG_PASSWORD" "$@"', encoding="utf-8")
    (tmp_path / "courtlistener").chmod(0o755)
    command = [part.replace(place, str(tmp_path)) for part in container["command"]]
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
    assert said == "it's $ecret|metrics|--host|0.0.0.0|--port|9464|"


def test_the_exporter_has_the_settings_of_the_instance_whose_daemon_it_watches() -> None:
    """In place of those in the image, which are for Docker Compose."""
    pod = exporter()
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    home = re.findall(r"DAGSTER_HOME=(\S+)", (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8"))[0]
    instance = volumes[mounts[f"{home}/dagster.yaml"]["name"]]
    # As the chart names it for a release that is called `courtlistener`.
    assert instance["configMap"]["name"] == "courtlistener-dagster-instance"
