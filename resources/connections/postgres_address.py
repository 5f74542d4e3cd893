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
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from resources.errors import SettingError

_OWN_ROOTS = Path("~/.postgresql/root.crt")
#: What libpq looks up where an address is silent.
_VARIABLES = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
#: The parts of a URL as libpq reads them, not as RFC 3986 does: a password may hold `?` and `#`.
_URL = re.compile(r"postgres(?:ql)?://(?:[^@/]*@)?(?P<place>[^?]*)(?:\?(?P<query>.*))?", re.DOTALL)
#: The text of libpq is not passed on: it quotes what it does not understand, which may be a piece of a password.
_UNREADABLE = (
    "POSTGRES_URL cannot be read: it must be like postgresql://user:password@host:5432/database?sslmode=verify-full, "
    "with whole numbers as ports, parameters that libpq knows, and any of : / ? # [ ] @ % in a password as %3A, %2F "
    "and so on"
)


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
    """A URL with its `tls_parameters`, for those who connect by themselves; all else stays as it is written."""
    added = tls_parameters(url, environ)
    match = _URL.fullmatch(url)
    if not (added and match):
        return url
    # SQLAlchemy makes a list of a parameter that stands there twice.
    kept = [each for each in (match["query"] or "").split("&") if each and each.partition("=")[0] not in added]
    place = url[: match.end("place")]
    return f"{place}?{'&'.join([*kept, urlencode(added, safe='/', quote_via=quote)])}"


def effective_sslmode(address: str, environ: Mapping[str, str] = os.environ) -> str:
    """How sure libpq must be of the server: `prefer` on this machine, else `verify-full`, unless told otherwise."""
    return _said(address, environ).get("sslmode") or ("prefer" if is_local(address, environ) else "verify-full")


def is_local(address: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether all hosts of an address are this machine: loopback or a Unix socket.

    Both the names (`host`) and the addresses that stand beside them (`hostaddr`) count. A service (`service=`,
    PGSERVICE) may name any host in a file of its own, so it counts as another machine.
    """
    said = _said(address, environ)
    places = [place.strip() for name in ("host", "hostaddr") for place in said.get(name, "").split(",")]
    return "service" not in said and all(map(_is_this_machine, places))


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
    url = _URL.fullmatch(address)
    try:
        written = {name: str(value) for name, value in conninfo_to_dict(address).items() if value is not None}
    except (psycopg.Error, UnicodeError):
        raise SettingError(_UNREADABLE) from None
    # An @ after the first one is the rest of a password: libpq would take it for the host, and name it in its errors.
    if not re.fullmatch(r"[\d,]*", written.get("port", "")) or (url and "@" in url["place"]):
        raise SettingError(_UNREADABLE)
    outside = {name: environ[variable] for name, variable in _VARIABLES.items() if environ.get(variable)}
    return {**outside, **{name: value for name, value in written.items() if value}}


def _is_this_machine(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
