"""Where Redis is and how we connect to it.

Belongs here: addresses, passwords, TLS and timeouts. Does not belong here: keys (`redis_keys.py`) or commands.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.retry import Retry

from resources.errors import SettingError

#: Longest wait of a thread for a connection that others use; longer than all of them may wait for a silent server.
_PATIENCE_SECONDS = 20.0
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


def connect(
    url: str,
    *,
    timeout_seconds: float = 0.4,
    connect_timeout_seconds: float = 0.4,
    max_connections: int = 16,
) -> redis.Redis:
    """A client of `redis://`, `rediss://` (TLS) or `unix://` that fails fast: no retries, short timeouts.

    Certificate and host name are verified. The query may hold `ssl_ca_certs`, a file with the server's certificate
    authority if it is not one that the system trusts, and `password_file`, which is read for every new connection and
    replaces the password; other parameters of redis-py (`ssl_certfile`) are passed on. A thread beyond
    `max_connections` waits until another is done.

    Retrying here would hide an outage from the quota ledger, which deals with one itself. Connections are made when
    first needed, so this never fails because Redis is down. Raises SettingError for an address that cannot be read.
    """
    url_parts(url)
    url, options = _without_password_file(url)
    if url.startswith("rediss://"):
        # Not left to the defaults of a library; what the address says wins.
        options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            timeout=_PATIENCE_SECONDS,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=connect_timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            max_connections=max_connections,
            protocol=2,
            decode_responses=True,
            **options,
        )
    except ValueError:
        raise _unreadable("REDIS_URL") from None
    return redis.Redis.from_pool(pool)


def url_parts(url: str, setting: str = "REDIS_URL") -> SplitResult:
    """The parts of an address that redis-py will understand as it was meant.

    Raises SettingError, which names the setting and quotes nothing: what is not understood may be part of a password.
    """
    try:
        parts = urlsplit(url)
        readable = parts.scheme == "unix" or parts.port != 0
    except ValueError:
        readable = False
    # A bare # / or ? ends the password early; an @ behind it shows that, and redis-py would take `user` for the host.
    if not readable or parts.scheme not in ("redis", "rediss", "unix"):
        raise _unreadable(setting)
    if parts.scheme != "unix" and (parts.fragment or "@" in parts.path + parts.query):
        raise _unreadable(setting)
    return parts


def _unreadable(setting: str) -> SettingError:
    return SettingError(
        f"{setting} cannot be read: the address must be like redis://user:password@host:6379/0 (or rediss://, "
        "unix://), with a whole number as port, and any of : / ? # [ ] @ % in a password as %3A, %2F and so on"
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
