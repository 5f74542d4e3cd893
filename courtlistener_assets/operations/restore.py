"""`courtlistener restore`: a backup into a database without data, so that no run can begin on half of it.

One transaction does it all, on one connection: it keeps out all others of this project from before the first look until
the end, brings the tables, and journals as many permits as can have been granted since the backup
(`resources/quota/restored.py`). Of a restore that ends before that nothing is left, and what was there before still is.

Belongs here: the order of it. Does not belong here: what a backup is (`backup.py`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.operations.backup import DUMP, OURS, Backup, rows_of
from courtlistener_assets.operations.dagster_schema import SCHEMA as DAGSTER
from courtlistener_assets.operations.postgres_tools import run_script, run_tool
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Connection, Database, keep_others_out
from resources.connections.schema import compared, migrate
from resources.errors import BackupError, SettingError
from resources.quota.restored import fill_windows

#: What a dump has that is made here, or only the owner of an extension may do.
_NOT_NOW = re.compile(r"\d+; \d+ \d+ (SCHEMA - \w+|COMMENT - EXTENSION \S+) ")
#: Tables that say that a database is in use.
_IN_USE = ("records", "sweeps", "failures", "permits", "citation_map")
#: Vectors, whose table may have any name: they are made again by a model, which may cost money.
_VECTORS = """
    SELECT DISTINCT relname FROM pg_class c JOIN pg_attribute ON attrelid = c.oid JOIN pg_type t ON t.oid = atttypid
    WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind = 'r' AND typname = 'vector'
"""


@dataclass(frozen=True)
class Restored:
    """What was restored: the manifest of the backup, and how many permits were journaled to be safe."""

    manifest: dict[str, Any]
    permits: int


def restore(
    settings: Settings, folder: Path, *, replace: bool = False, say: Callable[[str], None] = lambda line: None
) -> Restored:
    """Restore a backup. With `replace`, both schemas of the database are dropped first, whatever is in them.

    Raises BackupError if the backup is damaged or newer than this program, or the database is in use or not empty.
    """
    backup = Backup(folder)
    say("Verifying the backup")
    manifest = backup.verify()
    found = compared(manifest["migrations"])
    if found.unknown:
        newer = ", ".join(found.unknown)
        raise BackupError(f"the backup was made by a newer version of this project ({newer}): install that")
    if found.changed:
        other = ", ".join(found.changed)
        raise BackupError(f"the backup's tables are not those of this version, whose {other} is another one")
    database = Database(settings.postgres_url)
    try:
        with _alone(database) as connection:
            _make_room(connection, replace=replace)
            say(f"Restoring {sum(manifest['rows'].values()):,} rows")
            _run_pg_restore(backup, connection)
            _check_rows(connection, manifest)
            migrate(connection)
            permits = fill_windows(connection)
            connection.execute("RESET ALL")  # What the script has set would stay in the session of a pooler.
        with database.transaction(patient=True) as connection:
            connection.execute("ANALYZE")
    finally:
        database.close()
    return Restored(manifest, permits)


def make_quota_safe(settings: Settings) -> int:
    """Fill the windows after a restore by other means; returns the permits. Raises BackupError if it is in use."""
    database = Database(settings.postgres_url)
    try:
        with _alone(database) as connection:
            migrate(connection)
            return fill_windows(connection)
    finally:
        database.close()


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """The transaction that keeps the others out; raises BackupError if somebody is there."""
    with database.transaction(patient=True, restores=True) as connection:
        _check_nobody_is_there(connection, alone=keep_others_out(connection))
        yield connection


def _check_nobody_is_there(connection: Connection, *, alone: bool) -> None:
    # Of other roles' sessions only a superuser sees what they are; those without a role are Postgres' own.
    others = connection.execute(
        "SELECT DISTINCT coalesce(nullif(application_name, ''), 'a program') || ' of ' || usename "
        "FROM pg_stat_activity WHERE datname = current_database() AND usename IS NOT NULL "
        "AND coalesce(backend_type, 'client backend') = 'client backend' AND pid <> pg_backend_pid()"
    ).fetchall()
    if others or not alone:
        names = ", ".join(sorted(name for (name,) in others)) or "another program of this project"
        raise BackupError(
            f"the database is in use by {names}: stop all runs, the daemon, "
            "the webserver and `courtlistener metrics`; for the database of `make dev`, stop that and use "
            "`courtlistener run courtlistener restore DIR`. A pooler keeps sessions for a while: go around it, or end "
            "them (RECONNECT in PgBouncer)"
        )


def _make_room(connection: Connection, *, replace: bool) -> None:
    """Leave both schemas empty, also one that the backup lacks: runs of later would show months as green."""
    full = {} if replace else {name: count for name, count in _counts(connection).items() if count}
    if full:
        found = ", ".join(f"{count:,} in {name}" for name, count in full.items())
        raise BackupError(f"the database is not empty: {found}. With --replace all of it is deleted first")
    try:
        for name in (OURS, DAGSTER):
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingError(f"POSTGRES_URL: a restore takes a role that may create schemas: {error}") from error


def _counts(connection: Connection) -> dict[str, int]:
    """The rows of tables that show that a database is in use; both schemas count."""
    rows = rows_of(connection)
    runs = {name: rows.get(name, 0) for name in ("dagster.runs", "dagster.event_logs")}
    tables = [name for name in rows if name.startswith(f"{OURS}.")]
    strange = 0 if rows.get(f"{OURS}.migrations") else len(tables)
    vectors = {name for (name,) in connection.execute(_VECTORS, {"schema": OURS})}
    in_use = {*_IN_USE, *vectors}
    ours = {name: count for name, count in rows.items() if name.partition(".")[2] in in_use or _holds_records(name)}
    return {**ours, **runs, "tables that no migration has made": strange}


def _holds_records(name: str) -> bool:
    return name in {f"{OURS}.{table}" for stream in STREAMS for table in stream.stores}


def _run_pg_restore(backup: Backup, connection: Connection) -> None:
    # Of the newest version, as an older one may not read the file; it has nothing to do with the server.
    dump = str(backup.root / DUMP)
    listed = run_tool("pg_restore", ["--list", dump])
    with tempfile.NamedTemporaryFile("w", suffix=".list", encoding="utf-8") as wanted:
        wanted.write("\n".join(line for line in listed.splitlines() if not _NOT_NOW.match(line)))
        wanted.flush()
        run_script(["--no-owner", "--no-privileges", f"--use-list={wanted.name}", dump], connection)


def _check_rows(connection: Connection, manifest: dict[str, Any]) -> None:
    found = rows_of(connection)
    if different := [name for name, count in manifest["rows"].items() if found.get(name) != count]:
        raise BackupError(
            f"not all was restored: {', '.join(different)} have other numbers of rows than when backed up"
        )
