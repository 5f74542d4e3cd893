"""Identity: what says that two documents are of one case, and digests by which things are told apart.

Belongs here: the case's keys. Does not belong here: comparing documents by them (`duplicates.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Literal

from courtlistener_assets.chunks.document import Document

#: Where else than in its own file a document's copies are told: nowhere, in other months of its court, in all courts.
Across = Literal["", "months", "courts"]
ACROSS: tuple[Across, ...] = ("", "months", "courts")
#: Orders that are shorter ("Affirmed.", "Motion granted.") are alike without being one, even in one docket.
_SHORT = 200
#: The part of a docket number that a text repeats: `21-50498`, `1:21-cv-00123`.
_NUMBER = re.compile(r"\d[\w:.]*[-\u2013][\w:.-]*\d")
_SHORTEST_NUMBER = 5


def case_keys(document: Document, text: str) -> list[bytes]:
    """Digests, of which a document shares at least one with another one that has the same text and is of its case.

    Without regard to its length, a text is of one case with those of its cluster, and of its docket on the same day. A
    longer one is also with those of its docket, those with one of its citations, its docket number, or its name and
    date, and with any that has the number of its own docket in the text: then the same text is in both dockets.
    """
    place = (document.doc_type, document.court_id)
    keys = _of_any_text(document)
    return [digest(*place, *key) for key in (keys if len(text) < _SHORT else [*keys, *_of_long_text(document, text)])]


def _of_any_text(document: Document) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = []
    if document.cluster_id is not None:
        keys.append(("cluster", str(document.cluster_id)))
    if document.docket_id is not None:
        keys.append(("day", str(document.docket_id), str(document.date_filed)))
    return keys


def _of_long_text(document: Document, text: str) -> Iterator[tuple[str, ...]]:
    if document.docket_id is not None:
        yield "docket", str(document.docket_id)
    for citation in document.citations:
        yield "citation", citation
    number = " ".join(document.docket_number.casefold().split())
    if number:
        yield "number", number
    if document.case_name and document.date_filed:
        yield "name", " ".join(document.case_name.casefold().split()), str(document.date_filed)
    if _is_named(document, text):
        yield ("named",)


def _is_named(document: Document, text: str) -> bool:
    """Whether the text has the number of the document's docket."""
    return any(len(each) >= _SHORTEST_NUMBER and each in text for each in _NUMBER.findall(document.docket_number))


def contents_elsewhere(document: Document, text: str, across: Across) -> Iterator[tuple[bool, bytes]]:
    """What a copy in another file has, too, each with whether it names the court's file; none of a short text.

    In another month of the court the text has the identity that `case_keys` tells. A docket number says nothing in
    another court: with it, the case has to have the same name.
    """
    if not across or len(text) < _SHORT:
        return
    place, hashed = (document.doc_type, document.court_id), text_digest(text)
    for key in _of_long_text(document, text):
        yield False, digest("text", hashed, *place, *key)
    sha1 = document.body.get("sha1")
    if sha1:
        yield True, digest("sha1", hashed, *place, str(sha1))
    if across == "courts":
        for key in _in_any_court(document, text):
            yield False, digest("text", hashed, document.doc_type, *key)
        if sha1:
            yield True, digest("sha1", hashed, document.doc_type, str(sha1))


def _in_any_court(document: Document, text: str) -> Iterator[tuple[str, ...]]:
    name = " ".join(document.case_name.casefold().split())
    for kind, *rest in _of_long_text(document, text):
        if kind in ("docket", "citation", "name"):
            yield kind, *rest
        elif name:
            yield kind, *rest, name


def text_digest(text: str) -> str:
    """What stands for a text, white space aside."""
    return hashlib.sha256(text.encode(errors="replace").translate(None, b" \n\t")).hexdigest()


def digest(*parts: object) -> bytes:
    """16 bytes that stand for these parts in this order."""
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]
