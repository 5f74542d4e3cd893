"""The objects of the API: every key, in the server's order, with the value it has when nothing is known.

Belongs here: shapes. Does not belong here: which objects exist (`generator.py`, `opinions_file.py`).
Addresses inside an object start with `ORIGIN`; the server replaces it by the host that the client asked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from courtlistener_assets.devkit.simulator.pacific import pacific_text

Record = dict[str, Any]

#: Stands for the server in stored objects.
ORIGIN = "http://courtlistener.simulator"
API_ROOT = "/api/rest/v4/"


def address(endpoint: str, key: int | str) -> str:
    """The address of an object, as other objects refer to it."""
    return f"{ORIGIN}{API_ROOT}{endpoint}/{key}/"


def key_of(url: str) -> int:
    """The id at the end of an address."""
    return int(url.rstrip("/").rpartition("/")[2])


def slug_of(case_name: str) -> str:
    """The case name as it stands in addresses, `roe-v-wade`."""
    words = "".join(letter if letter.isalnum() or letter in " -" else "" for letter in case_name.lower()).split()
    return "-".join(words)[:75]


def _filled(shape: Record, changes: Record) -> Record:
    unknown = changes.keys() - shape.keys()
    if unknown:
        raise KeyError(f"no such key: {', '.join(sorted(unknown))}")
    return shape | changes


def court(court_id: str, **changes: Any) -> Record:
    """A court; `changes` are keys of the shape."""
    shape: Record = {
        "resource_uri": address("courts", court_id), "id": court_id, "pacer_court_id": None, "pacer_has_rss_feed": None,
        "pacer_rss_entry_types": "", "date_last_pacer_contact": None, "fjc_court_id": "",
        "date_modified": "2013-10-22T08:54:04.692000-07:00", "in_use": True, "has_opinion_scraper": False,
        "has_oral_argument_scraper": False, "position": 900.0, "citation_string": court_id, "short_name": court_id,
        "full_name": court_id, "url": "", "start_date": None, "end_date": None, "jurisdiction": "FD",
        "parent_court": None, "appeals_to": [],
    }  # fmt: skip
    return _filled(shape, changes)


def docket(docket_id: int, court_id: str, case_name: str, modified: datetime, **changes: Any) -> Record:
    """A docket without clusters; a cluster that is added to a corpus enters itself."""
    slug = slug_of(case_name)
    shape = {
        "resource_uri": address("dockets", docket_id), "id": docket_id, "court": address("courts", court_id),
        "court_id": court_id, "original_court_info": None, "idb_data": None, "clusters": [], "audio_files": [],
        "assigned_to": None, "referred_to": None, "bankruptcy_information": None,
        "absolute_url": f"/docket/{docket_id}/{slug}/", "date_created": pacific_text(modified),
        "date_modified": pacific_text(modified), "source": 2, "appeal_from_str": "", "assigned_to_str": "",
        "referred_to_str": "", "panel_str": "", "date_last_index": None, "date_cert_granted": None,
        "date_cert_denied": None, "date_argued": None, "date_reargued": None, "date_reargument_denied": None,
        "date_filed": None, "date_terminated": None, "date_last_filing": None, "case_name_short": "",
        "case_name": case_name, "case_name_full": "", "slug": slug, "docket_number": "", "docket_number_core": "",
        "docket_number_raw": "", "docket_number_source": 0, "federal_dn_office_code": "", "federal_dn_case_type": "",
        "federal_dn_judge_initials_assigned": "", "federal_dn_judge_initials_referred": "",
        "federal_defendant_number": None, "pacer_case_id": "", "cause": "", "nature_of_suit": "", "jury_demand": "",
        "jurisdiction_type": "", "appellate_fee_status": "", "appellate_case_type_information": "", "mdl_status": "",
        "filepath_ia": "", "filepath_ia_json": "", "ia_upload_failure_count": None, "ia_needs_upload": None,
        "ia_date_first_change": None, "date_blocked": None, "blocked": False, "appeal_from": None,
        "parent_docket": None, "tags": [], "panel": [],
    }  # fmt: skip
    return _filled(shape, changes)


def cluster(cluster_id: int, docket_id: int, case_name: str, modified: datetime, **changes: Any) -> Record:
    """A decision; needs a `date_filed` to be like the server's, where it is never null."""
    slug = slug_of(case_name)
    shape = {
        "resource_uri": address("clusters", cluster_id), "id": cluster_id,
        "absolute_url": f"/opinion/{cluster_id}/{slug}/", "panel": [], "non_participating_judges": [],
        "docket_id": docket_id, "docket": address("dockets", docket_id), "sub_opinions": [], "citations": [],
        "cluster_redirections": [], "date_created": pacific_text(modified), "date_modified": pacific_text(modified),
        "judges": "", "date_filed": None, "date_filed_is_approximate": False, "slug": slug, "case_name_short": "",
        "case_name": case_name, "case_name_full": "", "scdb_id": "", "scdb_decision_direction": None,
        "scdb_votes_majority": None, "scdb_votes_minority": None, "source": "C", "procedural_history": "",
        "attorneys": "", "nature_of_suit": "", "posture": "", "syllabus": "", "headnotes": "", "summary": "",
        "disposition": "", "history": "", "other_dates": "", "cross_reference": "", "correction": "",
        "citation_count": 0, "precedential_status": "Published", "date_blocked": None, "blocked": False,
        "filepath_json_harvard": None, "filepath_pdf_harvard": None, "filepath_xml_scan": None,
        "filepath_pdf_scan": None, "arguments": "", "headmatter": "",
    }  # fmt: skip
    return _filled(shape, changes)


