"""What each endpoint allows: its filters, its relations to other endpoints, its orderings.

Belongs here: the server's rules as data, as its own OPTIONS responses list them. Does not belong here: how a filter is
read (`filters.py`) or a page is cut (`pagination.py`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

_INTEGER = ("exact", "gte", "gt", "lte", "lt", "range")
_DATE = (*_INTEGER, "year", "month", "day")
_MOMENT = (*_DATE, "hour", "minute", "second")
_TEXT = ("exact", "iexact", "startswith", "istartswith")

OPINION_TYPES = (
    "010combined", "015unamimous", "020lead", "025plurality", "030concurrence", "035concurrenceinpart",
    "040dissent", "050addendum", "060remittitur", "070rehearing", "080onthemerits", "090onmotiontostrike",
    "100trialcourt",
)  # fmt: skip
_CLUSTER_SOURCES = ("C", "R", "L", "U", "Z", "H", "A", "D", "G", "I", "M", "P", "Q", "LU", "CU", "LC", "CM", "LM",
                    "LCM", "ZR", "CR", "ZLC", "ZC", "ZL", "ZM", "ZU", "ZLU", "ZQ", "S")  # fmt: skip
_STATUSES = ("Published", "Unpublished", "Errata", "Separate", "In-chambers", "Relating-to", "Unknown")
_JURISDICTIONS = ("F", "FD", "FB", "FBP", "FS", "S", "SA", "ST", "SS", "TRS", "TRA", "TRT", "TRX", "TS", "TA", "TT",
                  "TSP", "SAG", "MA", "C", "I", "T", "MT")  # fmt: skip


class Kind(enum.Enum):
    """How the value of a filter is read, by the name that OPTIONS gives it."""

    NUMBER = "NumberFilter"
    TEXT = "CharFilter"
    DATE = "DateFilter"
    MOMENT = "IsoDateTimeFilter"
    BOOLEAN = "BooleanFilter"
    CHOICE = "ChoiceFilter"
    #: A choice that may be given several times: any of the values.
    MULTIPLE_CHOICE = "MultipleChoiceFilter"


@dataclass(frozen=True)
class Filter:
    """A field that can be asked for, with the lookups that it knows."""

    kind: Kind
    lookups: tuple[str, ...] = ("exact",)
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Relation:
    """A way from one endpoint's objects to others. `many`: to several, which repeats a row for each of them."""

    target: str
    many: bool = False
    #: For `many`: the relation of the children that leads back; "" where the object itself lists the others.
    inverse: str = ""


@dataclass(frozen=True)
class Endpoint:
    """One list of the API: `name` as in its URL, `model` as in its 404."""

    name: str
    model: str
    title: str
    filters: dict[str, Filter]
    relations: dict[str, Relation]
    orderings: tuple[str, ...]
    default_ordering: str = "-id"
    #: Orderings that are walked by cursor; all others by page number.
    cursor_orderings: tuple[str, ...] = ("id", "date_created", "date_modified")
    anonymous: bool = False
    text_key: bool = field(default=False)


_NUMBER = Filter(Kind.NUMBER, _INTEGER)
_DAY = Filter(Kind.DATE, _DATE)
_INSTANT = Filter(Kind.MOMENT, _MOMENT)
_FLAG = Filter(Kind.BOOLEAN)
_WORD = Filter(Kind.TEXT)
_PHRASE = Filter(Kind.TEXT, _TEXT)
_NUMBER_OR_NONE = Filter(Kind.NUMBER, (*_INTEGER, "isnull"))

_TAGS = Relation("tag", many=True)

_COURTS = Endpoint(
    "courts", "Court", "Court List",
    filters={
        "id": _WORD, "date_modified": _INSTANT, "in_use": _FLAG, "has_opinion_scraper": _FLAG,
        "has_oral_argument_scraper": _FLAG, "position": _NUMBER, "start_date": _DAY, "end_date": _DAY,
        "short_name": _PHRASE, "full_name": _PHRASE, "citation_string": _PHRASE, "parent_court": _WORD,
        "jurisdiction": Filter(Kind.MULTIPLE_CHOICE, choices=_JURISDICTIONS),
    },
    relations={"dockets": Relation("dockets", many=True, inverse="court")},
    orderings=("id", "date_modified", "position", "start_date", "end_date"),
    default_ordering="position", cursor_orderings=(), anonymous=True, text_key=True,
)  # fmt: skip

