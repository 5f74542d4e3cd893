"""Where Redis is and how we connect to it.

Belongs here: addresses, passwords, TLS and timeouts. Does not belong here: which of several servers is in charge
(`redis_primary.py`), keys (`redis_keys.py`) or commands.
"""

from __future__ import annotations

import inspect
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit
from weakref import WeakKeyDictionary

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, parse_url
from redis.credentials import CredentialProvider
from redis.retry import Retry

from resources.connections.redis_keys import RedisKeys
from resources.connections.redis_primary import Finder, Place, PrimaryPool, Sentinels, SlotOwner
from resources.errors import SettingError

#: Silence after which a server counts as away, and how long a connection may take to be made: a server at the other end
#: of the world needs 0.3 s for a round trip, and a busy thread of ours as long again to look at its answer.
TIMEOUT_SECONDS = 1.5
#: Connections of a process; more threads than that wait for each other.
_MAX_CONNECTIONS = 64
#: Longest wait of a thread for a connection that others use. Not how an outage is noticed: those who have the
#: connections notice it, each within its own timeout.
_PATIENCE_SECONDS = 60.0
#: A connection on which nothing is sent is given up half a minute after its other end has vanished.
_KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))
    if hasattr(socket, name)
}
#: So that no connection sends CLIENT SETINFO, which Redis has had since 7.2: no list of rights that names it can be
#: loaded by 7.0. The older parameters warn in newer versions of redis-py.
_WITHOUT_SETINFO: dict[str, None] = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)
#: Host names of services that encrypt. Others, such as Memorystore, are reached by bare addresses.
_SERVICES_WITH_TLS = {
    "master.*.cache.amazonaws.com": "ElastiCache with encryption in transit",
    "clustercfg.*.cache.amazonaws.com": "ElastiCache with encryption in transit",
    "*.serverless.*.cache.amazonaws.com": "ElastiCache Serverless",
    "clustercfg.*.memorydb.*.amazonaws.com": "MemoryDB",
    "*.redis.cache.windows.net": "Azure Cache for Redis",
    "*.redis.azure.net": "Azure Managed Redis",
    "*.upstash.io": "Upstash",
}
SENTINEL, CLUSTER = "sentinel", "cluster"
_SCHEMES = {
    scheme + plus: plus.removeprefix("+") for scheme in ("redis", "rediss") for plus in ("", "+sentinel", "+cluster")
} | {"unix": ""}
_DEFAULT_PORTS = {SENTINEL: 26379, CLUSTER: 6379, "": 6379}
#: A host, or an IPv6 address in brackets, and maybe a port.
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:,]+)(?::(?P<port>\d{1,5}))?")
_FORMS = {
    "": "redis://user:password@host:6379/0 (or rediss://, unix://)",
    SENTINEL: "redis+sentinel://user:password@host1:26379,host2:26379/service/0 (or rediss+sentinel://)",
    CLUSTER: "redis+cluster://user:password@host1:6379,host2:6379 (or rediss+cluster://)",
}


class PasswordFile(CredentialProvider):
    """A login whose password is read again for each connection, so that it can change while we run."""

    def __init__(self, path: Path, username: str) -> None:
        self._path = path
        self._username = username

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """The login; raises redis.AuthenticationError if the file cannot be read."""
        try:
            password = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise redis.AuthenticationError(f"the password file {self._path} cannot be read: {error}") from None
        return (self._username, password) if self._username else (password,)


@dataclass(frozen=True)
class RedisAddress:
    """An address, taken to pieces. `kind` says what answers there: "", "sentinel" or "cluster".

    `url` is what is common to all places, as redis-py reads it; its host stands for each of `places`. `sentinel` has
    the login at the Sentinels.
    """

    kind: str
    url: str = field(repr=False)
    places: tuple[Place, ...]
    service: str = ""
    sentinel: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.url.startswith("rediss://")

    @property
    def sentinel_url(self) -> str:
        """What is common to all Sentinels: as `url`, with their own login."""
        parts = urlsplit(self.url)
        username, password = (quote(self.sentinel.get(name, ""), safe="") for name in ("username", "password"))
        login = f"{username}:{password}" if password else username
        query = {name: text for name, text in parse_qsl(parts.query) if name != "password_file"}
        query |= {name: text for name, text in self.sentinel.items() if name == "password_file"}
        return f"{parts.scheme}://{login}{'@' if login else ''}localhost/0?{urlencode(query)}"


