"""Scans of markup: what looks at each character of markup, or of the stream of its blocks.

Belongs here: the scans that `markup_scans.pyx` has in a compiled form, which a compiled build imports instead of this
module; this one says what they do. Does not belong here: what is made of what they find.
"""

from __future__ import annotations

import re

from courtlistener_assets.text.marks import BLOCK, CELL, LINE, PRE_LINE

# A quoted value ends where a tag can go on; otherwise its quotation mark was never closed, and text would go with it.
_TAG = (
    r"""</?(?:(?<=/)\s*)?[A-Za-z][^<>"'=]*+(?:(?:=\s*+(?:"[^"]*+"(?=[\s/>])|'[^']*+'(?=[\s/>])|)|["'])[^<>"'=]*+)*+>"""
)
_TOKEN = re.compile(rf"(<!--(?:-?>|(?s:.*?)(?:-->|\Z))|{_TAG}|<[!?][^<>]*>)")
_ANNOTATED = re.compile(r"(?<=[\w.)\]]) (?=[;,](?: |\Z))")


def split_at_tags(markup: str) -> list[str]:
    """Split markup: the even pieces are text, the odd ones are tags, comments and declarations."""
    return _TOKEN.split(markup)


def blocks_of(stream: str) -> list[str]:
    """The blocks of a stream that have text; those without lines and cells as one line (`one_line`, `tidied`)."""
    blocks = [block for block in stream.split(BLOCK) if block and not block.isspace()]
    return [block if has_lines(block) else tidied(one_line(block)) for block in blocks]


def has_lines(block: str) -> bool:
    """Whether a block has lines or cells."""
    return LINE in block or CELL in block or PRE_LINE in block


def one_line(text: str) -> str:
    """The text with each run of white space as one space. `repair` has left no other than these."""
    for space in "\n\xa0\t\f":
        if space in text:
            text = text.replace(space, " ")
    while (closed := text.replace("  ", " ")) is not text:
        text = closed
    return text.strip(" ")


def tidied(line: str) -> str:
    """Close the gap that an annotated citation leaves before a comma or semicolon."""
    return _ANNOTATED.sub("", line) if " ," in line or (";" in line and " ;" in line) else line
