"""How CourtListener's REST API v4 answers, as facts: request, status, headers that matter, keys, types, wording.

Recorded from the server's published code (August 2026). Ids are generic: `{docket}` and the like stand for objects of
whatever corpus the facts are held against (`test_simulator_wire.py` does so with the simulator's).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ROOT = "/api/rest/v4/"
LIST = "GET, POST, HEAD, OPTIONS"
DETAIL = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
NO_CHOICE = ["Select a valid choice. That choice is not one of the available choices."]


@dataclass(frozen=True)
class Fact:
    """One exchange. `body` is the whole body, or None where only status and headers are known."""

    name: str
    path: str
    status: int = 200
    body: Any = None
    method: str = "GET"
    authorization: str | None = "Token wide-token"
    accept: str | None = "*/*"
    #: None: the header is absent.
    headers: Mapping[str, str | None] = field(default_factory=dict)
    #: Keys of the body, in order.
    keys: tuple[str, ...] = ()
    #: About so long is the page for people that came as the body.
    body_characters: int = 0


def _detail(text: str) -> dict[str, str]:
    return {"detail": text}


def _unknown(*names: str) -> dict[str, Any]:
    return {"detail": "Unknown filter parameters are not allowed.", "unknown_params": list(names)}


_INVALID_CURSOR = _detail("Invalid cursor")
_401 = {"WWW-Authenticate": 'Bearer realm="api"', "Content-Type": "application/json"}
_PAGE = ("count", "next", "previous", "results")

FACTS = [
    # Unknown parameters and values that do not fit.
    Fact("an unknown filter is named", "dockets/?foo=1&court=ca9", 400, _unknown("foo"), headers={"Allow": LIST}),
    Fact("there is no id__in", "dockets/?id__in=1,2,3", 400, _unknown("id__in")),
    Fact("there is no court__in", "dockets/?court__in=nysd,ca9", 400, _unknown("court__in")),
    Fact("there is no docket__in", "clusters/?docket__in=7,8", 400, _unknown("docket__in")),
    Fact("there is no docket__id__in", "clusters/?docket__id__in=7,8", 400, _unknown("docket__id__in")),
    Fact("there is no cluster__docket__in", "opinions/?cluster__docket__in=1,2", 400, _unknown("cluster__docket__in")),
    Fact(
        "no day of an argument",
        "audio/?docket__date_argued__gte=2024-01-01",
        400,
        _unknown("docket__date_argued__gte"),
    ),
    Fact("there is no isnull", "dockets/?clusters__isnull=true", 400, _unknown("clusters__isnull")),
    Fact(
        "no isnull of a date",
        "dockets/?court=ca9&date_filed__isnull=true",
        400,
        _unknown("date_filed__isnull"),
    ),
    Fact(
        "no part of a text",
        "dockets/?nature_of_suit__icontains=civil",
        400,
        _unknown("nature_of_suit__icontains"),
    ),
    Fact("a judge who does not exist", "dockets/?assigned_to=999999", 400, {"assigned_to": NO_CHOICE}),
    Fact("opinions of a cluster that does not exist", "opinions/?cluster=9999999", 400, {"cluster": NO_CHOICE}),
    Fact(
        "opinions of a docket that does not exist",
        "opinions/?cluster__docket=9999999",
        400,
        {"cluster__docket": NO_CHOICE},
    ),
    Fact(
        "a source that does not exist",
        "dockets/?source=999",
        400,
        {"source": ["Select a valid choice. 999 is not one of the available choices."]},
    ),
    Fact("a field that is no filter", "dockets/?case_name=x", 400, _unknown("case_name")),
    Fact(
        "an object knows no filters either",
        "dockets/{docket}/?foo=bar",
        400,
        _unknown("foo"),
        headers={"Allow": DETAIL},
    ),
    Fact("an id that is no number", "dockets/?id=abc", 400, {"id": ["Enter a number."]}),
    Fact("a list of ids", "dockets/?id=10,11", 400, {"id": ["Enter a number."]}),
    Fact("a date that is none", "dockets/?date_filed__gte=notadate", 400, {"date_filed__gte": ["Enter a valid date."]}),
    Fact(
        "an unescaped plus",
        "dockets/?date_modified__gte=2025-06-01T12:00:00+00:00",
        400,
        {"date_modified__gte": ["Enter a valid date/time."]},
    ),
    Fact("a court that does not exist", "dockets/?court=doesnotexist", 400, {"court": NO_CHOICE}),
    Fact("two courts in one value", "dockets/?court=nysd,ca9", 400, {"court": NO_CHOICE}),
    Fact("a docket that does not exist", "clusters/?docket=999999", 400, {"docket": NO_CHOICE}),
    Fact("entries of a docket that does not exist", "docket-entries/?docket=999999", 400, {"docket": NO_CHOICE}),
    Fact(
        "a type that does not exist",
        "opinions/?type=zzz",
        400,
        {"type": ["Select a valid choice. zzz is not one of the available choices."]},
    ),
    Fact(
        "a parent's court that does not exist",
        "opinions/?cluster__docket__court=zzz",
        400,
        {"cluster__cluster__docket__court": NO_CHOICE},
    ),
    Fact(
        "a parent's date that is none",
        "opinions/?cluster__docket__date_filed__gte=zzz",
        400,
        {"cluster__cluster__docket__date_filed__gte": ["Enter a valid date."]},
    ),
    Fact("half a range", "dockets/?id__range=20", 400, {"id__range": ["Range query expects two values."]}),
    Fact("three ends of a range", "dockets/?id__range=1,2,3", 400, {"id__range": ["Range query expects two values."]}),
    Fact("a NUL", "dockets/?docket_number=%00", 400, {"docket_number": ["Null characters are not allowed."]}),
    Fact(
        "a chain that is too long",
        "opinions/?cluster__docket__court__dockets__court__dockets__id=2",
        400,
        _unknown("cluster__docket__court__dockets__court__dockets__id"),
    ),
    # Lists that are understood.
    Fact("a list", "dockets/?court=ca9", keys=_PAGE, headers={"Content-Type": "application/json", "Allow": LIST}),
    Fact("a negation", "dockets/?court!=nysd", keys=_PAGE),
    Fact("the courts of appeals", "dockets/?court__jurisdiction=F", keys=_PAGE),
    Fact("a court's id that does not exist", "dockets/?court__id=nosuch", keys=_PAGE),
    Fact("a source of several, one of which does not exist", "dockets/?source__in=0,999", keys=_PAGE),
    Fact("no number of an entry", "docket-entries/?docket__court=ca9&entry_number__isnull=true", keys=_PAGE),
    Fact("a truth that is none", "dockets/?blocked=yes", keys=_PAGE),
    Fact("a tag", "docket-entries/?docket__court=ca9&tags__name=x", keys=_PAGE),
    Fact("a judge's name", "dockets/?assigned_to__name_last=Judge1", keys=_PAGE),
    Fact("a reporter", "clusters/?docket__court=ca9&citations__reporter=F.3d", keys=_PAGE),
    Fact("a fraction", "dockets/?court=ca9&id__gt=1.5", keys=_PAGE),
    Fact("the date of a parent", "clusters/?docket__date_modified__gte=2024-01-01T00:00:00Z", keys=_PAGE),
    Fact("the date of a child", "docket-entries/?recap_documents__date_modified__gte=2024-01-01T00:00:00Z", keys=_PAGE),
    Fact("courts by jurisdiction", "courts/?jurisdiction=F", keys=_PAGE),
    Fact("a chain of five", "opinions/?cluster__docket__court__dockets__court=ca9&fields=id", keys=_PAGE),
    Fact("a huge id", "dockets/?id=99999999999999999999", keys=_PAGE),
    Fact("bare objects", "dockets/?court=ca9&fields=bogus", keys=_PAGE),
    Fact("a count", "dockets/?court=ca9&count=on", keys=("count",)),
    Fact("courts by page number, without a token", "courts/", authorization=None, keys=_PAGE),
    # Cursors and pages.
    Fact("a garbled cursor", "dockets/?cursor=garbage", 404, _INVALID_CURSOR, headers={"Allow": LIST}),
    Fact("a cursor that is not base64", "dockets/?cursor=%25%25%25", 404, _INVALID_CURSOR),
    Fact("a cursor of nonsense", "dockets/?cursor=eD0x", 404, _INVALID_CURSOR),
    Fact("a cursor of another ordering", "dockets/?order_by=date_modified&cursor=cD0yODE%3D", 404, _INVALID_CURSOR),
    Fact("a cursor of an offset only", "dockets/?cursor=bz0yMA==", 404, _INVALID_CURSOR),
    Fact("an empty cursor", "dockets/?court=ca9&order_by=id&cursor=", 404, _INVALID_CURSOR),
    Fact("a page number where there are cursors", "dockets/?court=ca9&order_by=id&page=2", keys=_PAGE),
    Fact("a page beyond the last", "dockets/?order_by=date_filed&court=nysd&page=99", 404, _detail("Invalid page.")),
    Fact(
        "a page beyond 100",
        "dockets/?order_by=date_filed&page=101",
        404,
        _detail("Invalid page: Deep API pagination is not allowed. Please review API documentation."),
    ),
    Fact(
        "a page that is no number",
        "dockets/?order_by=date_filed&page=abc",
        404,
        _detail("Invalid page: That page number is not an integer"),
    ),
    # Objects.
    Fact("a docket", "dockets/{docket}/", headers={"Content-Type": "application/json", "Allow": DETAIL}),
    Fact("a court", "courts/nysd/", headers={"Allow": DETAIL}),
    Fact("no such docket", "dockets/999999/", 404, _detail("No Docket matches the given query.")),
    Fact("no such cluster", "clusters/99999999999999/", 404, _detail("No OpinionCluster matches the given query.")),
    Fact("an id below all", "dockets/-1/", 404, _detail("No Docket matches the given query.")),
    Fact("an id that is no number", "dockets/abc/", 404, _detail("Not found."), headers={"Allow": DETAIL}),
    Fact(
        "a merged cluster",
        "clusters/{merged}/",
        301,
        "",
        headers={"Location": "{base}/api/rest/v4/clusters/{merged_into}/", "Content-Type": None, "Allow": DETAIL},
    ),
    Fact("a sealed cluster", "clusters/{sealed}/", 410, _detail("Cluster removed by court order")),
    Fact(
        "a missing slash",
        "dockets/{docket}",
        301,
        headers={
            "Location": "/api/rest/v4/dockets/{docket}/",
            "Content-Type": "text/html; charset=utf-8",
            "Allow": None,
            "Vary": "origin, Cookie",
        },
    ),
    Fact(
        "an unknown address",
        "nosuch/",
        404,
        headers={"Content-Type": "text/html; charset=utf-8", "Allow": None},
        body_characters=33_589,
    ),
    Fact("the root, without a token", "", authorization=None, headers={"Allow": "GET, HEAD, OPTIONS"}),
    # Credentials.
    Fact(
        "no token",
        "dockets/",
        401,
        _detail("Authentication credentials were not provided."),
        authorization=None,
        headers=_401,
    ),
    Fact("a wrong token", "dockets/", 401, _detail("Invalid token."), authorization="Token bad", headers=_401),
    Fact(
        "half a header",
        "dockets/",
        401,
        _detail("Invalid token header. No credentials provided."),
        authorization="Token",
        headers=_401,
    ),
    Fact(
        "a bearer token",
        "dockets/",
        401,
        _detail("Invalid or expired bearer token."),
        authorization="Bearer abc",
        headers={
            "WWW-Authenticate": 'Bearer realm="api",error="invalid_token",'
            'error_description="The access token is invalid."'
        },
    ),
    Fact(
        "an inactive account",
        "dockets/{docket}/",
        401,
        _detail("User inactive or deleted."),
        authorization="Token inactive-token",
        headers=_401,
    ),
    Fact("a lower-case scheme", "dockets/{docket}/", authorization="token wide-token"),
    Fact("name and password", "dockets/{docket}/", authorization="Basic d2lkZTp3aWRlLXRva2Vu"),
    Fact(
        "api-usage without a token",
        "api-usage/",
        401,
        _detail("Authentication credentials were not provided."),
        authorization=None,
        headers={**_401, "Allow": "GET, HEAD, OPTIONS"},
    ),
    # Methods and formats.
    Fact(
        "a POST",
        "dockets/",
        403,
        _detail("You do not have permission to perform this action."),
        method="POST",
        headers={"Allow": LIST},
    ),
    Fact(
        "a DELETE",
        "dockets/{docket}/",
        403,
        _detail("You do not have permission to perform this action."),
        method="DELETE",
    ),
    Fact(
        "a list for a few",
        "recap/",
        403,
        _detail("You do not have permission to perform this action."),
        authorization="Token plain-token",
    ),
    Fact("a HEAD of a list", "dockets/", method="HEAD", headers={"Vary": "Accept, origin", "Allow": LIST}),
    Fact("a HEAD of a docket", "dockets/{docket}/", method="HEAD", headers={"Vary": "Accept, origin", "Allow": DETAIL}),
    Fact(
        "OPTIONS",
        "opinions/",
        method="OPTIONS",
        keys=("name", "description", "renders", "parses", "actions", "filters", "ordering"),
        headers={"Vary": "Accept, origin"},
    ),
    Fact(
        "a list as XML",
        "dockets/?court=ca9&format=xml",
        500,
        headers={"Content-Type": "text/html; charset=utf-8", "Allow": None, "Vary": "origin, Cookie"},
        body_characters=31_789,
    ),
    Fact(
        "a docket as XML",
        "dockets/{docket}/",
        accept="application/xml",
        headers={"Content-Type": "application/xml; charset=utf-8", "Allow": DETAIL, "Vary": "Accept, origin, Cookie"},
    ),
    Fact(
        "a list for people",
        "dockets/?court=ca9",
        accept="text/html",
        headers={"Content-Type": "text/html; charset=utf-8", "Allow": LIST, "Vary": "Accept, Cookie, origin"},
    ),
    Fact("any format will do", "dockets/{docket}/", accept="*/*", headers={"Vary": "Accept, origin, Cookie"}),
    Fact("no Accept header", "dockets/{docket}/", accept=None),
    Fact(
        "a format that is not offered",
        "dockets/{docket}/",
        406,
        _detail("Could not satisfy the request Accept header."),
        accept="text/csv",
        headers={"Content-Type": "application/json"},
    ),
    Fact("a format parameter that is not offered", "dockets/{docket}/?format=csv", 404, _detail("Not found.")),
    Fact(
        "a format parameter against the header",
        "dockets/{docket}/?format=json",
        406,
        _detail("Could not satisfy the request Accept header."),
        accept="text/html",
    ),
    Fact(
        "a blocked account",
        "courts/nysd/?fields=id",
        429,
        _detail("Request was throttled. Your account is currently blocked from making API requests."),
        authorization="Token blocked-token",
        headers={"Retry-After": None, "Allow": DETAIL},
    ),
]

_TEXT, _MAYBE_TEXT, _NUMBER, _MAYBE_NUMBER = (str,), (str, type(None)), (int,), (int, type(None))
_FLAG, _MAYBE_FLAG, _LIST = (bool,), (bool, type(None)), (list,)


def _typed(**keys: tuple[type, ...]) -> dict[str, tuple[type, ...]]:
    return keys


def _all(names: str, types: tuple[type, ...]) -> dict[str, tuple[type, ...]]:
    return dict.fromkeys(names.split(), types)


#: The keys of each endpoint's objects and the types of their values.
OBJECT_TYPES: dict[str, dict[str, tuple[type, ...]]] = {
    "dockets": {
        **_all("resource_uri court court_id absolute_url date_created date_modified", _TEXT),
        **_all("id source docket_number_source", _NUMBER),
        **_all("original_court_info idb_data", (dict, str, type(None))),
        **_all("clusters audio_files tags panel", _LIST),
        **_all("assigned_to referred_to bankruptcy_information appeal_from parent_docket", _MAYBE_TEXT),
        **_all("appeal_from_str assigned_to_str referred_to_str panel_str", _TEXT),
        **_all("date_last_index date_cert_granted date_cert_denied date_argued date_reargued", _MAYBE_TEXT),
        **_all("date_reargument_denied date_filed date_terminated date_last_filing date_blocked", _MAYBE_TEXT),
        **_all(
            "case_name_short case_name case_name_full slug docket_number docket_number_core docket_number_raw", _TEXT
        ),
        **_all("federal_dn_office_code federal_dn_case_type federal_dn_judge_initials_assigned", _TEXT),
        **_all("federal_dn_judge_initials_referred pacer_case_id cause nature_of_suit jury_demand", _TEXT),
        **_all("jurisdiction_type appellate_fee_status appellate_case_type_information mdl_status", _TEXT),
        **_all("filepath_ia filepath_ia_json", _TEXT),
        **_all("federal_defendant_number ia_upload_failure_count", _MAYBE_NUMBER),
        **_typed(ia_needs_upload=_MAYBE_FLAG, ia_date_first_change=_MAYBE_TEXT, blocked=_FLAG),
    },
    "clusters": {
        **_all("resource_uri absolute_url docket date_created date_modified judges date_filed slug", _TEXT),
        **_all("id docket_id citation_count", _NUMBER),
        **_all("panel non_participating_judges sub_opinions citations cluster_redirections", _LIST),
        **_all("date_filed_is_approximate blocked", _FLAG),
        **_all("case_name_short case_name case_name_full scdb_id source procedural_history attorneys", _TEXT),
        **_all("nature_of_suit posture syllabus headnotes summary disposition history other_dates", _TEXT),
        **_all("cross_reference correction precedential_status arguments headmatter", _TEXT),
        **_all("scdb_decision_direction scdb_votes_majority scdb_votes_minority", _MAYBE_NUMBER),
        **_all(
            "date_blocked filepath_json_harvard filepath_pdf_harvard filepath_xml_scan filepath_pdf_scan", _MAYBE_TEXT
        ),
    },
    "opinions": {
        **_all(
            "resource_uri absolute_url cluster date_created date_modified author_str joined_by_str type sha1", _TEXT
        ),
        **_all("id cluster_id", _NUMBER),
        **_all("author_id page_count ordering_key", _MAYBE_NUMBER),
        **_all("author download_url local_path main_version", _MAYBE_TEXT),
        **_all("joined_by opinions_cited", _LIST),
        **_all("per_curiam extracted_by_ocr", _FLAG),
        **_all("plain_text html html_lawbox html_columbia html_anon_2020 xml_harvard xml_scan", _TEXT),
        **_all("html_with_citations", _TEXT),
    },
    "docket-entries": {
        **_all("resource_uri docket date_created date_modified recap_sequence_number description", _TEXT),
        **_typed(id=_NUMBER, recap_documents=_LIST, tags=_LIST, date_filed=_MAYBE_TEXT, time_filed=_MAYBE_TEXT),
        **_all("entry_number pacer_sequence_number", _MAYBE_NUMBER),
    },
    "recap-documents": {
        **_all(
            "resource_uri absolute_url date_created date_modified sha1 filepath_ia plain_text document_number", _TEXT
        ),
        **_all("pacer_doc_id description acms_document_guid", _TEXT),
        **_all("id thumbnail_status document_type", _NUMBER),
        **_all("page_count file_size ia_upload_failure_count ocr_status attachment_number", _MAYBE_NUMBER),
        **_all("filepath_local thumbnail date_upload", _MAYBE_TEXT),
        **_typed(tags=_LIST, is_available=_FLAG, is_free_on_pacer=_MAYBE_FLAG, is_sealed=_MAYBE_FLAG),
    },
    # The recordings hold no audio object: its keys are those of the published model and serializer.
    "audio": {
        **_all("resource_uri absolute_url docket date_created date_modified source case_name_short case_name", _TEXT),
        **_all("case_name_full judges sha1 local_path_mp3 local_path_original_file filepath_ia stt_transcript", _TEXT),
        **_all("id stt_status", _NUMBER),
        **_all("ia_upload_failure_count duration stt_source", _MAYBE_NUMBER),
        **_all("download_url date_blocked", _MAYBE_TEXT),
        **_typed(panel=_LIST, processing_complete=_FLAG, blocked=_FLAG),
    },
    "people": {
        **_all("resource_uri date_created date_modified slug name_first name_middle name_last name_suffix", _TEXT),
        **_all("date_granularity_dob date_granularity_dod dob_city dob_state dob_country dod_city dod_state", _TEXT),
        **_all("dod_country gender religion", _TEXT),
        **_all("race sources aba_ratings educations positions political_affiliations", _LIST),
        **_all("is_alias_of date_completed date_dob date_dod", _MAYBE_TEXT),
        **_all("fjc_id ftm_total_received ftm_eid", _MAYBE_NUMBER),
        **_typed(id=_NUMBER, has_photo=_FLAG),
    },
    "courts": {
        **_all("resource_uri id pacer_rss_entry_types fjc_court_id date_modified citation_string short_name", _TEXT),
        **_all("full_name url jurisdiction", _TEXT),
        **_all("in_use has_opinion_scraper has_oral_argument_scraper", _FLAG),
        **_all("date_last_pacer_contact start_date end_date parent_court", _MAYBE_TEXT),
        **_typed(pacer_court_id=_MAYBE_NUMBER, pacer_has_rss_feed=_MAYBE_FLAG, position=(float,), appeals_to=_LIST),
    },
}

#: The keys of one row of api-usage, in order.
USAGE_KEYS = ("scope", "rate", "used", "limit", "remaining", "window_seconds", "reset_at", "blocked")

#: Requests that cost quota, whatever comes of them, and requests that cost none.
COUNTED = {
    "an answer": ("GET", "dockets/{docket}/"),
    "a parameter that does not fit": ("GET", "dockets/?id=abc"),
    "an object that is not there": ("GET", "dockets/999999/"),
    "a cursor that does not fit": ("GET", "dockets/?cursor=garbage"),
    "HEAD": ("HEAD", "dockets/"),
    "OPTIONS": ("OPTIONS", "dockets/"),
    "a count": ("GET", "dockets/?court=ca9&count=on"),
    "a merged cluster": ("GET", "clusters/{merged}/"),
    "a sealed cluster": ("GET", "clusters/{sealed}/"),
}
NOT_COUNTED = {
    "a method that is not allowed": ("POST", "dockets/"),
    "a list for a few": ("GET", "recap/"),
    "a missing slash": ("GET", "dockets/{docket}"),
    "an unknown address": ("GET", "nosuch/"),
    "api-usage": ("GET", "api-usage/"),
    "a format that is not offered": ("GET", "dockets/{docket}/?format=csv"),
}