_DOCKETS = Endpoint(
    "dockets", "Docket", "Docket List",
    filters={
        "id": _NUMBER, "date_modified": _INSTANT, "date_created": _INSTANT, "date_filed": _DAY, "date_terminated": _DAY,
        "date_last_filing": _DAY, "docket_number": _WORD,
        "docket_number_core": Filter(Kind.TEXT, ("exact", "startswith")),
        "nature_of_suit": _PHRASE, "pacer_case_id": _WORD, "date_blocked": _DAY, "blocked": _FLAG,
        "source": Filter(Kind.CHOICE, ("exact", "in"), tuple(str(number) for number in range(256))),
    },
    relations={
        "court": Relation("courts"), "clusters": Relation("clusters", many=True, inverse="docket"),
        "docket_entries": Relation("docket-entries", many=True, inverse="docket"),
        "audio_files": Relation("audio", many=True, inverse="docket"),
        "assigned_to": Relation("people"), "referred_to": Relation("people"),
        "parties": Relation("parties", many=True, inverse="docket"), "tags": _TAGS,
    },
    orderings=("id", "date_created", "date_modified", "date_blocked", "date_filed", "date_terminated",
               "date_last_filing"),
)  # fmt: skip

_CLUSTERS = Endpoint(
    "clusters", "OpinionCluster", "Opinion Cluster List",
    filters={
        "id": _NUMBER, "date_created": _INSTANT, "date_modified": _INSTANT, "date_filed": _DAY, "scdb_id": _WORD,
        "scdb_decision_direction": Filter(Kind.CHOICE, choices=("1", "2", "3")), "scdb_votes_majority": _NUMBER,
        "scdb_votes_minority": _NUMBER, "citation_count": _NUMBER, "date_blocked": _DAY, "blocked": _FLAG,
        "precedential_status": Filter(Kind.CHOICE, choices=_STATUSES),
        "source": Filter(Kind.MULTIPLE_CHOICE, choices=_CLUSTER_SOURCES),
    },
    relations={
        "docket": Relation("dockets"), "sub_opinions": Relation("opinions", many=True, inverse="cluster"),
        "panel": Relation("people", many=True), "non_participating_judges": Relation("people", many=True),
        "citations": Relation("citations", many=True),
    },
    orderings=("id", "date_created", "date_modified", "date_filed", "citation_count", "date_blocked"),
)  # fmt: skip

_OPINIONS = Endpoint(
    "opinions", "Opinion", "Opinion List",
    filters={
        "id": _NUMBER, "date_modified": _INSTANT, "date_created": _INSTANT, "sha1": _WORD, "extracted_by_ocr": _FLAG,
        "per_curiam": _FLAG, "type": Filter(Kind.MULTIPLE_CHOICE, choices=OPINION_TYPES),
    },
    relations={
        "cluster": Relation("clusters"), "author": Relation("people"), "joined_by": Relation("people", many=True),
    },
    orderings=("id", "date_created", "date_modified"),
)  # fmt: skip

_DOCKET_ENTRIES = Endpoint(
    "docket-entries", "DocketEntry", "Docket Entry List",
    filters={
        "id": _NUMBER, "entry_number": _NUMBER_OR_NONE, "date_created": _INSTANT, "date_modified": _INSTANT,
        "date_filed": _DAY, "pacer_sequence_number": _NUMBER_OR_NONE,
    },
    relations={
        "docket": Relation("dockets"),
        "recap_documents": Relation("recap-documents", many=True, inverse="docket_entry"), "tags": _TAGS,
    },
    orderings=("id", "date_created", "date_modified", "date_filed", "recap_sequence_number", "entry_number"),
)  # fmt: skip

_RECAP_DOCUMENTS = Endpoint(
    "recap-documents", "RECAPDocument", "Recap Document List",
    filters={
        "id": _NUMBER, "date_created": _INSTANT, "date_modified": _INSTANT, "date_upload": _INSTANT,
        "document_type": Filter(Kind.CHOICE, choices=("1", "2")), "is_available": _FLAG, "sha1": _WORD,
        "document_number": Filter(Kind.TEXT, ("exact", "gte", "gt", "lte", "lt")), "is_free_on_pacer": _FLAG,
        "pacer_doc_id": Filter(Kind.TEXT, ("exact", "in")),
        "ocr_status": Filter(Kind.CHOICE, _INTEGER, ("1", "2", "3", "4")),
    },
    relations={"docket_entry": Relation("docket-entries"), "tags": _TAGS},
    orderings=("id", "date_created", "date_modified", "date_upload"),
)  # fmt: skip