def connect(
    url: str,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    connect_timeout_seconds: float | None = None,
    max_connections: int = _MAX_CONNECTIONS,
    prefix: str = RedisKeys.prefix,
) -> redis.Redis:
    """A client of the server that is in charge, which fails fast: no retries, short timeouts.

    `url` names a server (`redis://`, `rediss://` with TLS, `unix://`), the Sentinels that know it (`redis+sentinel://`,
    `rediss+sentinel://`), or nodes of a cluster, in which it is the one that has the slot of all keys with our `prefix`
    (`redis+cluster://`, `rediss+cluster://`).

    Certificate and host name are verified. The query may hold `ssl_ca_certs`, a file with the server's certificate
    authority if it is not one that the system trusts, and `password_file`, which is read for every new connection and
    replaces the password; other parameters of redis-py (`ssl_certfile`, `socket_timeout`) are passed on, and win. A
    thread beyond `max_connections` waits until another is done. Threads may share the client, and so may a child of a
    fork, which makes connections of its own.

    Retrying here would hide an outage from the quota ledger, which deals with one itself. Connections are made when
    first needed, so this never fails because Redis is down. Raises SettingError for an address that cannot be read.
    """
    address = address_in(url)
    common = {
        "timeout": _PATIENCE_SECONDS,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds if connect_timeout_seconds is None else connect_timeout_seconds,
        "max_connections": max_connections,
    }
    try:
        options = options_of(address.url, common)
        finder = finder_of(address, common, prefix)
    except ValueError:
        raise _unreadable("REDIS_URL", address.kind) from None

    def pool() -> redis.ConnectionPool:
        return PrimaryPool(finder, **options) if finder else _BlockingPool(**options)

    client = redis.Redis.from_pool(pool())
    _clients[client] = pool
    return client


def subscribe(client: redis.Redis, channel: str) -> redis.client.PubSub:
    """A connection of its own to the server of a client of `connect`, subscribed to a channel.

    Nothing is sent on it while it is open, so it is the system that finds out when the other end is gone. Raises
    redis.RedisError.
    """
    subscription = redis.client.PubSub(_clients[client]())
    subscription.subscribe(channel)
    return subscription


#: Not typed in redis-py.
_BlockingPool: Any = redis.BlockingConnectionPool
#: Clients of this process, and what makes their pools.
_clients: WeakKeyDictionary[redis.Redis, Callable[[], redis.ConnectionPool]] = WeakKeyDictionary()
_forked: list[redis.ConnectionPool] = []


def _start_afresh() -> None:
    """In the child of a fork: leave the parent's connections and locks, which a thread may have held, to it."""
    for client, pool in list(_clients.items()):
        _forked.append(client.connection_pool)  # Still referenced, so that no finalizer of the child closes them.
        client.connection_pool = pool()


os.register_at_fork(after_in_child=_start_afresh)


def finder_of(address: RedisAddress, common: Mapping[str, Any], prefix: str = RedisKeys.prefix) -> Finder | None:
    """Who knows which server is in charge; None if the address names it. Raises ValueError."""
    if address.kind == SENTINEL:
        return Sentinels(address.places, options_of(address.sentinel_url, common), address.service)
    if address.kind == CLUSTER:
        return SlotOwner(address.places, options_of(address.url, common), tagged(prefix))
    return None


