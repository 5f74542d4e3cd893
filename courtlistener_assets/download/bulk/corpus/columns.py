"""The columns of the corpus: the type of each, and what it means.

A column has the name and the value of the bulk file: an id where the API shows an address, NULL where the file has it.
`docs/reference/corpus.md` is made from this.

Belongs here: names, types, meanings. Does not belong here: making them from text (`typed.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from courtlistener_assets.download.bulk.tables import (
    CITATIONS,
    CLUSTERS,
    DOCKETS,
    OPINIONS,
    ORIGINS,
    Field,
    ObjectTable,
)

#: The tables of the dataset, by the bulk file that their rows are from.
TABLES = {DOCKETS.name: "dockets", CLUSTERS.name: "clusters", OPINIONS.name: "opinions"}
_OBJECTS = {table.name: table for table in (DOCKETS, CLUSTERS, OPINIONS)}
_TIME = pa.timestamp("us", tz="UTC")
_IDS = pa.list_(pa.int64())
#: Columns that the API does not show, and are no text.
_HIDDEN = dict.fromkeys(("view_count", "idb_data_id", "originating_court_information_id"), pa.int64())


def type_of(name: str, field: Field) -> pa.DataType:
    """The type of a column; `name` is the API's."""
    if field.kind == "text":
        return pa.date32() if name.startswith("date_") else pa.string()
    kinds: dict[str, pa.DataType] = {
        "number": pa.int64(),
        "flag": pa.bool_(),
        "time": _TIME,
        "courts": pa.string(),
    }
    return kinds.get(field.kind, pa.int64())


def types_of(table: ObjectTable) -> dict[str, pa.DataType]:
    """The types of the columns of a bulk file that are known."""
    known = {field.column or name: type_of(name, field) for name, field in table.fields.items()}
    return known | {name: _HIDDEN.get(name, pa.string()) for name in table.hidden}


def _struct_of(table: ObjectTable) -> pa.StructType:
    types = types_of(table)
    return pa.struct([pa.field(name, kind) for name, kind in types.items() if name not in table.hidden])


#: What is added to the columns of each file: from other files, or made of several columns.
ADDED: dict[str, dict[str, pa.DataType]] = {
    DOCKETS.name: {"absolute_url": pa.string(), "clusters": _IDS, "original_court_info": _struct_of(ORIGINS)},
    CLUSTERS.name: {
        "absolute_url": pa.string(),
        "citations": pa.list_(_struct_of(CITATIONS)),
        "panel": _IDS,
        "non_participating_judges": _IDS,
        "sub_opinions": _IDS,
    },
    OPINIONS.name: {"absolute_url": pa.string(), "joined_by": _IDS, "opinions_cited": _IDS},
}


def schema_of(file: str, columns: Iterable[str]) -> pa.Schema:
    """The schema of a table, whose bulk file has these columns; one that nobody knows is text."""
    types = types_of(_OBJECTS[file])
    known = {name: types.get(name, pa.string()) for name in columns} | ADDED[file]
    unknown = "not known to this version, as the file has it"
    return pa.schema(
        [
            pa.field(
                name,
                kind,
                nullable=name != "id",
                metadata={"description": meaning_of(TABLES[file], name) or unknown},
            )
            for name, kind in known.items()
        ]
    )


def omitted_columns(fields: Iterable[str]) -> dict[str, list[str]]:
    """The columns of each file that fields such as `opinions.html` name; what no file has is passed over."""
    found: dict[str, list[str]] = {file: [] for file in TABLES}
    files = {table: file for file, table in TABLES.items()}
    for table, _, name in (each.partition(".") for each in sorted(fields)):
        if table in files:
            known = _OBJECTS[files[table]].fields.get(name)
            found[files[table]].append((known.column if known else "") or name)
    return {file: names for file, names in found.items() if names}


def meaning_of(table: str, column: str) -> str:
    """What a column of a table means; "" if nobody has said so."""
    return _MEANINGS[table].get(column) or _COMMON.get(column, "")


def described() -> Iterator[tuple[str, str, str, str]]:
    """Table, column, type and meaning of every column that is known."""
    for file, table in TABLES.items():
        for name, kind in {**types_of(_OBJECTS[file]), **ADDED[file]}.items():
            yield table, name, _shown(kind), meaning_of(table, name)


def _shown(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_shown(kind.value_type)}"
    if pa.types.is_struct(kind):
        return f"struct ({', '.join(kind.field(number).name for number in range(kind.num_fields))})"
    return {pa.int64(): "int64", _TIME: "timestamp, UTC", pa.bool_(): "boolean", pa.date32(): "date"}.get(kind, "text")


