"""`courtlistener export`: the flat views as typed Parquet files, one a court and month.

    DIR/opinions_with_case/court=ca9/month=2024-01/opinions_with_case.parquet
    DIR/opinions_with_case/court=ca9/month=undated/..      of dockets without a date
    DIR/export.json                                        when, from what, how many rows

All of it is of one moment: one snapshot of the database. A file is replaced as a whole, and a month that has no rows
any more loses its file.

Belongs here: which files there are, and writing rows into them. Does not belong here: the views
(`resources/sql/views.sql`), options (`commands/export.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from courtlistener_assets.chunks.files import Location, publish, staged
from resources.connections.postgres import Connection, Database
from resources.errors import SettingError

#: The views, and the column by which their rows belong to a month: as they belong to partitions.
VIEWS = {
    "dockets_flat": "date_filed",
    "clusters_flat": "date_filed",
    "opinions_with_case": "date_filed",
    "entries_flat": "docket_date_filed",
    "documents_flat": "docket_date_filed",
    "citations": "date_filed",
}
MANIFEST = "export.json"
UNDATED = "undated"
_MONTH = re.compile(rf"\d{{4}}-(0[1-9]|1[0-2])|{UNDATED}")
#: Rows that the server sends at once, and about how many characters a row group has; both bound the memory.
_ROWS, _GROUP = 100, 16 << 20
_TYPES = {
    "bigint": pa.int64(),
    "bigint[]": pa.list_(pa.int64()),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "text": pa.string(),
    "text[]": pa.list_(pa.string()),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Wish:
    """What is to be exported: of these courts (all if there are none), of months from `first` to `last`, both included.

    With a bound, what belongs to no month is left out.
    """

    courts: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None

    def has(self, court: str, month: date | None) -> bool:
        """Whether a court's month is wanted; None is what has no date."""
        if self.courts and court not in self.courts:
            return False
        if month is None:
            return self.first is None and self.last is None
        return (self.first is None or month >= self.first) and (self.last is None or month <= self.last)


@dataclass
class Exported:
    """What was written: rows by view, files, and those removed since nothing is left of their month."""

    as_of: datetime
    rows: dict[str, int] = field(default_factory=dict)
    files: int = 0
    removed: int = 0


def export(
    database: Database, folder: Location, wish: Wish, say: Callable[[str], None] = lambda line: None
) -> Exported:
    """Write the files; returns what was written. Raises SettingError for a court of which nothing is stored."""
    with database.transaction(patient=True, snapshot=True) as connection:
        [(as_of,)] = connection.execute("SELECT now()").fetchall()
        done = Exported(as_of.astimezone(UTC))
        parts = {view: _parts(connection, view) for view in VIEWS}
        _check(connection, wish, {court for found in parts.values() for court, _ in found})
        for view, every in parts.items():
            found = [part for part in every if wish.has(*part)]
            schema, rows = schema_of(connection, view), 0
            for court, month in found:
                rows += _write(connection, view, schema, court, month, _place(folder, view, court, month))
            done.rows[view], done.files = rows, done.files + len(found)
            done.removed += _remove_others(folder / view, wish, {_place(folder, view, *part) for part in found})
            say(f"{view}: {rows:,} rows in {len(found):,} files")
    _write_manifest(folder, done, wish)
    return done


def schema_of(connection: Connection, view: str) -> pa.Schema:
    """The columns of a view as Arrow has them, each with its comment as `description`."""
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, NULL), col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        (f"courtlistener.{view}",),
    )
    return pa.schema(
        [pa.field(name, _TYPES[kind], metadata={"description": meaning or ""}) for name, kind, meaning in columns]
    )


def _parts(connection: Connection, view: str) -> list[tuple[str, date | None]]:
    """The courts and months that have rows, in order."""
    query = sql.SQL(
        "SELECT DISTINCT court_id, date_trunc('month', {}::timestamp)::date FROM {} WHERE court_id IS NOT NULL"
    )
    rows = connection.execute(query.format(sql.Identifier(VIEWS[view]), sql.Identifier("courtlistener", view)))
    return sorted(((str(court), month) for court, month in rows), key=lambda part: (part[0], part[1] or date.max))


