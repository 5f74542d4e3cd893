"""Where Redis is and how we connect to it.

Belongs here: addresses, passwords, TLS and timeouts. Does not belong here: keys (`redis_keys.py`) or commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from resources.errors import SettingError


@dataclass(frozen=True)
class RedisAddress:
    """A Redis server: either `url` (`redis://`, `rediss://` with TLS, `unix://`), or host, port, db, password, ssl.

    `ca_certs` is a file with the certificate authority of the server, if it is not one that the system trusts.
    Certificates and host names are verified unless `verify_tls` is turned off.
    """

    url: str = ""
    host: str = "localhost"
    port: int = 6379
    db: int = 0
    username: str = ""
    password: str = ""
    ssl: bool = False
    ca_certs: str = ""
    verify_tls: bool = True

    def as_url(self) -> str:
        """The address as a URL, password included: not for logs."""
        if self.url:
            if self.url.partition("://")[0] not in {"redis", "rediss", "unix"}:
                raise SettingError("REDIS_URL must begin with redis://, rediss:// or unix://")
            return self.url
        login = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.password else ""
        return f"{'rediss' if self.ssl else 'redis'}://{login}{self.host}:{self.port}/{self.db}"


def connect(
    address: RedisAddress,
    *,
    timeout_seconds: float = 0.4,
    connect_timeout_seconds: float = 0.4,
    max_connections: int = 64,
) -> redis.Redis:
    """A client that fails fast: no retries, short timeouts.

    Retrying here would hide an outage from the quota ledger, which has its own answer to one. Connections are made when
    first needed, so this never fails because Redis is away.
    """
    options: dict[str, Any] = {}
    if address.as_url().startswith("rediss://"):
        options["ssl_cert_reqs"] = "required" if address.verify_tls else "none"
        options["ssl_check_hostname"] = address.verify_tls
        if address.ca_certs:
            options["ssl_ca_certs"] = address.ca_certs
    return redis.Redis.from_url(
        address.as_url(),
        socket_timeout=timeout_seconds,
        socket_connect_timeout=connect_timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        max_connections=max_connections,
        protocol=2,
        decode_responses=True,
        **options,
    )
