"""Airflow's connection to Redis, `AIRFLOW_CONN_REDIS_DEFAULT`, as an address of ours.

Belongs here: both forms in which Airflow reads a connection from the environment, a URI and JSON. Does not belong here:
which setting wins (`courtlistener_assets/settings.py`).
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from resources.connections.redis_address import url_parts
from resources.errors import SettingError

NAME = "AIRFLOW_CONN_REDIS_DEFAULT"


def redis_url_of(connection: str) -> str:
    """The address that a connection means, as `connect` takes it.

    Raises SettingError, which quotes nothing: what is not understood may be part of a password.
    """
    try:
        fields = json.loads(connection) if connection.startswith("{") else _fields_of_uri(connection)
        if fields["conn_type"] not in ("redis", "rediss"):
            raise ValueError
        extra = fields.get("extra") or {}
        return _url_of(fields, json.loads(extra) if isinstance(extra, str) else extra)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SettingError(
            f"{NAME} cannot be read: it must be a connection of type redis, like redis://:password@host:6379/0 or "
            '{"conn_type": "redis", "host": "host", "port": 6379, "password": "password", "extra": {"db": 0}}'
        ) from None


def _fields_of_uri(uri: str) -> dict[str, Any]:
    """The fields that the same connection has as JSON."""
    parts = url_parts(uri, NAME)
    extra: dict[str, Any] = dict(parse_qsl(parts.query))
    # Airflow writes extras that are no plain text as one parameter.
    extra |= json.loads(extra.pop("__extra__", "{}"))
    return {
        "conn_type": parts.scheme,
        "host": unquote(parts.hostname or ""),
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": parts.path.strip("/"),
        "extra": extra,
    }


def _url_of(fields: dict[str, Any], extra: dict[str, Any]) -> str:
    host, port = fields.get("host") or "localhost", int(fields.get("port") or 6379)
    db = int(extra.get("db") or fields.get("schema") or 0)
    tls = fields["conn_type"] == "rediss" or str(extra.get("ssl", "")).lower() in ("true", "1")
    login, password = (quote(fields.get(name) or "", safe="") for name in ("login", "password"))
    # redis-py takes certificates and their rules under the names that Airflow has for them.
    options = {name: str(value) for name, value in extra.items() if tls and name.startswith("ssl_") and value}
    return (
        f"{'rediss' if tls else 'redis'}://{f'{login}:{password}@' if login or password else ''}"
        f"{f'[{host}]' if ':' in host else host}:{port}/{db}{f'?{urlencode(options)}' if options else ''}"
    )
