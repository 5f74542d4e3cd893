"""The schema `courtlistener`: the numbered SQL files that make it, and whether a database has what this version needs.

Belongs here: migrations, and `sql/views.sql`, which a migration runs again whenever it has changed: no worker uses
views, so those of another version are no reason to refuse a database. Does not belong here: connections
(`postgres.py`), any other SQL, Dagster's own tables (`courtlistener_assets/operations/dagster_schema.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psycopg

from resources.errors import SchemaMismatch

MIGRATIONS = Path(__file__).parents[1] / "sql" / "migrations"
VIEWS = MIGRATIONS.with_name("views.sql")
#: Serialises migrations of processes that start together; any constant will do, as long as it stays.
_MIGRATION_LOCK = 7_411_215_023
_TABLE = (
    "CREATE TABLE IF NOT EXISTS courtlistener.migrations "
    "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now(), applied_by text, digest text)"
)
#: As JSON, since a database of an earlier version lacks a column or two.
_APPLIED = "SELECT to_jsonb(m) FROM courtlistener.migrations AS m ORDER BY name"
_PRESENT = "SELECT to_regclass('courtlistener.{table}') IS NOT NULL"
_DEFINED = "SELECT digest FROM courtlistener.definitions WHERE name = 'views'"
#: What changes nothing in a database.
_COMMENT = re.compile("--.*")


@dataclass(frozen=True)
class SchemaState:
    """Names of migrations: `applied` (with the version that applied each, "" if unknown), and those that differ."""

    applied: Mapping[str, str]
    #: What this version has and the database lacks.
    pending: tuple[str, ...]
    #: What the database has and this version does not know.
    unknown: tuple[str, ...]
    #: What both have, made by another script. Of what was applied before digests were noted nobody knows.
    changed: tuple[str, ...] = ()

    def verify(self) -> None:
        """Raise SchemaMismatch if a newer version has been here, or an older one whose tables were not migrated.

        So does a script that was changed since it was applied. A database without any migration passes: there is
        nothing yet that could be mistaken.
        """
        if self.unknown:
            by = self.applied[self.unknown[-1]] or "a newer version"
            raise SchemaMismatch(
                f"POSTGRES_URL: the schema courtlistener was migrated by {by} ({', '.join(self.unknown)}), which "
                f"{this_version()} does not know. Run that version here, or restore a backup of the schema from before."
            )
        if self.changed:
            raise mismatch(f"the schema courtlistener was made by another {', '.join(self.changed)} than it is now")
        if self.applied and self.pending:
            raise SchemaMismatch(
                f"POSTGRES_URL: the schema courtlistener is at {max(self.applied)}, and {this_version()} needs "
                f"{', '.join(self.pending)}. Run `courtlistener migrate` once, while no older worker runs."
            )


def this_version() -> str:
    """The name and number of what runs here, `courtlistener-assets 0.1.0`."""
    try:
        return f"courtlistener-assets {version('courtlistener-assets')}"
    except PackageNotFoundError:  # Run from files that nobody installed.
        return "this version of courtlistener-assets"


def mismatch(problem: str) -> SchemaMismatch:
    """The error where tables are not those of this version, though no number of a migration shows it."""
    return SchemaMismatch(
        f"POSTGRES_URL: {problem}. No migration leads from there to {this_version()}: run here what made the schema, "
        "or begin with an empty database; `courtlistener restore --replace DIRECTORY` takes a backup that this version "
        "has made."
    )


def state(rows: Callable[[str], list[tuple[Any, ...]]]) -> SchemaState:
    """The state of the database that `rows` reads from; changes nothing and takes no lock."""
    [(present,)] = rows(_PRESENT.format(table="migrations"))
    return compared([row for (row,) in rows(_APPLIED)] if present else [])


def compared(migrations: Iterable[Mapping[str, Any]]) -> SchemaState:
    """The state of a database, or of a backup, that has these migrations."""
    applied = {row["name"]: row for row in migrations}
    known = {path.stem: _digest_of_script(path) for path in _files()}
    return SchemaState(
        {name: row.get("applied_by") or "" for name, row in applied.items()},
        pending=tuple(name for name in known if name not in applied),
        unknown=tuple(name for name in applied if name not in known),
        changed=tuple(
            name for name, row in applied.items() if name in known and row.get("digest") not in (None, known[name])
        ),
    )


def verify_views(rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Raise SchemaMismatch if the views are those of another version, or missing; for who reads them."""
    [(defined,)] = rows(_PRESENT.format(table="definitions"))
    if not defined or rows(_DEFINED) != [(_digest_of_views(),)]:
        raise SchemaMismatch(
            f"POSTGRES_URL: the views of the schema courtlistener are not those of {this_version()}. Run "
            "`courtlistener migrate`, which defines them."
        )


def migrate(connection: psycopg.Connection[Any]) -> list[str]:
    """Apply what is missing, in the transaction of a connection; returns the names, `views` if those have changed.

    Raises SchemaMismatch.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
    # Where somebody else has made the schema, the role may own it and yet not be allowed to make any.
    [(missing,)] = connection.execute("SELECT to_regnamespace('courtlistener') IS NULL")
    if missing:
        connection.execute("CREATE SCHEMA courtlistener")
    connection.execute(_TABLE.encode())
    found = state(lambda query: connection.execute(query.encode()).fetchall())
    replace(found, pending=()).verify()
    if found.pending:
        connection.execute(
            "ALTER TABLE courtlistener.migrations ADD COLUMN IF NOT EXISTS applied_by text, "
            "ADD COLUMN IF NOT EXISTS digest text"
        )
    for path in _files():
        if path.stem in found.pending:
            connection.execute(path.read_text(encoding="utf-8").encode())
            connection.execute(
                "INSERT INTO courtlistener.migrations (name, applied_by, digest) VALUES (%s, %s, %s)",
                (path.stem, this_version(), _digest_of_script(path)),
            )
    return [*found.pending, *_define_views(connection)]


def _define_views(connection: psycopg.Connection[Any]) -> list[str]:
    """Run the file of views unless it is the one that was run last."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS courtlistener.definitions "
        "(name text PRIMARY KEY, digest text NOT NULL, defined_at timestamptz NOT NULL DEFAULT now())"
    )
    defined = connection.execute(
        "INSERT INTO courtlistener.definitions AS before (name, digest) VALUES ('views', %s) ON CONFLICT (name) "
        "DO UPDATE SET digest = excluded.digest, defined_at = now() WHERE before.digest <> excluded.digest "
        "RETURNING name",
        (_digest_of_views(),),
    ).fetchall()
    if defined:
        connection.execute(VIEWS.read_bytes())
    return [str(name) for (name,) in defined]


def _files() -> list[Path]:
    return sorted(MIGRATIONS.glob("*.sql"))


def _digest_of_script(path: Path) -> str:
    """Of what a script does: its comments and line breaks are left out."""
    statements = _COMMENT.sub("", path.read_text(encoding="utf-8")).split()
    return hashlib.sha256(" ".join(statements).encode()).hexdigest()


def _digest_of_views() -> str:
    return hashlib.sha256(VIEWS.read_bytes()).hexdigest()
