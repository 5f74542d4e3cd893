"""Documents: what the API says about one with text -> the columns that all of its chunks share.

Belongs here: what a document must bring along, and how the API's values become columns. Does not belong here: any kind
of documents (`download/streams.py`), chunks, their ids and duplicates (`rows.py`), types of columns (`table.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from courtlistener_assets.chunks.chunking import CHUNKER_VERSION
from courtlistener_assets.chunks.token_counts import Tokenizer, shortened
from courtlistener_assets.text.characters import repair
from courtlistener_assets.text.cleaning import CLEANER_VERSION, CleanText
from resources.errors import UnusableRecord
from resources.records.tables import Table

_TRAILING_ID = re.compile(r"(?<![0-9])([0-9]{1,19})/?$")


Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class DocumentKind:
    """What is particular to one kind of documents; `name` is their `doc_type`, `table` holds their bodies.

    `heading` says in the context header what a document is. `columns` are those that only this kind has. `date` finds
    the date of a document in a row of the store. `version_of` is the id of the document that this one is an older
    version of; `combined` says whether its text may have those of its cluster's other documents in it. `mostly_text`:
    that one has no text is an exception, which the checks may look into.
    """

    name: str
    table: Table
    text: Callable[[Body], CleanText | None]
    heading: Callable[[Document], str]
    columns: Callable[[Body], dict[str, Any]] = lambda body: {}
    date: Callable[[Mapping[str, Any]], dt.date | None] = lambda row: row["date_filed"]
    version_of: Callable[[Body], int | None] = lambda body: None
    combined: Callable[[Body], bool] = lambda body: False
    mostly_text: bool = True


@dataclass(frozen=True, kw_only=True)
class Document:
    """One document (`body`, as the API gave it), and what its cluster and docket say about it.

    `citations` are the case's own, as printed ("540 U.S. 614"), the preferred one first. `author` is a name.
    """

    kind: DocumentKind
    body: Body
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
    def doc_type(self) -> str:
        """The name of its kind."""
        return self.kind.name

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
    case = f"{named} ({place})" if named else place
    return " ".join(repair(f"{case} | {document.kind.heading(document)}").split())


def document_columns(
    document: Document, cleaned: CleanText, tokenizer: Tokenizer, max_header_tokens: int
) -> dict[str, Any]:
    """The columns whose values are the same for all chunks of a document; a kind's own are null in the others."""
    body = document.body
    header = shortened(context_header(document), max_header_tokens, tokenizer)
    return {
        "context_header": header,
        "header_hash": hashlib.sha256(header.encode()).hexdigest(),
        "header_token_count": tokenizer.count(header),
        "tokenizer": tokenizer.name,
        "doc_type": document.doc_type,
        "document_id": document.id,
        "docket_id": document.docket_id,
        "cluster_id": document.cluster_id,
        "opinion_id": None,
        "recap_document_id": None,
        "court_id": repair(document.court_id),
        "case_name": repair(document.case_name),
        "docket_number": repair(document.docket_number),
        "date_filed": document.date_filed,
        "opinion_type": None,
        "author_id": None,
        "precedential_status": text_or_none(document.precedential_status),
        "citations": [repair(citation) for citation in document.citations],
        "cites": None,
        "cites_clusters": None,
        "text_source": cleaned.source,
        "ocr": None,
        "source_sha1": text_or_none(body.get("sha1")),
        "source_date_modified": _moment(body.get("date_modified")),
        "absolute_url": text_or_none(body.get("absolute_url")),
        "chunker_version": CHUNKER_VERSION,
        "cleaner_version": CLEANER_VERSION,
        **document.kind.columns(body),
    }


def text_or_none(value: object) -> str | None:
    """A text without what cannot be stored; None for an empty one, or what is none."""
    return repair(value) if isinstance(value, str) and value else None


def id_of(value: object) -> int | None:
    """An id given as a number or as the address of the object; None for what no column of ids can hold."""
    match = _TRAILING_ID.search(value) if isinstance(value, str) else None
    id = int(match[1]) if match else value
    return id if type(id) is int and abs(id) < 2**63 else None


def _moment(value: object) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return None
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):  # In UTC it may be before the year 1 or after 9999.
        return None
