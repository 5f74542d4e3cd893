"""The SQL in the documentation runs on the schema as it is.

Blocks about roles are left out: a role belongs to the whole server, not to a test's own database.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from courtlistener_assets.download.stream import all_tables
from courtlistener_assets.download.streams import STREAMS
from resources.connections.postgres import Database
from resources.records.store import RecordStore

DOCS = Path(__file__).parents[2] / "docs"
_SQL = re.compile(r"^(?P<marked><!-- not run:.*?-->\s*\n)?```sql\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(found["body"], id=f"{path.relative_to(DOCS)}-{number}")
    for path in sorted(DOCS.rglob("*.md"))
    for number, found in enumerate(_SQL.finditer(path.read_text(encoding="utf-8")))
    if not found["marked"] and " ROLE " not in found["body"]
]


def test_there_is_sql_to_run() -> None:
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("script", BLOCKS)
def test_the_sql_of_the_docs_runs(script: str, database: Database) -> None:
    RecordStore(database).prepare(all_tables(STREAMS))
    with database.transaction() as connection:
        connection.execute(script.encode())
