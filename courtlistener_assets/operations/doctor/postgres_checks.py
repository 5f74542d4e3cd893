"""Is Postgres reachable, private, writable, and is our schema the one that this version expects?

Belongs here: the database of records and permits. Does not belong here: Dagster's own tables (`dagster_checks.py`).
"""

from __future__ import annotations

import psycopg

from courtlistener_assets.operations.doctor.findings import Finding, address_of, error, ok, warning
from courtlistener_assets.operations.doctor.handshakes import refusal_at
from resources.connections.postgres import MIGRATIONS
from resources.connections.postgres_address import advice, conninfo_of, effective_sslmode, is_local

_FACTS = """
    SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
           current_setting('max_connections')::int, current_setting('default_transaction_read_only') = 'on',
           has_database_privilege(current_database(), 'CREATE'), to_regclass('courtlistener.migrations') IS NOT NULL,
           current_user
"""
_OLDEST = 140_000
_FEW_CONNECTIONS = 100


def check_postgres(url: str) -> list[Finding]:
    """All checks of the database that POSTGRES_URL names."""
    try:
        with psycopg.connect(conninfo_of(url), connect_timeout=5, autocommit=True) as connection:
            facts = connection.execute(_FACTS).fetchone()
            assert facts is not None
            findings = [ok("postgres", f"{address_of(url)} answers")]
            findings += check_tls(url, encrypted=bool(connection.pgconn.ssl_in_use))
            findings += check_facts(*facts[:5], user=facts[6])
            return [*findings, *_check_schema(connection, present=facts[5])]
    except psycopg.Error as problem:
        return [_unreachable(url, problem)]


def _unreachable(url: str, problem: psycopg.Error) -> Finding:
    text = "; ".join(line.strip() for line in str(problem).splitlines())
    if what_to_do := advice(text):
        refusal = refusal_at(url)
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


def check_tls(url: str, *, encrypted: bool) -> list[Finding]:
    """A connection that leaves the machine must be encrypted, and the server must have shown who it is."""
    if is_local(url):
        return []
    mode = effective_sslmode(url)
    if encrypted and mode == "verify-full":
        return [ok("postgres TLS", "encrypted, certificate and host name verified")]
    what = f"is encrypted, but sslmode={mode} does not verify who answers" if encrypted else "is not encrypted"
    message = f"The connection to {address_of(url)} {what}."
    return [warning("postgres TLS", message, "Use sslmode=verify-full in POSTGRES_URL; see docs/security.md.")]


def check_facts(
    version: int, in_recovery: bool, max_connections: int, read_only: bool, may_create: bool, *, user: str
) -> list[Finding]:
    """What the server says about itself."""
    findings = []
    if version < _OLDEST:
        findings.append(error("postgres version", f"Postgres {version // 10_000} is too old.", "Use 14 or newer."))
    if in_recovery or read_only:
        what = "a replica" if in_recovery else "read-only"
        findings.append(error("postgres role", f"This server is {what}.", "Set POSTGRES_URL to the primary."))
    if not may_create:
        message = f"User {user} may not make schemas in this database, so migrations cannot run."
        findings.append(error("postgres rights", message, f"GRANT CREATE ON DATABASE ... TO {user}"))
    if max_connections < _FEW_CONNECTIONS:
        message = f"max_connections is {max_connections}: Dagster opens a connection for each event of each process."
        remedy = "Raise max_connections to 200, or put PgBouncer (transaction mode) between Dagster and Postgres."
        findings.append(warning("postgres connections", message, remedy))
    return findings


def _check_schema(connection: psycopg.Connection[tuple[object, ...]], *, present: bool) -> list[Finding]:
    known = {path.stem for path in MIGRATIONS.glob("*.sql")}
    done = set()
    if present:
        done = {str(name) for (name,) in connection.execute("SELECT name FROM courtlistener.migrations")}
    if newer := sorted(done - known):
        message = f"The database was migrated by a newer version ({', '.join(newer)})."
        return [error("postgres schema", message, "Update this installation; older code may not fit the tables.")]
    if not done:
        message = "This database has no tables of this project yet."
        return [warning("postgres schema", message, "Start any run, or `courtlistener dev`: the first one migrates.")]
    if pending := sorted(known - done):
        message = f"Migrations are pending: {', '.join(pending)}."
        remedy = "Stop runs of the older version, then start any run or `courtlistener dev`: both migrate."
        return [warning("postgres schema", message, remedy)]
    return [ok("postgres schema", f"up to date ({len(done)} migrations)")]
