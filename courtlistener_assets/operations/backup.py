"""`courtlistener backup`: this project's schema and Dagster's, as of one moment, in a directory that can be verified.

    DIR/backup.json          when, which rows, checksums, what is left out
    DIR/postgres.dump        of pg_dump, compressed

Runs go on meanwhile. What Redis has is rebuilt from Postgres, so it is left out; so are the chunks, which can be made
again without a request.

Belongs here: what is backed up, and its manifest. Does not belong here: reading it back (`restore.py`), running the
programs (`postgres_tools.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from typing import Any

from psycopg import sql

from courtlistener_assets.operations.dagster_schema import SCHEMA as DAGSTER
from courtlistener_assets.operations.postgres_tools import run_tool
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Connection, Database
from resources.connections.postgres_address import conninfo_of
from resources.errors import BackupError

FORMAT = 1
MANIFEST, DUMP = "backup.json", "postgres.dump"
OURS = "courtlistener"
_MIGRATIONS = "SELECT to_jsonb(m) FROM courtlistener.migrations AS m ORDER BY name"
#: What pg_dump leaves out when it is told schemas: the type of vectors that are kept beside the records.
_EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname = 'vector'"
#: The name of the distribution.
_PROJECT = "courtlistener-assets"


@dataclass(frozen=True)
class Backup:
    """A complete backup on the disk."""

    root: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """What it has; raises BackupError if there is none, or one of a version that is not known."""
        try:
            found: dict[str, Any] = json.loads((self.root / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BackupError(f"{self.root} has no backup: {MANIFEST} cannot be read ({error})") from None
        if found.get("format") != FORMAT:
            raise BackupError(f"{self.root} was made by another version: its format is {found.get('format')}")
        return found

    def verify(self) -> dict[str, Any]:
        """Read every file and compare its checksum; returns the manifest. Raises BackupError."""
        manifest = self.manifest
        for name, expected in manifest["files"].items():
            path = self.root / name
            if not path.exists() or digest(path) != expected["sha256"]:
                raise BackupError(
                    f"{path} is {'damaged' if path.exists() else 'missing'}: it is not what was backed up"
                )
        return manifest


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def back_up(settings: Settings, folder: Path, say: Callable[[str], None] = lambda line: None) -> Backup:
    """Write a backup into a directory that does not exist yet.

    Raises BackupError, SettingError and StoreUnavailable; then there is no directory.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupError(f"{folder} is there already: a backup goes into a new directory")
    folder = folder.resolve()  # As `.` has no name.
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(mode=0o700, parents=True)
        manifest = _dump(settings, part, say)
        path = part / MANIFEST
        path.write_text(json.dumps(manifest, indent=2, default=str) + "\n", encoding="utf-8")
        os.replace(part, folder)
    except OSError as error:
        raise BackupError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Backup(folder)


def _dump(settings: Settings, part: Path, say: Callable[[str], None]) -> dict[str, Any]:
    database = Database(settings.postgres_url)
    try:
        # The same snapshot for what is counted here and for what pg_dump reads.
        with database.transaction(patient=True, snapshot=True) as connection:
            [(snapshot, now)] = connection.execute("SELECT pg_export_snapshot(), now()").fetchall()
            rows = rows_of(connection)
            if not rows.get(f"{OURS}.migrations"):
                raise BackupError("there is nothing to back up: POSTGRES_URL has no tables of this project")
            has_dagster = any(name.startswith(f"{DAGSTER}.") for name in rows)
            say(f"Writing {sum(rows.values()):,} rows of {len(rows)} tables, as of {now:%Y-%m-%d %H:%M:%S} UTC")
            schemas = [OURS, *([DAGSTER] if has_dagster else [])]
            extensions = [str(name) for (name,) in connection.execute(_EXTENSIONS)]
            run_tool(
                "pg_dump",
                [f"--snapshot={snapshot}", "--format=custom", "--encoding=UTF8", f"--file={part / DUMP}",
                 "--no-owner", "--no-privileges",
                 *(f"--schema={name}" for name in schemas), *(f"--extension={name}" for name in extensions)],
                conninfo_of(settings.postgres_url),
                server=connection.info.server_version // 10_000,
            )  # fmt: skip
            migrations = [row for (row,) in connection.execute(_MIGRATIONS)]
    finally:
        database.close()
    return {
        "format": FORMAT,
        "taken_at": now.astimezone(UTC).isoformat(),
        "version": version(_PROJECT),
        "migrations": migrations,
        "schemas": schemas,
        "rows": rows,
        "files": {DUMP: {"bytes": (part / DUMP).stat().st_size, "sha256": digest(part / DUMP)}},
        "left_out": _left_out(settings, has_dagster=has_dagster),
    }


def rows_of(connection: Connection) -> dict[str, int]:
    """How many rows each table of both schemas has, partitions by themselves."""
    tables = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND n.nspname = ANY(%s) ORDER BY 1, 2",
        ([OURS, DAGSTER],),
    ).fetchall()
    counts = {}
    for schema, name in tables:
        [(count,)] = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))
        ).fetchall()
        counts[f"{schema}.{name}"] = int(count)
    return counts


def _left_out(settings: Settings, *, has_dagster: bool) -> Mapping[str, str]:
    found = {
        "chunks": f"{settings.data_dir}: made again from Postgres, without a request; or copy the directory yourself",
        "Redis": "rebuilt from Postgres",
        "bulk files": f"{settings.bulk_dir}: downloaded again",
    }
    if not has_dagster:
        found["Dagster's runs and events"] = f"POSTGRES_URL has no schema {DAGSTER}: back them up where they are"
    return found