def citation(volume: str, reporter: str, page: str, modified: datetime) -> Record:
    """A citation inside a cluster's `citations`."""
    moment = pacific_text(modified)
    return {"date_created": moment, "date_modified": moment, "volume": volume, "reporter": reporter, "page": page,
            "type": 1}  # fmt: skip


def redirection(deleted_cluster_id: int, modified: datetime) -> Record:
    """An entry of `cluster_redirections` in the cluster that another one was merged into."""
    return {"date_created": pacific_text(modified), "deleted_cluster_id": deleted_cluster_id, "reason": 2}


def opinion(opinion_id: int, cluster_id: int, modified: datetime, **changes: Any) -> Record:
    """An opinion without text."""
    shape = {
        "resource_uri": address("opinions", opinion_id), "id": opinion_id, "absolute_url": f"/opinion/{cluster_id}/",
        "cluster_id": cluster_id, "cluster": address("clusters", cluster_id), "author_id": None, "author": None,
        "joined_by": [], "date_created": pacific_text(modified), "date_modified": pacific_text(modified),
        "author_str": "", "per_curiam": False, "joined_by_str": "", "type": "010combined", "sha1": "",
        "page_count": None, "download_url": None, "local_path": None, "plain_text": "", "html": "", "html_lawbox": "",
        "html_columbia": "", "html_anon_2020": "", "xml_harvard": "", "xml_scan": "", "html_with_citations": "",
        "extracted_by_ocr": False, "ordering_key": None, "main_version": None, "opinions_cited": [],
    }  # fmt: skip
    return _filled(shape, changes)


def docket_entry(entry_id: int, docket_id: int, modified: datetime, **changes: Any) -> Record:
    """An entry of a docket, its documents nested in `recap_documents`."""
    shape = {
        "resource_uri": address("docket-entries", entry_id), "id": entry_id, "docket": address("dockets", docket_id),
        "recap_documents": [], "date_created": pacific_text(modified), "date_modified": pacific_text(modified),
        "date_filed": None, "time_filed": None, "entry_number": None, "recap_sequence_number": "",
        "pacer_sequence_number": None, "description": "", "tags": [],
    }  # fmt: skip
    return _filled(shape, changes)


def recap_document(document_id: int, modified: datetime, **changes: Any) -> Record:
    """A filed document; by itself it does not name its entry or docket."""
    shape = {
        "resource_uri": address("recap-documents", document_id), "id": document_id, "tags": [], "absolute_url": "",
        "date_created": pacific_text(modified), "date_modified": pacific_text(modified), "sha1": "",
        "page_count": None, "file_size": None, "filepath_local": None, "filepath_ia": "",
        "ia_upload_failure_count": None, "thumbnail": None, "thumbnail_status": 0, "plain_text": "",
        "ocr_status": None, "date_upload": None, "document_number": "", "attachment_number": None, "pacer_doc_id": "",
        "is_available": False, "is_free_on_pacer": None, "is_sealed": None, "document_type": 1, "description": "",
        "acms_document_guid": "",
    }  # fmt: skip
    return _filled(shape, changes)
