"""The formats in which opinions come: the same paragraphs as the several text fields of the API hold them.

Belongs here: markup and line breaks. Does not belong here: the words (`prose.py`).
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable

_PAGE_LINES = 44


def html_with_citations(paragraphs: list[str]) -> str:
    """HTML as CourtListener makes it from harvested text, star pages and a footnote included."""
    body = "".join(_block(number, text) for number, text in enumerate(paragraphs))
    note = '<div class="footnote"><a href="#fn1_ref">1</a> The parties do not dispute this point.</div>'
    return f'<div><opinion type="majority">{body}{note}</opinion></div>'


def _block(number: int, text: str) -> str:
    star = f'<span class="star-pagination">*{100 + number}</span> ' if number % 4 == 3 else ""
    return f'<p id="b{number}">{star}{html.escape(text, quote=False)}</p>\n'


def html_pre(paragraphs: list[str]) -> str:
    """Return a slip opinion in one `<pre>`, hard-wrapped."""
    return f'<pre class="inline">{html.escape(plain_text(paragraphs), quote=False)}</pre>'


def plain_text(paragraphs: list[str]) -> str:
    """Text as it comes out of a PDF: hard wraps, running heads, page numbers and form feeds."""
    lines: list[str] = []
    for text in paragraphs:
        lines += [*textwrap.wrap(text, 72, initial_indent="     "), ""]
    pages = [lines[start : start + _PAGE_LINES] for start in range(0, len(lines), _PAGE_LINES)]
    head = "                         Opinion of the Court"
    return "\f".join("\n".join([f"{number + 1}{head}", "", *page]) for number, page in enumerate(pages))


def xml_harvard(paragraphs: list[str]) -> str:
    body = "".join(
        f'<page-number citation-index="1" label="{200 + number}">*{200 + number}</page-number>'
        f'<p id="AbC{number}">{html.escape(text, quote=False)}</p>'
        for number, text in enumerate(paragraphs)
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n<opinion type="majority">\n{body}\n</opinion>'


def html_lawbox(paragraphs: list[str]) -> str:
    body = "\n".join(f'<p class="indent">{html.escape(text, quote=False)}</p>' for text in paragraphs)
    return f"<div>\n<center><b>OPINION</b></center>\n{body}\n</div>"


def html_columbia(paragraphs: list[str]) -> str:
    return "".join(f"<p>{html.escape(text, quote=False)}<br></p>\n" for text in paragraphs)


def html_anon_2020(paragraphs: list[str]) -> str:
    blocks = enumerate(paragraphs, start=1)
    body = "".join(f'<div class="num" id="p{n}">{html.escape(text, quote=False)}</div>' for n, text in blocks)
    return f'<div id="opinion">{body}</div>'


def html_plain(paragraphs: list[str]) -> str:
    body = "\n".join(f"<P>{html.escape(text, quote=False)}</P>" for text in paragraphs)
    return f"<HTML><BODY BGCOLOR=FFFFFF>\n{body}\n</BODY></HTML>"


#: A writer for each text field, in the server's order of preference.
TEXT_FIELDS: dict[str, Callable[[list[str]], str]] = {
    "html_with_citations": html_with_citations,
    "xml_harvard": xml_harvard,
    "html_columbia": html_columbia,
    "html_lawbox": html_lawbox,
    "html_anon_2020": html_anon_2020,
    "html": html_plain,
    "plain_text": plain_text,
}