def options_of(url: str, common: Mapping[str, Any]) -> dict[str, Any]:
    """What redis-py's pools take, from an address that it can read but for `password_file`; raises ValueError."""
    place, login = _without_password_file(url)
    # Not left to the defaults of a library; what the address says wins.
    tls = {"ssl_cert_reqs": "required", "ssl_check_hostname": True} if url.startswith("rediss:") else {}
    ours = {**common, "retry": Retry(NoBackoff(), 0), "protocol": 2, "decode_responses": True}
    ours |= _WITHOUT_SETINFO
    if not url.startswith("unix:"):
        ours |= {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
    return {**ours, **login, **tls, **parse_url(place)}  # type: ignore[no-untyped-call]


def address_in(url: str, setting: str = "REDIS_URL") -> RedisAddress:
    """Take an address to pieces.

    Raises SettingError, which names the setting and quotes nothing: what is not understood may be part of a password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _unreadable(setting) from None
    kind = _SCHEMES.get(parts.scheme)
    # A bare # / or ? ends the password early; an @ behind it shows that, and redis-py would take `user` for the host.
    spoilt = parts.scheme != "unix" and (parts.fragment or "@" in parts.path + parts.query)
    if kind is None or spoilt:
        raise _unreadable(setting, kind or "")
    if parts.scheme == "unix":
        return RedisAddress(kind, url, ())
    login, at, hosts = parts.netloc.rpartition("@")
    found = [_PLACE.fullmatch(place) for place in (hosts or "localhost").split(",")]
    places = tuple(
        (match["host"].strip("[]"), int(match["port"] or _DEFAULT_PORTS[kind])) for match in found if match is not None
    )
    if len(places) < len(found) or any(not 0 < port < 65536 for _, port in places) or (not kind and len(places) > 1):
        raise _unreadable(setting, kind)
    if not kind:
        return RedisAddress(kind, url, places)
    service, _, db = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query))
    sentinel = {name: query.pop(f"sentinel_{name}", "") for name in ("username", "password", "password_file")}
    if kind == CLUSTER:
        service, db = "", service or "0"
    if not (db or "0").isdigit() or (kind == SENTINEL and not service) or (kind == CLUSTER and db != "0"):
        raise _unreadable(setting, kind)
    plain = f"{parts.scheme.partition('+')[0]}://{login}{at}localhost/{db or 0}"
    plain += f"?{urlencode(query)}" if query else ""
    return RedisAddress(kind, plain, places, unquote(service), {name: text for name, text in sentinel.items() if text})


def url_parts(url: str, setting: str = "REDIS_URL") -> SplitResult:
    """The parts of an address that `connect` will understand as it was meant; raises as `address_in` does."""
    address_in(url, setting)
    return urlsplit(url)


def keys_at(url: str, prefix: str) -> RedisKeys:
    """The names of our keys at an address: in a cluster their prefix has a hash tag. Raises SettingError."""
    return RedisKeys(tagged(prefix) if address_in(url).kind == CLUSTER else prefix)


def tagged(prefix: str) -> str:
    """A prefix with which all keys are in one slot of a cluster, that of what its braces hold."""
    return prefix if re.search(r"\{[^}]+\}", prefix) else f"{{{prefix}}}"


def _unreadable(setting: str, kind: str = "") -> SettingError:
    return SettingError(
        f"{setting} cannot be read: the address must be like {_FORMS[kind]}, with a whole number as port, and any of "
        ": / ? # [ ] @ % in a password as %3A, %2F and so on"
    )


def service_with_tls(host: str) -> str | None:
    """Return the managed service of a host, if it takes encrypted connections as a rule; None for any other."""
    return next((service for name, service in _SERVICES_WITH_TLS.items() if fnmatchcase(host.lower(), name)), None)


def _without_password_file(url: str) -> tuple[str, dict[str, Any]]:
    """A URL that redis-py can read, and the login that it does not hold."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if "password_file" not in query:
        return url, {}
    login = PasswordFile(Path(query.pop("password_file")), unquote(parts.username or ""))
    # urlunsplit would write unix:/path, which redis-py does not read.
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}?{urlencode(query)}"
    return place, {"credential_provider": login}
