"""Tables in the metadata that the UI shows, as Markdown.

Belongs here: that what others have written, such as names of cases and errors of servers, stays text: no link, no
image, no markup, no broken cell. Does not belong here: what the tables show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

_LONGEST_CELL = 160
_Row = TypeVar("_Row")
#: What means something within a line. An underscore inside a word, as in names of tables, does not.
_MARKUP = re.compile(r"[\\`*\[\]|~&]|(?<!\w)_|_(?!\w)")
#: What becomes a link without any markup; a backslash does not prevent it.
_BARE_LINK = re.compile(r"(?<=://)|(?<=@)|(?<=\bwww)(?=\.)", re.IGNORECASE)
_WORD_JOINER = "\u2060"


@dataclass(frozen=True)
class Link:
    """A cell that is a link, to an address that we have made."""

    text: str
    address: str


def table(columns: dict[str, Callable[[_Row], object]], rows: Sequence[_Row]) -> str:
    """Return rows as a Markdown table, `none` without any. Only a Link is a link."""
    if not rows:
        return "none"
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(column(row)) for column in columns.values()) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Link):
        return f"[{plain(value.text)}]({value.address})"
    text = " ".join(str(value).split())
    return plain(text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…")


def plain(text: str) -> str:
    """Return Markdown that shows a text of one line as it is."""
    return _MARKUP.sub(r"\\\g<0>", _BARE_LINK.sub(_WORD_JOINER, text)).replace("<", "&lt;")
