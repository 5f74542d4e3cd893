"""The alert rules and the board are valid PromQL, and the rules fire above their thresholds and not at them.

Parsed by promql-parser; the few forms that the rules use are evaluated here, over two scrapes ten minutes apart.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
#: By name and labels: the values of the two scrapes.
Series = dict[tuple[str, Labels], tuple[float, float]]
_OPERATORS: dict[str, Callable[[float, float], Any]] = {
    "/": operator.truediv, ">": operator.gt, "==": operator.eq,
}  # fmt: skip


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


def series(**values: float) -> Series:
    """Of the present values by name; `name__label__value`. Counters begin at 0."""
    found: Series = {}
    for written, value in values.items():
        name, *labels = written.split("__")
        pairs = frozenset(zip(labels[::2], labels[1::2], strict=True))
        found[f"courtlistener_{name}", pairs] = (0.0, value)
    return found


def evaluate(node: Any, samples: Series) -> Vector:
    """The value of an expression: one number for each set of labels."""
    match type(node).__name__:
        case "NumberLiteral":
            return {frozenset(): node.val}
        case "ParenExpr":
            return evaluate(node.expr, samples)
        case "VectorSelector":
            return {labels: now for labels, (_, now) in selected(node, samples)}
        case "Call":
            return called(node, samples)
        case "AggregateExpr":
            return aggregated(node, samples)
        case "BinaryExpr":
            return combined(node, samples)
    raise NotImplementedError(type(node).__name__)


def selected(selector: Any, samples: Series) -> Iterator[tuple[Labels, tuple[float, float]]]:
    for (name, labels), values in samples.items():
        held = dict(labels)
        if name == selector.name and all(fits(matcher, held) for matcher in selector.matchers.matchers):
            yield labels, values


def fits(matcher: Any, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    kind = str(matcher.op).rpartition(".")[2]
    return bool({"Equal": value == matcher.value, "Re": re.fullmatch(matcher.value, value)}[kind])


def called(call: Any, samples: Series) -> Vector:
    [argument] = call.args
    if call.func.name == "absent":
        return {} if evaluate(argument, samples) else {frozenset(): 1.0}
    seconds = argument.range.total_seconds() if call.func.name == "rate" else 1.0
    assert call.func.name in ("rate", "increase")
    return {labels: (now - before) / seconds for labels, (before, now) in selected(argument.vector_selector, samples)}


def aggregated(node: Any, samples: Series) -> Vector:
    kept = set(node.modifier.labels) if node.modifier else set()
    groups: dict[Labels, list[float]] = {}
    for labels, value in evaluate(node.expr, samples).items():
        groups.setdefault(frozenset(pair for pair in labels if pair[0] in kept), []).append(value)
    combine: Callable[[list[float]], float] = max if str(node.op) == "max" else sum
    assert str(node.op) in ("max", "sum")
    return {labels: combine(values) for labels, values in groups.items()}


def combined(node: Any, samples: Series) -> Vector:
    left, right, symbol = evaluate(node.lhs, samples), evaluate(node.rhs, samples), str(node.op)
    found = {}
    for labels, value in left.items():
        # A number stands for itself whatever the labels.
        other = right.get(frozenset()) if type(node.rhs).__name__ == "NumberLiteral" else right.get(labels)
        if other is not None:
            result = _OPERATORS[symbol](value, other)
            if symbol == "/":
                found[labels] = result
            elif result:
                found[labels] = value
    return found


REDIS, UPDATES = "redis_operations_total__result__", "state_updates_total__result__"
UTILISATION = "quota_utilization_ratio__account__a__window_seconds__"
THRESHOLDS = [
    # More than 5 % of the operations of Redis fail.
    ("CourtListenerRedisFailures", {f"{REDIS}ok": 95, f"{REDIS}failed": 5}, {f"{REDIS}ok": 94, f"{REDIS}failed": 6}),
    # More than 95 % of an hour or a day are used; a full minute is nothing.
    ("CourtListenerQuotaNearlyFull", {f"{UTILISATION}3600": 0.95, f"{UTILISATION}60": 1.0},
     {f"{UTILISATION}86400": 0.96}),
    # More than 1 % of the permits cannot be settled.
    ("CourtListenerStateUpdateFailures", {f"{UPDATES}ok": 99, f"{UPDATES}failed": 1},
     {f"{UPDATES}ok": 98, f"{UPDATES}failed": 2}),
    # More than 80 % of the memory of Redis are used.
    ("CourtListenerRedisMemory", {"redis_memory_used_bytes": 80, "redis_memory_limit_bytes": 100},
     {"redis_memory_used_bytes": 81, "redis_memory_limit_bytes": 100}),
    ("CourtListenerRedisDown", {"redis_up": 1}, {"redis_up": 0}),
    ("CourtListenerPostgresDown", {"postgres_up": 1}, {"postgres_up": 0}),
    ("CourtListenerRefused", {"requests_refused_total": 0}, {"requests_refused_total": 1}),
    ("CourtListenerAccountBlocked", {"account_blocked": 0}, {"account_blocked": 1}),
    # More than two hours.
    ("CourtListenerDown", {"server_down_seconds": 7200}, {"server_down_seconds": 7201}),
    ("CourtListenerDeadFailures", {"failures__state__open": 9, "failures__state__dead": 0},
     {"failures__state__dead": 1}),
    ("CourtListenerExporterDown", {"scrape_seconds": 0.1}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("alert", "calm", "alarming"), THRESHOLDS, ids=[case[0] for case in THRESHOLDS])
def test_an_alert_fires_above_its_threshold_only(
    alert: str, calm: dict[str, float], alarming: dict[str, float]
) -> None:
    rule = promql.parse(RULES[alert])
    assert evaluate(rule, series(**calm)) == {}
    assert evaluate(rule, series(**alarming)) != {}


def test_every_alert_is_tried() -> None:
    assert {case[0] for case in THRESHOLDS} == set(RULES)
