"""How sure we must be that a Postgres server is the one that POSTGRES_URL names, and what it is told of us.

Belongs here: parameters of libpq. Does not belong here: connections (`postgres.py`), what a refusal means
(`courtlistener_assets/operations/doctor/postgres_checks.py`).

libpq's own default takes TLS if the server offers it, and believes any certificate. Here a server on another machine
must show a certificate for its name from a known authority, unless the address says `sslmode=`.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from resources.connections.tls import is_this_machine
from resources.errors import SettingError

#: In `pg_stat_activity`, and in the server's log.
APPLICATION_NAME = "courtlistener-assets"
#: The text of libpq is not passed on: it quotes what it does not understand, which may be a piece of a password.
_UNREADABLE = (
    "POSTGRES_URL cannot be read: it must be like postgresql://user:password@host:5432/database?sslmode=verify-full, "
    "with whole numbers as ports, parameters that libpq knows, and any of : / ? # [ ] @ % in a password as %3A, %2F "
    "and so on"
)


def conninfo_of(address: str) -> str:
    """Return the conninfo string with which we connect to an address; raises SettingError.

    Who watches the server sees whose connection it is: by `application_name=` in the address, PGAPPNAME, or our name.
    """
    name = _said(address).get("fallback_application_name", APPLICATION_NAME)
    return make_conninfo(address, fallback_application_name=name, **tls_parameters(address))


def tls_parameters(address: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The libpq parameters `sslmode` and `sslrootcert` to add to an address.

    None for a server on this machine. The authorities are those of the system, or of certifi: `sslrootcert=system` does
    not work with the libpq inside the Python drivers, which looks where they were built. Raises SettingError.
    """
    said = _said(address)
    added = {} if "sslmode" in said or is_local(address, environ) else {"sslmode": "verify-full"}
    verified = (said | added).get("sslmode", "").startswith("verify-")
    if verified and said.get("sslrootcert", "system") == "system":
        added["sslrootcert"] = ssl.get_default_verify_paths().cafile or DEFAULT_CA_BUNDLE_PATH
    return added


def with_tls(url: str, environ: Mapping[str, str] = os.environ) -> str:
    """A URL with its `tls_parameters`, for SQLAlchemy, with which Dagster connects."""
    from sqlalchemy import make_url  # Only who starts Dagster pays for it.

    added = tls_parameters(url, environ)
    return make_url(url).update_query_dict(added).render_as_string(hide_password=False) if added else url


def is_local(address: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether all hosts of an address are this machine: loopback or a Unix socket.

    Both the names (`host`) and the addresses that stand beside them (`hostaddr`) count. A service (`service=`,
    PGSERVICE) may name any host in a file of its own, so it counts as another machine.
    """

    def says(name: str) -> str:
        return said.get(name) or environ.get(f"PG{name.upper()}", "")

    said = _said(address)
    places = [*says("host").split(","), *says("hostaddr").split(",")]
    return not says("service") and all(is_this_machine(place.strip()) for place in places)


def _said(address: str) -> dict[str, str]:
    try:
        said = {name: str(value) for name, value in conninfo_to_dict(address).items() if value}
    except (psycopg.Error, UnicodeError):
        raise SettingError(_UNREADABLE) from None
    # A bare @ in a password makes the rest of it the host, port or database, which libpq names in its errors.
    misread = not re.fullmatch(r"[\d,]*", said.get("port", "")) or "@" in said.get("host", "")[1:]
    if misread or "@" in said.get("dbname", ""):
        raise SettingError(_UNREADABLE)
    return said
