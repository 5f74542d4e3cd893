"""Sentinels and clusters: do those who know the primary answer, and do they agree?

Belongs here: what a group of servers says about itself. Does not belong here: the primary itself (`redis_checks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.cluster import parse_cluster_slots
from redis.crc import key_slot

from courtlistener_assets.operations.doctor.findings import Finding, error, ok, warning
from resources.connections.redis_address import CLUSTER, SENTINEL, TIMEOUT_SECONDS, address_in, finder_of, tagged
from resources.connections.redis_primary import Place
from resources.connections.tls import refusal_of

_FEWEST_SENTINELS = 3
_Answers = dict[Place, Any]


def check_group(url: str, prefix: str) -> Iterator[Finding]:
    """Check the Sentinels or the cluster of an address; nothing for that of a server."""
    address = address_in(url)
    if address.kind == SENTINEL:
        yield from _check_sentinels(url, address.service)
    elif address.kind == CLUSTER:
        yield from _check_cluster(url, tagged(prefix))


def _ask(url: str, question: Callable[[redis.Redis], Any]) -> tuple[_Answers, dict[Place, Exception]]:
    """What each place of the address says, and what went wrong at the others."""
    common = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS, "max_connections": 1}
    finder = finder_of(address_in(url), common)
    assert finder is not None
    answers: _Answers = {}
    problems: dict[Place, Exception] = {}
    for place in address_in(url).places:
        try:
            with finder.client_at(place) as client:
                answers[place] = question(client)
        except (redis.RedisError, OSError) as problem:
            problems[place] = problem
    return answers, problems


def _check_sentinels(url: str, service: str) -> Iterator[Finding]:
    def question(sentinel: redis.Redis) -> Any:
        masters: Any = sentinel.sentinel_masters()
        return masters

    answers, problems = _ask(url, question)
    for (host, port), problem in problems.items():
        if "unknown command" in str(problem):
            remedy = "Name Sentinels in REDIS_URL (port 26379, as a rule), or write redis:// for the server itself."
            yield error("redis sentinel", f"{host}:{port} is no Sentinel.", remedy)
        else:
            yield _silent("redis sentinel", (host, port), problem, "a Sentinel", alone=not answers)
    states = {place: masters[service] for place, masters in answers.items() if service in masters}
    if answers and not states:
        known = ", ".join(sorted({name for masters in answers.values() for name in masters})) or "none"
        message = f"The Sentinels know no service {service}; they know: {known}."
        yield error(
            "redis sentinel", message, "Correct the service in REDIS_URL: redis+sentinel://host:26379/service/0"
        )
    if states:
        yield from _agreement(list(states.values()))


def _agreement(states: list[dict[str, Any]]) -> Iterator[Finding]:
    primaries = {f"{state['ip']}:{state['port']}" for state in states}
    if len(primaries) > 1:
        message = f"The Sentinels disagree about which server is the primary: {', '.join(sorted(primaries))}."
        yield warning("redis sentinel", message, "Wait for the failover that is under way, or look at their logs.")
        return
    state, [primary] = states[0], primaries
    count, replicas = state["num-other-sentinels"] + 1, state["num-slaves"]
    if state["is_sdown"] or state["is_odown"]:
        message = f"The Sentinels name {primary}, which they do not reach."
        yield error("redis sentinel", message, "Look at that server, and at why no replica was promoted.")
    elif count < _FEWEST_SENTINELS:
        message = f"Only {count} watch {primary}: if one fails, no replica is promoted."
        yield warning("redis sentinel", message, "Run three Sentinels, on three machines.")
    elif not replicas:
        message = f"{primary} has no replica that could be promoted."
        yield warning("redis sentinel", message, "Start a replica (replicaof), on another machine.")
    else:
        yield ok("redis sentinel", f"{count} Sentinels name {primary}; it has {replicas} replicas")


def _check_cluster(url: str, prefix: str) -> Iterator[Finding]:
    def question(node: redis.Redis) -> Any:
        return parse_cluster_slots(node.execute_command("CLUSTER SLOTS"))  # type: ignore[no-untyped-call]

    slot = key_slot(prefix.encode())
    answers, problems = _ask(url, question)
    for (host, port), problem in problems.items():
        if "cluster support disabled" in str(problem):
            message = f"{host}:{port} is not a node of a cluster."
            yield error("redis cluster", message, "Write redis:// or rediss:// in REDIS_URL.")
        else:
            yield _silent("redis cluster", (host, port), problem, "a node", alone=not answers)
    if not answers:
        return
    owners = [each for slots in answers.values() for (first, last), each in slots.items() if first <= slot <= last]
    # A node says "" for itself.
    names = {f"{host}:{port}" for host, port in (each["primary"] for each in owners)}
    if not names:
        message = f"No node has slot {slot}, where all keys of {prefix} would be."
        yield error("redis cluster", message, "Assign all slots: redis-cli --cluster fix")
    elif len(names) > 1:
        message = f"The nodes disagree about which has slot {slot}: {', '.join(sorted(names))}."
        yield warning("redis cluster", message, "Wait for the failover or the move of the slot that is under way.")
    elif not owners[0]["replicas"]:
        message = f"{names.pop()}, which has all our keys (slot {slot} of {prefix}), has no replica."
        yield warning("redis cluster", message, "Give it one: redis-cli --cluster add-node --cluster-slave")
    else:
        count = len(owners[0]["replicas"])
        yield ok("redis cluster", f"slot {slot} of {prefix} is at {names.pop()}; replicas: {count}")


def _silent(check: str, place: Place, problem: Exception, what: str, *, alone: bool) -> Finding:
    where = f"{place[0]}:{place[1]}"
    if refusal := refusal_of(problem, "REDIS_CA_CERTS"):
        return (error if alone else warning)("redis TLS", f"{where}: {refusal.reason}", refusal.remedy)
    remedy = "Start it, or correct REDIS_URL"
    if isinstance(problem, redis.AuthenticationError):
        where_from = "sentinel_username= and sentinel_password=" if check == "redis sentinel" else "user and password"
        remedy = f"Correct {where_from} in REDIS_URL"
    rest = "Until then permits come from Postgres" if alone else "The others are enough for now"
    message = f"{where}, {what}, cannot be asked: {problem}"
    return (error if alone else warning)(check, message, f"{remedy}. {rest}.")
