"""What the tests compare the cleaner with: the text nodes of a document by another parser, and marks put back.

Belongs here: reading a source independently of `courtlistener_assets.text.markup`. Only characters (entities, controls)
are treated by the project's own `repair` and `decode_entities`, which have tests of their own.
"""

from __future__ import annotations

from html.parser import HTMLParser

from courtlistener_assets.text.characters import decode_entities, repair
from courtlistener_assets.text.cleaning import CleanText


class _TextNodes(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.nodes: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("head", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("head", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.nodes.append(data)


def source_text(value: str, *, markup: bool) -> str:
    """All text of a source, in its order."""
    if not markup:
        return decode_entities(repair(value))
    parser = _TextNodes()
    parser.feed(repair(value))
    parser.close()
    return decode_entities(repair("".join(parser.nodes)))


def rebuilt(cleaned: CleanText) -> str:
    """The clean text with every mark back at its place."""
    pieces, position = [], 0
    for mark in cleaned.marks:
        pieces += [cleaned.text[position : mark.position], mark.text]
        position = mark.position
    return "".join([*pieces, cleaned.text[position:]])


def bare(text: str) -> str:
    """The text without white space."""
    return "".join(text.split())
