"""The bulk tables that are read, and what of them an object of the API shows: one entry a field.

`docs/bulk.md` has the same as a table, which a test compares with this one.

Belongs here: names and kinds. Does not belong here: making bodies (`bodies.py`), reading files (`dialect.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Field:
    """How a column shows in an object of the API.

    `kind`: text, number, flag, time, or the endpoint to an object of which the column has the id. `column` is its name
    in the file, if that is another; `null` what the API shows for NULL, `empty` for the empty string (None: null).
    """

    kind: str = "text"
    column: str = ""
    null: str | None = None
    empty: str | None = ""


@dataclass(frozen=True)
class ObjectTable:
    """A bulk table of which each row is an object of the API.

    `fields` are those that come from its row, `joined` those that come from rows of other tables, with the name of the
    table, and `absent` those that bulk files cannot have. `hidden` are columns that the API does not show; whatever
    else a file has is kept under its own name.
    """

    name: str
    endpoint: str
    fields: Mapping[str, Field]
    joined: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def needed(self) -> list[str]:
        """The columns that must be there."""
        return [each.column or name for name, each in self.fields.items()]


def _texts(*names: str) -> dict[str, Field]:
    return {name: Field() for name in names}


_NUMBER, _FLAG, _TIME = Field("number"), Field("flag"), Field("time")
_COMMON = {"id": _NUMBER, "date_created": _TIME, "date_modified": _TIME}

DOCKETS = ObjectTable(
    "dockets",
    "dockets",
    {
        **_COMMON,
        **_texts("court_id"),
        "court": Field("courts", "court_id"),
        "assigned_to": Field("people", "assigned_to_id"),
        "referred_to": Field("people", "referred_to_id"),
        "appeal_from": Field("courts", "appeal_from_id"),
        "parent_docket": Field("dockets", "parent_docket_id"),
        **dict.fromkeys(("source", "docket_number_source", "ia_upload_failure_count"), _NUMBER),
        "federal_defendant_number": _NUMBER,
        **dict.fromkeys(("blocked", "ia_needs_upload"), _FLAG),
        **dict.fromkeys(("date_last_index", "ia_date_first_change"), _TIME),
        **_texts("appeal_from_str", "assigned_to_str", "referred_to_str", "panel_str"),
        **_texts("date_cert_granted", "date_cert_denied", "date_argued", "date_reargued", "date_reargument_denied"),
        **_texts("date_filed", "date_terminated", "date_last_filing", "date_blocked"),
        **_texts("case_name_short", "case_name", "case_name_full", "slug", "docket_number", "docket_number_core"),
        **_texts("docket_number_raw", "federal_dn_case_type", "federal_dn_office_code"),
        **_texts("federal_dn_judge_initials_assigned", "federal_dn_judge_initials_referred"),
        "pacer_case_id": Field(null=""),
        **_texts("cause", "nature_of_suit", "jury_demand", "jurisdiction_type", "appellate_fee_status"),
        **_texts("appellate_case_type_information", "mdl_status", "filepath_ia", "filepath_ia_json"),
    },
    joined={
        "clusters": "opinion-clusters",
        "original_court_info": "originating-court-information",
        "idb_data": "fjc-integrated-database",
    },
    absent=("panel", "tags", "bankruptcy_information", "audio_files"),
    hidden=("view_count", "filepath_local", "idb_data_id", "originating_court_information_id"),
)
CLUSTERS = ObjectTable(
    "opinion-clusters",
    "clusters",
    {
        **_COMMON,
        "docket_id": _NUMBER,
        "docket": Field("dockets", "docket_id"),
        **dict.fromkeys(("citation_count", "scdb_votes_majority", "scdb_votes_minority"), _NUMBER),
        **dict.fromkeys(("blocked", "date_filed_is_approximate"), _FLAG),
        **_texts("judges", "date_filed", "slug", "case_name_short", "case_name", "case_name_full", "scdb_id"),
        **_texts("scdb_decision_direction", "source", "procedural_history", "attorneys", "nature_of_suit", "posture"),
        **_texts("syllabus", "headnotes", "summary", "disposition", "history", "other_dates", "cross_reference"),
        **_texts("correction", "precedential_status", "date_blocked", "arguments", "headmatter"),
        **dict.fromkeys(("filepath_json_harvard", "filepath_pdf_harvard"), Field(empty=None)),
    },
    joined={
        "citations": "citations",
        "panel": "search_opinioncluster_panel",
        "non_participating_judges": "search_opinioncluster_non_participating_judges",
        "sub_opinions": "opinions",
    },
    absent=("cluster_redirections", "filepath_pdf_scan", "filepath_xml_scan"),
)
OPINIONS = ObjectTable(
    "opinions",
    "opinions",
    {
        **_COMMON,
        "cluster_id": _NUMBER,
        "cluster": Field("clusters", "cluster_id"),
        "author_id": _NUMBER,
        "author": Field("people", "author_id"),
        "page_count": _NUMBER,
        **dict.fromkeys(("per_curiam", "extracted_by_ocr"), _FLAG),
        **_texts("author_str", "joined_by_str", "type", "sha1", "download_url"),
        "local_path": Field(empty=None),
        **_texts("plain_text", "html", "html_lawbox", "html_columbia", "html_anon_2020", "xml_harvard", "xml_scan"),
        **_texts("html_with_citations"),
    },
    joined={"joined_by": "search_opinion_joined_by", "opinions_cited": "citation-map"},
    absent=("main_version", "ordering_key"),
)
OBJECTS = (DOCKETS, CLUSTERS, OPINIONS)

#: What stands in `original_court_info` of a docket; the file lacks one field of it.
ORIGINS = ObjectTable(
    "originating-court-information",
    "originating-court-information",
    {
        **_COMMON,
        **_texts("docket_number", "docket_number_raw", "assigned_to_str", "ordering_judge_str", "court_reporter"),
        **_texts("date_disposed", "date_filed", "date_judgment", "date_judgment_eod", "date_filed_noa"),
        **_texts("date_received_coa"),
        "assigned_to": Field("people", "assigned_to_id"),
        "ordering_judge": Field("people", "ordering_judge_id"),
    },
    absent=("date_rehearing_denied",),
)
#: What stands in the `citations` of a cluster.
CITATIONS = ObjectTable(
    "citations",
    "",
    {
        "date_created": _TIME,
        "date_modified": _TIME,
        **_texts("volume", "reporter", "page"),
        "type": _NUMBER,
    },
    hidden=("id", "cluster_id"),
)
