"""Is Redis reachable, private, durable, and may we do there what we must?

Belongs here: everything that INFO and a probe of the rights tell. Does not belong here: clocks (`clock_checks.py`).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis
from redis.exceptions import MovedError, NoPermissionError

from courtlistener_assets.operations.doctor.findings import Finding, address_of, error, is_loopback, notice, ok, warning
from courtlistener_assets.operations.doctor.redis_groups import check_group
from courtlistener_assets.settings import Settings
from resources.connections import scripts
from resources.connections.redis_address import address_in, connect, keys_at, service_with_tls
from resources.connections.redis_keys import RedisKeys
from resources.connections.tls import refusal_of

#: What Python code calls directly; what the scripts call is read from the scripts themselves.
DIRECT_COMMANDS = frozenset(
    {"del", "evalsha", "exec", "get", "hgetall", "hset", "hsetnx", "info", "lrange", "lrem", "mget", "multi", "pexpire",
     "ping", "rename", "rpush", "scan", "set", "subscribe", "time", "zadd", "zrangebyscore", "zscore"}
)  # fmt: skip
_CALL = re.compile(r"redis\.p?call\(\s*'(\w+)'")
_OLDEST = (6, 2)
_RECENT_SECONDS = 3600
_HANDSHAKE_SECONDS = 3.0


def commands_of_scripts() -> set[str]:
    """Return every command that a script in `lua/` calls, in lower case."""
    texts = (path.read_text(encoding="utf-8") for path in scripts.SCRIPTS_DIRECTORY.glob("*.lua"))
    return {name.lower() for text in texts for name in _CALL.findall(text)}


def check_redis(settings: Settings) -> Iterator[Finding]:
    """Run all checks of the Redis server that the settings name."""
    keys = keys_at(settings.redis_url, settings.redis_prefix)
    yield from check_group(settings.redis_url, settings.redis_prefix)
    with connect(settings.redis_url, prefix=settings.redis_prefix) as client:
        try:
            client.ping()
        except (redis.RedisError, OSError) as problem:
            yield _unreachable(settings.redis_url, problem)
            return
        yield ok("redis", f"{address_of(settings.redis_url)} responds")
        yield from check_tls(settings.redis_url)
        with suppress(NoPermissionError):
            if client.info("server").get("redis_mode") == "sentinel":
                remedy = "Write redis+sentinel://host:26379/service/0 in REDIS_URL; it may name several Sentinels."
                yield error("redis sentinel", f"{address_of(settings.redis_url)} is a Sentinel, not a server.", remedy)
                return
        with suppress(NoPermissionError):
            yield from check_info(client.info(), keys.prefix)
        try:
            with suppress(NoPermissionError):
                yield _scripts(client, keys)
            yield _rights(client, keys)
        except MovedError:
            message = f"{address_of(settings.redis_url)} is one node of a cluster, and another one has our keys."
            yield error("redis cluster", message, "Write redis+cluster:// or rediss+cluster:// in REDIS_URL.")


def _unreachable(url: str, problem: Exception) -> Finding:
    where = address_of(url)
    if refusal := refusal_of(problem, "REDIS_CA_CERTS"):
        return error("redis TLS", f"{where}: {refusal.reason}", refusal.remedy)
    if not address_in(url).tls and _wants_tls(url):
        message = f"{where} takes encrypted connections only."
        return error("redis TLS", message, "Write rediss:// in REDIS_URL, or set REDIS_SSL=true.")
    if isinstance(problem, redis.AuthenticationError):
        return error("redis", f"{where} refuses the login: {problem}", "Correct user and password in REDIS_URL.")
    if isinstance(problem, NoPermissionError):
        return error("redis rights", f"{where}: {problem}", "Load deploy/redis-users.acl, see docs/security.md.")
    remedy = (
        "Start Redis, or correct REDIS_URL (or REDIS_HOST and REDIS_PORT); look for a firewall between. Until then "
        "permits come from Postgres, more slowly."
    )
    if address_in(url).tls:
        remedy += " Does the server speak TLS on this port?"
    return error("redis", f"{where} does not respond: {problem}", remedy)


def _wants_tls(url: str) -> bool:
    """Whether one of the servers at an address completes a TLS handshake."""
    context = ssl.create_default_context()
    # Nothing is sent but the handshake, so the server need not be verified.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for place in address_in(url).places:
        with (
            suppress(OSError),
            socket.create_connection(place, _HANDSHAKE_SECONDS) as plain,
            context.wrap_socket(plain),
        ):
            return True
    return False


def check_tls(url: str) -> list[Finding]:
    """A connection that leaves the machine must be encrypted: it carries the password."""
    where = urlsplit(url)
    if address_in(url).tls:
        options = dict(parse_qsl(where.query))
        # As redis-py reads it.
        named = options.get("ssl_check_hostname", "true").upper() not in ("0", "F", "FALSE", "N", "NO")
        if options.get("ssl_cert_reqs", "required") == "required" and named:
            return [ok("redis TLS", "encrypted, certificate and host name verified")]
        message = "The connection is encrypted, but REDIS_URL turns off the verification of the server."
        return [warning("redis TLS", message, "Remove ssl_cert_reqs and ssl_check_hostname; see REDIS_CA_CERTS.")]
    if is_loopback(url):
        return []
    message = f"The connection to {address_of(url)} is not encrypted and shows the password to the network."
    remedy = "Use rediss:// (REDIS_SSL=true); see docs/security.md."
    if service := service_with_tls(where.hostname or ""):
        remedy = f"This is {service}, which encrypts. {remedy}"
    return [warning("redis TLS", message, remedy)]


def _rights(client: redis.Redis, keys: RedisKeys) -> Finding:
    commands = sorted(DIRECT_COMMANDS | commands_of_scripts())
    args = [keys.turns("doctor"), *commands]
    try:
        refused = scripts.register(client, "missing_rights")(keys=[keys.permits("doctor")], args=args)
        user: Any = client.acl_whoami()
    except NoPermissionError as problem:
        return _missing_rights(str(problem))
    except redis.ResponseError as problem:
        return notice("redis rights", f"This server does not tell what the user may do: {problem}")
    if refused:
        return _missing_rights(f"user {user} may not run {', '.join(refused)} on {keys.prefix}:*")
    if user == "default":
        remedy = "Give workers a user of their own: deploy/redis-users.acl confines one to the prefix and our commands."
        return notice("redis rights", "Workers log in as the user `default`, who may do everything.", remedy)
    return ok("redis rights", f"user {user} may run all {len(commands)} commands on {keys.prefix}:*")


def _missing_rights(what: str) -> Finding:
    return error("redis rights", f"Redis: {what}.", "Load deploy/redis-users.acl (ACL LOAD), see docs/security.md.")


def _scripts(client: redis.Redis, keys: RedisKeys) -> Finding:
    """Workers of two versions would read the same keys in two ways."""
    now_seconds, _ = client.time()
    seen = client.zrangebyscore(keys.scripts(), now_seconds - _RECENT_SECONDS, "+inf")
    ours, others = scripts.version(), sorted({str(version) for version in seen} - {scripts.version()})
    if not others:
        return ok("redis scripts", f"version {ours}, no other in the last hour")
    message = f"Workers with other scripts began within the last hour (version {', '.join(others)}; here {ours})."
    remedy = "Let their runs end, and start runs of one version only: update every machine and image."
    return warning("redis scripts", message, remedy)


def check_info(info: Mapping[str, Any], prefix: str) -> Iterator[Finding]:
    """Check what INFO tells about a server, as redis-py parses it."""
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    name = "Valkey" if "valkey_version" in info else "Redis"
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _OLDEST:
        yield error("redis version", f"{name} {version} is too old.", "Use Redis 6.2, Valkey 7.2 or newer.")
    if info.get("role", "master") != "master":
        yield error("redis role", "This server is a replica and cannot be written to.", "Set REDIS_URL to the primary.")
    if info.get("cluster_enabled") and not re.search(r"\{[^}]+\}", prefix):
        message = f"Redis is a cluster, and keys that begin with {prefix}: lie on different nodes."
        remedy = (
            "Write redis+cluster:// in REDIS_URL; behind a proxy that is one address for all nodes, set "
            "COURTLISTENER_REDIS_PREFIX to {courtlistener}, with the braces."
        )
        yield error("redis cluster", message, remedy)
    yield from _memory(info)
    yield from _persistence(info)


def _memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if policy == "noeviction":
        yield ok("redis eviction", "noeviction")
    else:
        message = f"maxmemory-policy is {policy}: Redis would evict permits and lists of failures when memory is short."
        remedy = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf or the parameter group."
        yield (error if limit else warning)("redis eviction", message, remedy)
    if limit and used > 0.8 * limit:
        message = f"{used / 2**20:.1f} of {limit / 2**20:.1f} MiB are used ({used / limit:.0%})."
        yield warning("redis memory", message, "Raise maxmemory: with noeviction a full Redis refuses writes.")


def _persistence(info: Mapping[str, Any]) -> Iterator[Finding]:
    for name in ("aof_last_write_status", "rdb_last_bgsave_status"):
        if info.get(name, "ok") != "ok":
            yield error("redis persistence", f"{name} is {info[name]}.", "Look at the server's log: is its disk full?")
    if info.get("aof_enabled"):
        yield ok("redis persistence", "append-only file")
    else:
        message = "Redis keeps no append-only file and loses its state in a restart. Postgres keeps the quota."
        yield warning("redis persistence", message, "CONFIG SET appendonly yes, and the same in redis.conf.")