_AUDIO = Endpoint(
    "audio", "Audio", "Audio List",
    filters={
        "id": _NUMBER, "date_modified": _INSTANT, "date_created": _INSTANT, "sha1": _WORD, "blocked": _FLAG,
        "date_blocked": _DAY, "processing_complete": _FLAG,
        "source": Filter(Kind.MULTIPLE_CHOICE, choices=_CLUSTER_SOURCES),
    },
    # By way of the docket there is no day of the argument: the server's list of a docket's filters has none.
    relations={"docket": Relation("dockets")},
    orderings=("id", "date_created", "date_modified", "date_blocked"),
)  # fmt: skip

_PEOPLE = Endpoint(
    "people", "Person", "Person List",
    filters={
        "id": _NUMBER, "date_created": _INSTANT, "date_modified": _INSTANT, "date_dob": _DAY, "date_dod": _DAY,
        "name_first": _PHRASE, "name_middle": _PHRASE,
        "name_last": _PHRASE, "name_suffix": _PHRASE, "fjc_id": _NUMBER,
        "dob_city": _PHRASE, "dob_state": _PHRASE,
        "dod_city": _PHRASE, "dod_state": _PHRASE,
        "gender": Filter(Kind.CHOICE, choices=("m", "f", "o")),
    },
    relations={},
    orderings=("id", "date_created", "date_modified", "date_dob", "date_dod", "name_last"),
)  # fmt: skip

# Lists that the project does not ask for: they are empty, but the lists above can be asked by way of them.
_DATES = {"id": _NUMBER, "date_created": _INSTANT, "date_modified": _INSTANT}
_BY_DATE = ("id", "date_created", "date_modified")
_ON_DOCKET = {"docket": Relation("dockets")}
_OTHERS = (
    Endpoint("tag", "Tag", "Tag List", {**_DATES, "name": _WORD}, {}, _BY_DATE),
    Endpoint("parties", "Party", "Party List", {**_DATES, "name": _WORD}, _ON_DOCKET, _BY_DATE),
    Endpoint("attorneys", "Attorney", "Attorney List", {**_DATES, "name": _WORD}, _ON_DOCKET, _BY_DATE),
    Endpoint("positions", "Position", "Position List", _DATES, {"person": Relation("people")}, _BY_DATE),
    Endpoint("opinions-cited", "OpinionsCited", "Opinions Cited List", {"id": _NUMBER},
             {"citing_opinion": Relation("opinions"), "cited_opinion": Relation("opinions")}, ("id",)),
    Endpoint("originating-court-information", "OriginatingCourtInformation", "Originating Court Information List",
             _DATES, {}, _BY_DATE),
    Endpoint("bankruptcy-information", "BankruptcyInformation", "Bankruptcy Information List", _DATES, _ON_DOCKET,
             _BY_DATE),
    Endpoint("recap-query", "RECAPDocument", "Fast Recap Document Lookup List",
             {"pacer_doc_id": Filter(Kind.TEXT, ("exact", "in"))}, {"docket_entry": Relation("docket-entries")},
             (), cursor_orderings=()),
)  # fmt: skip

ENDPOINTS = {
    endpoint.name: endpoint
    for endpoint in (
        _DOCKETS, _CLUSTERS, _OPINIONS, _DOCKET_ENTRIES, _RECAP_DOCUMENTS, _COURTS, _AUDIO, _PEOPLE, *_OTHERS
    )
}  # fmt: skip

#: What has filters but no address of its own: objects of a cluster's `citations` have no id.
CITATIONS = Endpoint(
    "citations", "Citation", "Citation List",
    {name: _WORD for name in ("volume", "reporter", "page")} | {"type": _NUMBER}, {}, (),
)  # fmt: skip

#: What the root lists; of these the simulator serves `ENDPOINTS`, `api-usage` and `recap` (always a 403).
ROOT_NAMES = (
    "search", "dockets", "bankruptcy-information", "originating-court-information", "docket-entries", "recap-documents",
    "courts", "audio", "clusters", "opinions", "opinions-cited", "tag", "people", "positions", "retention-events",
    "educations", "schools", "political-affiliations", "sources", "aba-ratings", "parties", "attorneys", "recap",
    "recap-email", "recap-fetch", "recap-query", "fjc-integrated-database", "scrapers/scotus-email", "tags",
    "docket-tags", "prayers", "increment-event", "visualizations/json", "visualizations", "agreements", "debts",
    "financial-disclosures", "gifts", "investments", "non-investment-incomes", "disclosure-positions",
    "reimbursements", "spouse-incomes", "alerts", "docket-alerts", "memberships", "citation-lookup", "api-usage",
)  # fmt: skip
