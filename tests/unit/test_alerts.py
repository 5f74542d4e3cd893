"""The alert rules and the board are valid PromQL, wherever Prometheus is not installed.

Parsed by promql-parser. What they evaluate to, Prometheus itself says in tests/servers/test_prometheus.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import promql_parser as promql
import pytest
import yaml  # type: ignore[import-untyped]

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES: dict[str, str] = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
PANELS: list[str] = [
    target["expr"]
    for panel in json.loads((DEPLOY / "grafana" / "courtlistener.json").read_text(encoding="utf-8"))["panels"]
    for target in panel["targets"]
]


@pytest.mark.parametrize("expression", [*RULES.values(), *PANELS])
def test_every_expression_is_valid(expression: str) -> None:
    # What Grafana puts in.
    promql.parse(expression.replace("$__rate_interval", "5m").replace("$__range", "1h"))


@pytest.mark.parametrize(
    ("mistake", "problem"),
    [("sum(rate(x[5m])", "unclosed"), ("rate(x)", "expected type"), ("x{a=b}", "unexpected")],
)
def test_a_mistake_would_be_found(mistake: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        promql.parse(mistake)
