"""Is Postgres reachable, private, writable, and is our schema the one that this version expects?

Belongs here: the database of records and permits. Does not belong here: Dagster's own tables (`dagster_checks.py`).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from courtlistener_assets.operations.doctor.findings import Finding, address_of, error, ok, warning
from resources.connections import schema
from resources.connections.postgres_address import conninfo_of, is_local
from resources.connections.tls import Refusal, refusal_of
from resources.errors import SchemaMismatch

_FACTS = """
    SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
           current_setting('max_connections')::int, current_setting('default_transaction_read_only') = 'on',
           CASE WHEN to_regnamespace('courtlistener') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
                ELSE has_schema_privilege('courtlistener', 'CREATE') END,
           current_setting('fsync') = 'on', current_user
"""
_OLDEST = 140_000
_FEW_CONNECTIONS = 100
_HANDSHAKE_SECONDS = 3.0
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


def check_postgres(url: str) -> Iterator[Finding]:
    """Run all checks of the database that POSTGRES_URL names."""
    try:
        with psycopg.connect(conninfo_of(url), connect_timeout=5, autocommit=True) as connection:
            facts = connection.execute(_FACTS).fetchone()
            assert facts is not None
            yield ok("postgres", f"{address_of(url)} responds")
            yield from check_tls(url, encrypted=bool(connection.pgconn.ssl_in_use))
            yield from check_facts(*facts[:6], user=facts[6])
            yield _schema(connection)
    except psycopg.Error as problem:
        yield _unreachable(url, problem)


def _unreachable(url: str, problem: psycopg.Error) -> Finding:
    text = "; ".join(line.strip() for line in str(problem).splitlines())
    if what_to_do := advice(text):
        refusal = _refusal_at(url)
        reason, remedy = (refusal.reason, refusal.remedy) if refusal else (text, what_to_do)
        return error("postgres TLS", f"{address_of(url)}: {reason}", remedy)
    if "password authentication" in text or "no password" in text or "role" in text:
        remedy = "Correct user and password in POSTGRES_URL."
    elif "does not exist" in text:
        remedy = f"Make the database: createdb {address_of(url).rsplit('/', 1)[-1]}"
    else:
        remedy = (
            "Start Postgres, or correct POSTGRES_URL; look for a firewall between. Without Postgres no request is sent."
        )
    return error("postgres", f"{address_of(url)} cannot be used: {text}", remedy)


def _refusal_at(postgres_address: str) -> Refusal | None:
    """Return why the certificate of a Postgres server is refused, which libpq does not say; None if it is not."""
    said = {name: str(value) for name, value in conninfo_to_dict(conninfo_of(postgres_address)).items()}
    host = said.get("host") or said.get("hostaddr") or "localhost"
    place = (said.get("hostaddr") or host, int(said.get("port") or 5432))
    try:
        context = ssl.create_default_context(cafile=said.get("sslrootcert"))
        with socket.create_connection(place, _HANDSHAKE_SECONDS) as plain:
            plain.sendall(_SSL_REQUEST)
            if plain.recv(1) == b"S":
                context.wrap_socket(plain, server_hostname=host).close()
    except OSError as problem:
        return refusal_of(problem, "sslrootcert= in POSTGRES_URL")
    return None


def advice(problem: str) -> str:
    """Return what to do about a TLS problem, from the text of libpq; empty for any other problem."""
    if "certificate verify failed" in problem or "does not match host name" in problem:
        return (
            "The server's certificate is not trusted: name its authority's file with sslrootcert= in POSTGRES_URL, and "
            "use the host name that the certificate names."
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


def check_tls(url: str, *, encrypted: bool) -> list[Finding]:
    """A connection that leaves the machine must be encrypted, and the server must have shown who it is."""
    if is_local(url):
        return []
    mode = conninfo_to_dict(conninfo_of(url))["sslmode"]
    if encrypted and mode == "verify-full":
        return [ok("postgres TLS", "encrypted, certificate and host name verified")]
    what = f"is encrypted, but sslmode={mode} does not verify the server" if encrypted else "is not encrypted"
    message = f"The connection to {address_of(url)} {what}."
    return [warning("postgres TLS", message, "Use sslmode=verify-full in POSTGRES_URL; see docs/security.md.")]


def check_facts(
    version: int,
    in_recovery: bool,
    max_connections: int,
    read_only: bool,
    may_create: bool,
    durable: bool,
    *,
    user: str,
) -> Iterator[Finding]:
    """Check what the server says about itself."""
    if version < _OLDEST:
        yield error("postgres version", f"Postgres {version // 10_000} is too old.", "Use 14 or newer.")
    if in_recovery or read_only:
        what = "a replica" if in_recovery else "read-only"
        yield error("postgres role", f"This server is {what}.", "Set POSTGRES_URL to the primary.")
    if not may_create:
        message = f"User {user} may make no tables in the schema courtlistener, so migrations cannot run."
        yield error(
            "postgres rights", message, f"CREATE SCHEMA courtlistener AUTHORIZATION {user}, or make it the owner."
        )
    if max_connections < _FEW_CONNECTIONS:
        message = f"max_connections is {max_connections}: Dagster opens a connection for each event of each process."
        remedy = "Raise max_connections to 200, or put PgBouncer (session mode) between Dagster and Postgres."
        yield warning("postgres connections", message, remedy)
    if not durable:
        message = "fsync is off: a crash of its machine may make Postgres forget permits, and grant them again."
        yield warning("postgres durability", message, "Set fsync = on in postgresql.conf, and restart Postgres.")


def _schema(connection: psycopg.Connection[Any]) -> Finding:
    found = schema.state(lambda query: connection.execute(query.encode()).fetchall())
    try:
        found.verify()
    except SchemaMismatch as mismatch:
        problem, _, remedy = str(mismatch).removeprefix("POSTGRES_URL: ").partition(". ")
        return error("postgres schema", f"{problem[0].upper()}{problem[1:]}.", remedy)
    if not found.applied:
        message = "This database has no tables of this project yet."
        return warning("postgres schema", message, "`courtlistener migrate` makes them; so does the first run.")
    return ok("postgres schema", f"up to date ({len(found.applied)} migrations)")
