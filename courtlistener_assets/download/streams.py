"""The API's streams as data, one entry each.

Belongs here: all that differs between streams; a stream more is one entry in STREAMS and nothing anywhere else. Does
not belong here: what an entry may say (`stream.py`), which streams a location has (`choice.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

from courtlistener_assets.chunks.document import Document, DocumentKind, id_of, text_or_none
from courtlistener_assets.download.partitions import Selection
from courtlistener_assets.download.stream import (
    Body,
    Stream,
    Sweep,
    court_in,
    date_in,
    dates_in,
    id_in,
    id_of_url,
    is_id,
    lists_in,
    mapping,
    moment_in,
    month_sweep,
    months_filters,
    objects_in,
)
from courtlistener_assets.text.cleaning import OPINION_FIELDS, clean, opinion_text, recap_document_text
from resources.errors import UnusableRecord
from resources.records.model import Record
from resources.records.tables import Table

# --- dockets ----------------------------------------------------------------------------------------------------------

_DOCKETS = Table("dockets", dated=True)
_CLUSTERS = Table("clusters", dated=True, parent=_DOCKETS, key="docket_id", listed="clusters")


def _docket(body: Body, partition: Selection) -> Iterator[Record]:
    id, court_id = id_in(body, "id"), court_in(body, "court_id") or partition.court
    lists = lists_in(body, clusters="clusters", audio_files="oral_arguments")
    yield Record("dockets", id, body, docket_id=id, court_id=court_id, **dates_in(body), lists=lists)


_DECIDED = month_sweep(
    "decided", "court", "clusters__date_filed", by=_CLUSTERS, status_filter="clusters__precedential_status"
)
DOCKETS = Stream(
    name="dockets",
    endpoint="dockets",
    description="Dockets filed in the month, and the dockets of all decisions dated in it. Dockets made from scraped "
    "opinions often have no `date_filed`; the second sweep finds them.",
    read=_docket,
    tables=(_DOCKETS,),
    sweeps=(month_sweep("filed", "court", "date_filed"), _DECIDED),
    increments=(_DECIDED.by_modified("clusters"),),
    changes=(
        Sweep("dockets", {"court": "{court}"}),
        Sweep(
            "dockets+clusters",
            months_filters("court", "clusters__date_filed"),
            modified="clusters__date_modified",
            any_month=True,
            parents_of="clusters",
        ),
    ),
    docket_filter="id",
    needs=("id", "court_id", "date_filed", "date_modified", "date_argued", "case_name", "docket_number"),
)

# --- clusters ---------------------------------------------------------------------------------------------------------


def _cluster(body: Body, partition: Selection) -> Iterator[Record]:
    id, docket_id = id_in(body, "id"), id_in(body, "docket_id")
    merged = tuple(id_in(mapping(each), "deleted_cluster_id") for each in objects_in(body, "cluster_redirections"))
    keys: dict[str, Any] = {"docket_id": docket_id, "cluster_id": id, "court_id": partition.court or None}
    lists = lists_in(body, sub_opinions="opinions")
    yield Record("clusters", id, body, **keys, **dates_in(body), replaces=merged, lists=lists)


CLUSTERS = Stream(
    name="clusters",
    endpoint="clusters",
    description="Decisions (opinion clusters) dated in the month.",
    read=_cluster,
    tables=(_CLUSTERS,),
    sweeps=(month_sweep("dated", "docket__court", "date_filed"),),
    changes=(
        # Of any month: a decision may leave those that are stored.
        Sweep("clusters", {"docket__court": "{court}"}),
        Sweep(
            "clusters+sub_opinions",
            months_filters("docket__court", "date_filed"),
            modified="sub_opinions__date_modified",
            parents_of="opinions",
        ),
    ),
    docket_filter="docket",
    needs=(
        *("id", "docket_id", "date_filed", "date_modified", "cluster_redirections"),
        *("case_name", "citations", "precedential_status"),
    ),
    status_filter="precedential_status",
)

# --- opinions ---------------------------------------------------------------------------------------------------------

_OPINIONS = Table("opinions", parent=_CLUSTERS, key="cluster_id", listed="sub_opinions")
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


def _opinion(body: Body, partition: Selection) -> Iterator[Record]:
    id, cluster_id = id_in(body, "id"), id_in(body, "cluster_id")
    yield Record("opinions", id, body, cluster_id=cluster_id, court_id=partition.court or None, **dates_in(body))


def _opinion_heading(document: Document) -> str:
    kind = _OPINION_TYPES.get(str(document.body.get("type") or ""), "Opinion")
    return f"{kind} by {document.author}" if document.author else kind


def _opinion_columns(body: Body) -> dict[str, Any]:
    extracted = body.get("extracted_by_ocr")
    return {
        "opinion_id": body["id"],
        "opinion_type": text_or_none(body.get("type")),
        "author_id": id_of(body.get("author_id")),
        "ocr": None if extracted is None else "done" if extracted else "unnecessary",
    }


OPINION = DocumentKind(
    name="opinion",
    table=_OPINIONS,
    text=opinion_text,
    heading=_opinion_heading,
    columns=_opinion_columns,
    date=lambda row: row["dated"],
    version_of=lambda body: id_of(body.get("main_version")),
    combined=lambda body: body.get("type") == "010combined",
)
OPINIONS = Stream(
    name="opinions",
    endpoint="opinions",
    description="Opinions, with their text, of the decisions dated in the month.",
    read=_opinion,
    tables=(_OPINIONS,),
    sweeps=(month_sweep("dated", "cluster__docket__court", "cluster__date_filed"),),
    changes=(Sweep("opinions", months_filters("cluster__docket__court", "cluster__date_filed")),),
    docket_filter="cluster__docket",
    kinds=(OPINION,),
    needs=("id", "cluster_id", "date_modified", "main_version", "sha1", "type"),
    alternatives=OPINION_FIELDS,
    status_filter="cluster__precedential_status",
)

# --- docket entries, and the RECAP documents nested in them -----------------------------------------------------------

_DOCKET_ENTRIES = Table("docket_entries", parent=_DOCKETS, key="docket_id")
_RECAP_DOCUMENTS = Table(
    "recap_documents",
    parent=_DOCKETS,
    key="docket_id",
    nested_in=_DOCKET_ENTRIES,
    nested_key="docket_entry_id",
    endpoint="recap-documents",
)
_OCR = {1: "done", 2: "unnecessary", 3: "failed", 4: "needed"}


def _docket_entry(body: Body, partition: Selection) -> Iterator[Record]:
    """The entry without its documents, then every document as a record of its own: by itself it names no docket."""
    id, docket_id = id_in(body, "id"), id_of_url(body, "docket")
    documents = objects_in(body, "recap_documents")
    entry = {name: value for name, value in body.items() if name != "recap_documents"}
    keys: dict[str, Any] = {"docket_id": docket_id, "docket_entry_id": id, "court_id": partition.court or None}
    nested = [document["id"] for document in documents if isinstance(document, dict) and is_id(document.get("id"))]
    # Without a list it is not known which documents are gone.
    whole = "recap_documents" in body and len(nested) == len(documents)
    lists = {"recap_documents": frozenset(nested)} if whole else {}
    yield Record("docket_entries", id, entry, **keys, **dates_in(body), lists=lists)
    for document in map(mapping, documents):
        dates = {**dates_in(document), "date_filed": date_in(body, "date_filed")}
        yield Record("recap_documents", id_in(document, "id"), document, **keys, **dates)


def _recap_heading(document: Document) -> str:
    number, attachment, said = map(document.body.get, ("document_number", "attachment_number", "description"))
    named = (f"Document {number}" if number else "Document") + (f"-{attachment}" if attachment else "")
    return f"{named}: {said}" if said else named


def _recap_columns(body: Body) -> dict[str, Any]:
    status = body.get("ocr_status")
    return {"recap_document_id": body["id"], "ocr": _OCR.get(status) if isinstance(status, int) else None}


RECAP_DOCUMENT = DocumentKind(
    name="recap_document",
    table=_RECAP_DOCUMENTS,
    text=recap_document_text,
    heading=_recap_heading,
    columns=_recap_columns,
    # Most have never been bought: to look for text in all of them would be to read the whole month.
    mostly_text=False,
)
_FILED_IN = month_sweep("filed", "docket__court", "docket__date_filed")
DOCKET_ENTRIES = Stream(
    name="docket_entries",
    endpoint="docket-entries",
    description="Entries of the dockets filed in the month; their RECAP documents are records of their own.",
    read=_docket_entry,
    tables=(_DOCKET_ENTRIES, _RECAP_DOCUMENTS),
    sweeps=(_FILED_IN,),
    # Text comes after its entry, and moves the document's date only.
    increments=(_FILED_IN.by_modified("recap_documents"),),
    changes=(
        Sweep("docket_entries", {"docket__court": "{court}"}),
        Sweep(
            "docket_entries+recap_documents",
            {"docket__court": "{court}"},
            modified="recap_documents__date_modified",
        ),
    ),
    # Every date is later than that, and a negation takes what has none.
    undated=Sweep("undated", {"docket__court": "{court}", "docket__date_filed__gte!": "0001-01-01"}),
    docket_filter="docket",
    kinds=(RECAP_DOCUMENT,),
    # Without `recap_documents` there are none; with them, they need what makes records and text of them.
    needs=(
        *("id", "docket", "date_filed", "date_modified"),
        *(f"recap_documents__{name}" for name in ("id", "date_modified", "plain_text", "sha1")),
    ),
)

# --- oral arguments ---------------------------------------------------------------------------------------------------

_ORAL_ARGUMENTS = Table("oral_arguments", dated=True, parent=_DOCKETS, key="docket_id", listed="audio_files")


def _oral_argument(body: Body, partition: Selection) -> Iterator[Record]:
    """A recording; it has no date of its own but that of its creation, by which it belongs to a month."""
    id, created = id_in(body, "id"), moment_in(body, "date_created")
    if created is None:
        raise UnusableRecord("date_created is missing")
    yield Record(
        "oral_arguments",
        id,
        body,
        docket_id=id_of_url(body, "docket"),
        court_id=partition.court or None,
        date_filed=created.astimezone(UTC).date(),
        date_modified=moment_in(body, "date_modified"),
    )


ORAL_ARGUMENTS = Stream(
    name="oral_arguments",
    endpoint="audio",
    description="Recordings of oral arguments that CourtListener got in the month (UTC), with their transcripts where "
    "there are any. The server knows no filter by the day of the argument, which is in their docket (`date_argued`): "
    "it is a few days earlier, or years for recordings that CourtListener collected later. Each recording belongs to "
    "one month; none falls outside but those without a docket, which no filter by court finds.",
    read=_oral_argument,
    tables=(_ORAL_ARGUMENTS,),
    sweeps=(month_sweep("created", "docket__court", "date_created", moments=True),),
    changes=(Sweep("oral_arguments", months_filters("docket__court", "date_created", moments=True)),),
    docket_filter="docket",
    parent_sweeps=(month_sweep("argued", "court", "audio_files__date_created", moments=True, by=_ORAL_ARGUMENTS),),
    kinds=(
        DocumentKind(
            name="oral_argument",
            table=_ORAL_ARGUMENTS,
            text=lambda body: clean(body.get("stt_transcript") or "", "stt_transcript"),
            heading=lambda document: " before ".join(filter(None, ("Oral argument", document.body.get("judges")))),
            date=lambda row: date_in(row["docket"] or {}, "date_argued"),
        ),
    ),
    needs=("id", "docket", "date_created", "date_modified", "case_name", "sha1", "stt_transcript"),
    by_default=False,
)

# --- people -----------------------------------------------------------------------------------------------------------


def _person(body: Body, partition: Selection) -> Iterator[Record]:
    yield Record("people", id_in(body, "id"), body, date_modified=moment_in(body, "date_modified"))


PEOPLE = Stream(
    name="people",
    endpoint="people",
    description="Judges and the others that CourtListener knows as people, of all courts; not partitioned.",
    read=_person,
    tables=(Table("people"),),
    sweeps=(Sweep("all", {}),),
    by_default=False,
)

STREAMS: tuple[Stream, ...] = (DOCKETS, CLUSTERS, OPINIONS, DOCKET_ENTRIES, ORAL_ARGUMENTS, PEOPLE)
