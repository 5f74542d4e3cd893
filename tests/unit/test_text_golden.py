"""Hard documents, each with the text and the data that a reader would want from it.

A document is `golden/NAME.html`, `.xml` or `.txt`; `NAME.expected` holds the clean text, a line of dashes and the data.
`UPDATE_GOLDEN=1 pytest tests/unit/test_text_golden.py` writes the expectations anew; read them before committing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from courtlistener_assets.text.cleaning import CleanText, clean
from tests.unit.text_reference import bare, rebuilt, source_text

GOLDEN = Path(__file__).parent / "golden"
DOCUMENTS = sorted(path for path in GOLDEN.iterdir() if path.suffix in (".html", ".xml", ".txt"))
#: Documents whose reading order is not the order of their lines.
REORDERED = {"pleading_paper", "two_columns", "page_footnotes", "double_spaced", "xml_harvard"}
FIELDS = {".html": "html_with_citations", ".xml": "xml_harvard", ".txt": "plain_text"}


def written_out(cleaned: CleanText) -> str:
    marks = [f"{mark.kind} {mark.text!r} at {mark.position}" for mark in cleaned.marks]
    notes = [f"footnote {note.label!r} {cleaned.text[note.start : note.end]!r}" for note in cleaned.footnotes]
    return "\n".join([cleaned.text, "-" * 40, *marks, *notes, *sorted(cleaned.flags), ""])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_hard_document_reads_as_expected(path: Path) -> None:
    found = written_out(clean(path.read_text(encoding="utf-8"), FIELDS[path.suffix]))
    expected = path.with_suffix(".expected")
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_hard_document_loses_no_character(path: Path) -> None:
    value = path.read_text(encoding="utf-8")
    cleaned = clean(value, FIELDS[path.suffix])
    source, again = bare(source_text(value, markup=path.suffix != ".txt")), bare(rebuilt(cleaned))
    if path.stem in REORDERED:
        source, again = "".join(sorted(source)), "".join(sorted(again))
    assert again == source


def test_there_are_at_least_twelve_hard_documents() -> None:
    assert len(DOCUMENTS) >= 12
