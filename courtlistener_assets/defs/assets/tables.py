"""The tables that assets write, as the UI and catalogs show them.

Belongs here: names, columns and what they mean. Does not belong here: the tables themselves
(`resources/sql/migrations/`, `courtlistener_assets/chunks/table.py`), row counts, which are of a partition.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import pyarrow as pa

#: Name, type, whether it may be null, and what it means; all tables of the schema `courtlistener` have the same.
_COLUMNS = (
    ("stream", "text", False, "the table of the object, such as opinions"),
    ("id", "bigint", False, "CourtListener's id of the object"),
    ("docket_id", "bigint", True, "its docket; null where the object names none"),
    ("cluster_id", "bigint", True, "its opinion cluster"),
    ("docket_entry_id", "bigint", True, "its docket entry, of entries and RECAP documents"),
    ("court_id", "text", True, "CourtListener's id of its court, such as scotus"),
    ("date_filed", "date", True, "when it was filed, decided or made; null where CourtListener knows no date"),
    ("date_modified", "timestamptz", True, "when CourtListener last changed it"),
    ("body", "jsonb", False, "the whole object as the API gave it; only its id once it is gone"),
    (
        *("source", "text", False),
        "api; bulk: what the bulk files do not hold is absent; merged: of the API, with fields as bulk files have them",
    ),
    ("fetched_at", "timestamptz", False, "when it was last stored; from bulk files, as of when they are"),
    ("changed_at", "timestamptz", False, "when it was last stored with another body or other keys"),
    ("gone_at", "timestamptz", True, "when CourtListener was found not to have it any more, null while it has"),
    ("gone_reason", "text", True, "what CourtListener said instead: removed, not found, merged into which"),
)


def records_table(name: str) -> dict[str, Any]:
    """Return the metadata of an asset that writes a table of the schema `courtlistener`; `records` is all of them."""
    columns = [
        dg.TableColumn(column, kind, meaning, dg.TableColumnConstraints(nullable=nullable))
        for column, kind, nullable, meaning in _COLUMNS
    ]
    return {
        # Without the database: its name stands in an address that is secret.
        "dagster/table_name": f"courtlistener.{name}",
        "dagster/column_schema": dg.TableSchema(columns),
    }


def parquet_columns(schema: pa.Schema) -> dict[str, Any]:
    """Return the metadata of an asset that writes files with these columns, whose fields say what they mean."""
    columns = [
        dg.TableColumn(
            field.name,
            str(field.type),
            (field.metadata or {}).get(b"description", b"").decode() or None,
            dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in schema
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}