_COMMON = {
    "id": "CourtListener's id",
    "date_created": "when CourtListener made the row",
    "date_modified": "when CourtListener last changed it; a change of what is joined to it does not count",
    "absolute_url": "path of its page on CourtListener",
    "slug": "its name in addresses",
    "case_name": "the case's name",
    "case_name_short": "a short form of it",
    "case_name_full": "the long form of it",
    "blocked": "whether search engines are asked to leave its page out",
    "date_blocked": "since when that is",
    "nature_of_suit": "what the suit is about",
}
_MEANINGS = {
    "dockets": {
        "court_id": "the court, such as ca9",
        "source": "where the docket came from, a sum of CourtListener's codes",
        "assigned_to_id": "person: the judge it is assigned to",
        "assigned_to_str": "that judge's name as the court writes it",
        "referred_to_id": "person: the judge it is referred to",
        "referred_to_str": "that judge's name as the court writes it",
        "panel_str": "names of the judges of the panel",
        "appeal_from_id": "court: where the appeal comes from",
        "appeal_from_str": "that court as the file names it",
        "parent_docket_id": "docket of which this one is a part",
        "docket_number": "as the court writes it",
        "docket_number_core": "year and number of it as digits, of district courts",
        "docket_number_raw": "as it was read, before it was cleaned",
        "docket_number_source": "where the number came from, a code",
        "federal_defendant_number": "the defendant's number, the last part of a criminal docket's number",
        "federal_dn_case_type": "the kind of case in a federal docket number, such as cv",
        "federal_dn_office_code": "the office in a federal docket number",
        "federal_dn_judge_initials_assigned": "initials of a judge in a federal docket number",
        "federal_dn_judge_initials_referred": "initials of another judge in it",
        "pacer_case_id": "PACER's id of the case",
        "date_filed": "when the case began; NULL in many dockets made of scraped opinions",
        "date_terminated": "when it ended",
        "date_last_filing": "when something was last filed",
        "date_argued": "when it was argued",
        "date_reargued": "when it was argued again",
        "date_reargument_denied": "when another argument was denied",
        "date_cert_granted": "when certiorari was granted",
        "date_cert_denied": "when certiorari was denied",
        "date_last_index": "when CourtListener's search last took it in",
        "cause": "the law under which it was brought",
        "jury_demand": "who demands a jury",
        "jurisdiction_type": "why a federal court may hear it",
        "appellate_fee_status": "whether the fee of an appeal is paid",
        "appellate_case_type_information": "what kind of appeal it is",
        "mdl_status": "its part in multidistrict litigation",
        "filepath_ia": "where the docket is at the Internet Archive",
        "filepath_ia_json": "the same as JSON",
        "filepath_local": "path of the docket as XML on CourtListener's storage",
        "ia_upload_failure_count": "how often the upload to the Internet Archive failed",
        "ia_needs_upload": "whether it is to be uploaded there",
        "ia_date_first_change": "when it first changed since the last upload",
        "view_count": "how often its page was seen",
        "idb_data_id": "row of the FJC's integrated database",
        "originating_court_information_id": "id of original_court_info",
        "clusters": "ids of its decisions, of all years",
        "original_court_info": "what is known of the case at the court below; NULL if nothing",
    },
    "clusters": {
        "docket_id": "the docket; it is in the same court, perhaps in another year",
        "date_filed": "when it was decided",
        "date_filed_is_approximate": "whether that date is only about right",
        "judges": "names of the judges, as text",
        "scdb_id": "id in the Supreme Court Database",
        "scdb_decision_direction": "its direction there: 1 conservative, 2 liberal, 3 neither",
        "scdb_votes_majority": "votes of the majority there",
        "scdb_votes_minority": "votes of the minority there",
        "source": "where the decision came from, CourtListener's code of letters",
        "precedential_status": "Published, Unpublished, Errata, Separate, In-chambers, Relating-to or Unknown",
        "citation_count": "how many decisions cite it",
        "procedural_history": "the case's history, as HTML or text",
        "attorneys": "who appeared, as HTML or text",
        "posture": "where the case stood",
        "syllabus": "the reporter's summary",
        "headnotes": "points of law that an editor found",
        "summary": "a summary",
        "disposition": "what was decided, such as affirmed",
        "history": "the case's history",
        "other_dates": "further dates, as text",
        "cross_reference": "what it refers to",
        "correction": "notes of the publisher",
        "arguments": "what the attorneys argued, as HTML",
        "headmatter": "what stands before the opinions in Harvard's books, as HTML",
        "filepath_json_harvard": "path of Harvard's data on CourtListener's storage",
        "filepath_pdf_harvard": "path of Harvard's scan on CourtListener's storage",
        "citations": "its citations: volume, reporter, page and kind",
        "panel": "persons: the judges who heard it",
        "non_participating_judges": "persons: the judges who did not take part",
        "sub_opinions": "ids of its opinions, which are in the same court and year",
    },
    "opinions": {
        "cluster_id": "the decision, which is in the same court and year",
        "type": "CourtListener's code: 010combined, 020lead, 030concurrence, 040dissent and others",
        "author_id": "person: the author",
        "author_str": "the author's name as text",
        "per_curiam": "whether the court speaks as a whole",
        "joined_by_str": "names of those who joined, as text",
        "joined_by": "persons: those who joined",
        "opinions_cited": "ids of the opinions that it cites, of any court",
        "page_count": "pages of the court's file",
        "sha1": "SHA-1 of the court's file",
        "download_url": "where the court's file was downloaded; it may be gone",
        "local_path": "path of the court's file on CourtListener's storage",
        "extracted_by_ocr": "whether plain_text was read from a picture",
        "plain_text": "text of the court's file",
        "html": "the court's own HTML",
        "html_lawbox": "HTML from Lawbox",
        "html_columbia": "HTML from Columbia",
        "html_anon_2020": "HTML from an unnamed donor, 2020",
        "xml_harvard": "XML from Harvard's books",
        "xml_scan": "XML from a scan of a book",
        "html_with_citations": "the best of these with links where it cites: the one to read",
    },
}