def _check(connection: Connection, wish: Wish, courts: set[str]) -> None:
    """Raise SettingError for courts of which nothing was ever stored; what is gone may have a file that has to go."""
    unknown = connection.execute(
        "SELECT court FROM unnest(%s::text[]) AS court "
        "WHERE NOT EXISTS (SELECT FROM courtlistener.records WHERE court_id = court)",
        (list(wish.courts),),
    ).fetchall()
    if unknown:
        names, stored = ", ".join(court for (court,) in unknown), ", ".join(sorted(courts)) or "no court"
        raise SettingError(f"nothing is stored of {names}; there is something of {stored}")


def _place(folder: Location, view: str, court: str, month: date | None) -> Location:
    name = f"{month:%Y-%m}" if month else UNDATED
    return folder / view / f"court={court}" / f"month={name}" / f"{view}.parquet"


def _write(
    connection: Connection, view: str, schema: pa.Schema, court: str, month: date | None, place: Location
) -> int:
    """Write the file of a court's month; returns its rows."""
    rows = 0
    with (
        staged(place) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
        connection.cursor(f"export_{view}", binary=True) as cursor,
    ):
        cursor.itersize = _ROWS
        cursor.execute(*_rows_of(view, schema, court, month))
        for group in _groups(cursor):
            columns = [
                pa.array(values, kind) for values, kind in zip(zip(*group, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(group)
        writer.close()
        publish(file, place)
    return rows


def _rows_of(view: str, schema: pa.Schema, court: str, month: date | None) -> tuple[sql.Composed, dict[str, Any]]:
    day = sql.Identifier(VIEWS[view])
    of_month = (
        sql.SQL("{} >= %(month)s AND {} < (%(month)s::date + interval '1 month')::date").format(day, day)
        if month
        else sql.SQL("{} IS NULL").format(day)
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, schema.names))
    query = sql.SQL("SELECT {} FROM {} WHERE court_id = %(court)s AND {} ORDER BY {}").format(
        columns, sql.Identifier("courtlistener", view), of_month, sql.Identifier(schema.names[0])
    )
    return query, {"court": court, "month": month}


def _groups(cursor: psycopg.ServerCursor[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows for one row group after the other, each of about the same size."""
    group: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        group.append(row)
        size += 200 + sum(len(value) for value in row if isinstance(value, (str, list)))
        if size >= _GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _remove_others(folder: Location, wish: Wish, written: set[Location]) -> int:
    """Remove files of an earlier export for months that were asked for and have no rows any more.

    What has another name or place than an export gives its files is somebody else's, and stays.
    """
    removed = 0
    for found in list(folder.glob(f"court=*/month=*/{folder.name}.parquet")):
        place: Any = found
        court, month = place.parent.parent.name.partition("=")[2], place.parent.name.partition("=")[2]
        if place in written or not _MONTH.fullmatch(month):
            continue
        if wish.has(court, None if month == UNDATED else date.fromisoformat(f"{month}-01")):
            place.unlink()
            removed += 1
    return removed


def _write_manifest(folder: Location, done: Exported, wish: Wish) -> None:
    content = {
        "as_of": done.as_of.isoformat(),
        "courts": list(wish.courts) or "all",
        "from_month": wish.first and f"{wish.first:%Y-%m}",
        "to_month": wish.last and f"{wish.last:%Y-%m}",
        "rows": done.rows,
    }
    place = folder / MANIFEST
    with staged(place) as file:
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        publish(file, place)


def wish_of(courts: Sequence[str], first: date | None, last: date | None) -> Wish:
    """What is wished for; raises SettingError for months in the wrong order."""
    if first and last and first > last:
        raise SettingError(f"--from-month {first:%Y-%m} is after --to-month {last:%Y-%m}")
    return Wish(tuple(courts), first, last)
