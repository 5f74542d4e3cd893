"""How sure we must be that a Postgres server is the one that POSTGRES_URL names.

Belongs here: TLS for libpq, and what its refusals mean. Does not belong here: connections (`postgres.py`).

libpq's own default takes TLS if the server offers it, and believes any certificate. Here a server on another machine
must show a certificate for its name from a known authority, unless `sslmode=` or PGSSLMODE says otherwise.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from resources.errors import SettingError

_OWN_ROOTS = Path("~/.postgresql/root.crt")


def tls_parameters(address: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The libpq parameters `sslmode` and `sslrootcert` to add to an address, a URL or a conninfo string.

    None for a server on this machine. The authorities are those of the system, or of certifi: `sslrootcert=system` does
    not work with the libpq inside the Python drivers, which looks where they were built. Raises SettingError.
    """
    said, mode = _said(address, environ), effective_sslmode(address, environ)
    if mode == "prefer":
        return {}
    added = {} if "sslmode" in said else {"sslmode": mode}
    named = said.get("sslrootcert")
    if mode.startswith("verify-") and (named == "system" or not (named or _OWN_ROOTS.expanduser().exists())):
        added["sslrootcert"] = authorities()
    return added


def conninfo_of(address: str) -> str:
    """The conninfo string with which we connect to an address; raises SettingError."""
    return make_conninfo(address, **tls_parameters(address))


def with_tls(url: str, environ: Mapping[str, str] = os.environ) -> str:
    """A URL with its `tls_parameters`, for those who connect by themselves."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **tls_parameters(url, environ)}
    return urlunsplit(parts._replace(query=urlencode(query, safe="/", quote_via=quote)))


def effective_sslmode(address: str, environ: Mapping[str, str] = os.environ) -> str:
    """How sure libpq must be of the server: `prefer` on this machine, else `verify-full`, unless told otherwise."""
    return _said(address, environ).get("sslmode") or ("prefer" if is_local(address, environ) else "verify-full")


def is_local(address: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether all hosts of an address are this machine: loopback or a Unix socket."""
    return all(_is_this_machine(host.strip()) for host in _said(address, environ).get("host", "").split(","))


def authorities() -> str:
    """The file with the certificates of the authorities that are trusted by default."""
    return ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH


def advice(problem: str) -> str:
    """What to do about a TLS problem, from the text of libpq; empty for any other problem."""
    if "certificate verify failed" in problem or "does not match host name" in problem:
        return (
            "The server's certificate is not trusted: name its authority's file with sslrootcert= in POSTGRES_URL, and "
            "use the host name that the certificate names; `courtlistener doctor` says what is wrong."
        )
    if "server does not support SSL" in problem:
        return (
            "The server has no TLS: turn it on there; only in a private network that you trust, add sslmode=disable to "
            "POSTGRES_URL."
        )
    if "no pg_hba.conf entry" in problem and "no encryption" in problem:
        return "The server wants encrypted connections: write sslmode=verify-full in POSTGRES_URL."
    if "root certificate file" in problem:
        return "Correct sslrootcert= in POSTGRES_URL: the file must exist and hold certificates in PEM."
    return ""


def _said(address: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What the address and, where it is silent, libpq's own variables say."""
    try:
        written = {name: str(value) for name, value in conninfo_to_dict(address).items() if value is not None}
    except psycopg.Error as problem:
        raise SettingError(f"POSTGRES_URL cannot be read: {problem}") from None
    if not re.fullmatch(r"[\d,]*", written.get("port", "")):
        raise SettingError(f"POSTGRES_URL cannot be read: port {written['port']!r} is not a number")
    names = {"host": "PGHOST", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}
    outside = {name: environ[variable] for name, variable in names.items() if environ.get(variable)}
    # With hostaddr alone, the address is the name that the certificate must have.
    inside = {"host": written["hostaddr"]} if "hostaddr" in written and not written.get("host") else {}
    return {**outside, **inside, **{name: value for name, value in written.items() if value}}


def _is_this_machine(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
