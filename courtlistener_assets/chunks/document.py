"""Documents: what the API says about an opinion or RECAP document -> the columns that all of its chunks share.

Belongs here: what a document must bring along, and how the API's values become columns. Does not belong here: chunks,
their ids and duplicates (`rows.py`), types of columns (`table.py`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from courtlistener_assets.chunks.chunking import CHUNKER_VERSION
from courtlistener_assets.text.characters import repair
from courtlistener_assets.text.cleaning import CLEANER_VERSION, CleanText
from resources.errors import UnusableRecord

_OPINION_TYPES = {
    "010combined": "Combined opinion",
    "015unamimous": "Unanimous opinion",
    "020lead": "Lead opinion",
    "025plurality": "Plurality opinion",
    "030concurrence": "Concurrence",
    "035concurrenceinpart": "Concurrence in part",
    "040dissent": "Dissent",
    "050addendum": "Addendum",
    "060remittitur": "Remittitur",
    "070rehearing": "Rehearing",
    "080onthemerits": "On the merits",
    "090onmotiontostrike": "On motion to strike",
    "100trialcourt": "Trial court document",
}
#: RECAP's `ocr_status`.
_OCR = {1: "done", 2: "unnecessary", 3: "failed", 4: "needed"}
_TRAILING_ID = re.compile(r"(\d+)/?$")


@dataclass(frozen=True, kw_only=True)
class Document:
    """One opinion or RECAP document (`body`, as the API gave it), and what its cluster and docket say about it.

    `citations` are the case's own, as printed ("540 U.S. 614"), the preferred one first. `author` is a name.
    """

    doc_type: Literal["opinion", "recap_document"]
    body: Mapping[str, Any]
    docket_id: int | None
    court_id: str
    cluster_id: int | None = None
    court_name: str = ""
    case_name: str = ""
    docket_number: str = ""
    date_filed: dt.date | None = None
    precedential_status: str = ""
    citations: tuple[str, ...] = ()
    author: str = ""

    @property
    def id(self) -> int:
        """The API's id of the document. Raises UnusableRecord if there is none."""
        value = self.body.get("id")
        if not isinstance(value, int) or isinstance(value, bool):
            raise UnusableRecord(f"{self.doc_type} without an id")
        return value

    @property
    def key(self) -> str:
        """The document's name in `is_duplicate_of`: `opinion:123`."""
        return f"{self.doc_type}:{self.id}"


def context_header(document: Document) -> str:
    """One line that says where a chunk comes from, for an embedding model to read before it."""
    cited = document.citations[0] if document.citations else f"No. {document.docket_number}"
    named = ", ".join(part for part in (document.case_name, cited if cited != "No. " else "") if part)
    place = " ".join(filter(None, (document.court_name or document.court_id, str(document.date_filed or ""))))
    if document.doc_type == "opinion":
        kind = _OPINION_TYPES.get(str(document.body.get("type") or ""), "Opinion")
        kind += f" by {document.author}" if document.author else ""
    else:
        number, attachment = document.body.get("document_number"), document.body.get("attachment_number")
        kind = f"Document {number}" if number else "Document"
        kind += f"-{attachment}" if attachment else ""
        kind += f": {document.body.get('description')}" if document.body.get("description") else ""
    return " ".join(repair(f"{named} ({place}) | {kind}").split())


def document_columns(document: Document, cleaned: CleanText) -> dict[str, Any]:
    """The columns whose values are the same for all chunks of a document."""
    body, opinion = document.body, document.doc_type == "opinion"
    return {
        "context_header": context_header(document),
        "doc_type": document.doc_type,
        "docket_id": document.docket_id,
        "cluster_id": document.cluster_id,
        "opinion_id": document.id if opinion else None,
        "recap_document_id": None if opinion else document.id,
        "court_id": repair(document.court_id),
        "case_name": repair(document.case_name),
        "docket_number": repair(document.docket_number),
        "date_filed": document.date_filed,
        "opinion_type": _text_or_none(body.get("type")) if opinion else None,
        "author_id": id_of(body.get("author_id")) if opinion else None,
        "precedential_status": _text_or_none(document.precedential_status),
        "citations": [repair(citation) for citation in document.citations],
        "cites": None,
        "text_source": cleaned.source,
        "ocr": _ocr(body, opinion),
        "source_sha1": _text_or_none(body.get("sha1")),
        "source_date_modified": _moment(body.get("date_modified")),
        "absolute_url": _text_or_none(body.get("absolute_url")),
        "chunker_version": CHUNKER_VERSION,
        "cleaner_version": CLEANER_VERSION,
        "duplicate_kind": None,
    }


def _text_or_none(value: object) -> str | None:
    return repair(value) if isinstance(value, str) and value else None


def id_of(value: object) -> int | None:
    """An id given as a number or as the address of the object."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _TRAILING_ID.search(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def _ocr(body: Mapping[str, Any], opinion: bool) -> str | None:
    if opinion:
        extracted = body.get("extracted_by_ocr")
        return None if extracted is None else "done" if extracted else "unnecessary"
    status = body.get("ocr_status")
    return _OCR.get(status) if isinstance(status, int) else None


def _moment(value: object) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
