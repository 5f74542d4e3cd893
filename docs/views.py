"""The flat views as `resources/sql/views.sql` describes them, for docs/reference/views.md and for dbt.

Belongs here: reading names, types and comments from the script. Does not belong here: the database's own word, which
`tests/integration/test_views.py` compares with this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VIEWS = Path(__file__).resolve().parents[1] / "resources" / "sql" / "views.sql"
_VIEW = re.compile(r"CREATE OR REPLACE VIEW courtlistener\.(\w+) AS\nSELECT\n(.*?)\nFROM ", re.DOTALL)
_COMMENT = re.compile(r"COMMENT ON (?:VIEW|COLUMN) courtlistener\.([\w.]+) IS\s+'((?:[^']|'')*)';")
#: The first that is found in the expression of a column says its type.
_TYPES = {
    r"ids_in\(": "bigint[]",
    r"citations_of\(": "text[]",
    r"date_in\(|\.date_filed$": "date",
    r"moment_in\(|\.date_modified$|\.fetched_at$": "timestamptz",
    r"flag_in\(": "boolean",
    r"number_in\(|id_of_url\(|^\w\.(\w+_)?id$": "bigint",
}


@dataclass(frozen=True)
class View:
    """A view: what it is, and name, type and meaning of its columns."""

    name: str
    meaning: str
    columns: tuple[tuple[str, str, str], ...]


def views() -> Iterator[View]:
    """The views in the order of the script."""
    script = VIEWS.read_text(encoding="utf-8")
    meanings = {name: text.replace("''", "'") for name, text in _COMMENT.findall(script)}
    for view, selected in _VIEW.findall(script):
        columns = [_column(part) for part in re.split(r",\n    (?! )", selected)]
        yield View(view, meanings[view], tuple((name, kind, meanings[f"{view}.{name}"]) for name, kind in columns))


def _column(part: str) -> tuple[str, str]:
    expression, _, name = part.strip().rpartition(" AS ")
    expression = expression or name
    known = (kind for pattern, kind in _TYPES.items() if re.search(pattern, expression))
    # `d.court_id` is the id of a court, which is a name.
    return name.rpartition(".")[2], "text" if expression.endswith(".court_id") else next(known, "text")


def sources() -> str:
    """The views as a source of dbt; JSON strings are YAML."""
    lines = ["# Made by `make docs` from resources/sql/views.sql; do not edit.", "sources:", "  - name: courtlistener"]
    lines += [
        "    description: Court data of CourtListener, as flat views.",
        "    schema: courtlistener",
        "    tables:",
    ]
    for view in views():
        lines += [f"      - name: {view.name}", f"        description: {json.dumps(view.meaning)}", "        columns:"]
        for name, kind, meaning in view.columns:
            lines += [f"          - name: {name}", f"            data_type: {kind}"]
            lines.append(f"            description: {json.dumps(meaning)}")
    return "\n".join(lines) + "\n"
