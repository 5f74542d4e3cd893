"""The objects of the API: every key, in the server's order, with the value it has when nothing is known.

Belongs here: shapes, and the courts that the server knows. Does not belong here: which other objects exist
(`generator.py`, `opinions_file.py`).
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
    """Return the address of an object, as other objects refer to it."""
    return f"{ORIGIN}{API_ROOT}{endpoint}/{key}/"


def key_of(url: str) -> int:
    """Return the id at the end of an address."""
    return int(url.rstrip("/").rpartition("/")[2])


def slug_of(case_name: str) -> str:
    """Return the case name as it stands in addresses, `roe-v-wade`."""
    words = "".join(letter if letter.isalnum() or letter in " -" else "" for letter in case_name.lower()).split()
    return "-".join(words)[:75]


def _filled(shape: Record, changes: Record) -> Record:
    unknown = changes.keys() - shape.keys()
    if unknown:
        raise KeyError(f"no such key: {', '.join(sorted(unknown))}")
    return shape | changes


def court(court_id: str, **changes: Any) -> Record:
    """Return a court; `changes` are keys of the shape."""
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
    """Return a docket without clusters; a cluster that is added to a corpus enters itself."""
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
    """Return a decision; needs a `date_filed` to be like the server's, where it is never null."""
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
    """Return a citation inside a cluster's `citations`."""
    moment = pacific_text(modified)
    return {"date_created": moment, "date_modified": moment, "volume": volume, "reporter": reporter, "page": page,
            "type": 1}  # fmt: skip


def redirection(deleted_cluster_id: int, modified: datetime) -> Record:
    """Return an entry of `cluster_redirections` in the cluster that another one was merged into."""
    return {"date_created": pacific_text(modified), "deleted_cluster_id": deleted_cluster_id, "reason": 2}


def opinion(opinion_id: int, cluster_id: int, modified: datetime, **changes: Any) -> Record:
    """Return an opinion without text."""
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


def audio(audio_id: int, docket: Record, modified: datetime, **changes: Any) -> Record:
    """Return a recording of an oral argument without transcript; it has the names of its docket's case."""
    shape = {
        "resource_uri": address("audio", audio_id), "id": audio_id,
        "absolute_url": f"/audio/{audio_id}/{docket['slug']}/", "panel": [], "docket": docket["resource_uri"],
        "date_created": pacific_text(modified), "date_modified": pacific_text(modified), "source": "C",
        "case_name_short": docket["case_name_short"], "case_name": docket["case_name"], "case_name_full": "",
        "judges": "", "sha1": "", "download_url": None, "local_path_mp3": "", "local_path_original_file": "",
        "filepath_ia": "", "ia_upload_failure_count": None, "duration": None, "processing_complete": False,
        "date_blocked": None, "blocked": False, "stt_status": 0, "stt_source": None, "stt_transcript": "",
    }  # fmt: skip
    return _filled(shape, changes)


def person(person_id: int, modified: datetime, **changes: Any) -> Record:
    """Return a judge, or someone else who is known as a person."""
    shape = {
        "resource_uri": address("people", person_id), "id": person_id, "race": [], "sources": [], "aba_ratings": [],
        "educations": [], "positions": [], "political_affiliations": [], "is_alias_of": None,
        "date_created": pacific_text(modified), "date_modified": pacific_text(modified), "date_completed": None,
        "fjc_id": None, "slug": "", "name_first": "", "name_middle": "", "name_last": "", "name_suffix": "",
        "date_dob": None, "date_granularity_dob": "", "date_dod": None, "date_granularity_dod": "", "dob_city": "",
        "dob_state": "", "dob_country": "United States", "dod_city": "", "dod_state": "",
        "dod_country": "United States", "gender": "", "religion": "", "ftm_total_received": None, "ftm_eid": None,
        "has_photo": False,
    }  # fmt: skip
    return _filled(shape, changes)


def docket_entry(entry_id: int, docket_id: int, modified: datetime, **changes: Any) -> Record:
    """Return an entry of a docket, its documents nested in `recap_documents`."""
    shape = {
        "resource_uri": address("docket-entries", entry_id), "id": entry_id, "docket": address("dockets", docket_id),
        "recap_documents": [], "date_created": pacific_text(modified), "date_modified": pacific_text(modified),
        "date_filed": None, "time_filed": None, "entry_number": None, "recap_sequence_number": "",
        "pacer_sequence_number": None, "description": "", "tags": [],
    }  # fmt: skip
    return _filled(shape, changes)


def recap_document(document_id: int, modified: datetime, **changes: Any) -> Record:
    """Return a filed document; by itself it does not name its entry or docket."""
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


def tag(tag_id: int, name: str, modified: datetime) -> Record:
    """Return a tag that dockets, entries and documents may have in their `tags`."""
    moment = pacific_text(modified)
    return {"resource_uri": address("tag", tag_id), "id": tag_id, "date_created": moment, "date_modified": moment,
            "name": name}  # fmt: skip


# --- courts

_CIRCUITS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth", "Eleventh")
_DISTRICTS = {
    "nysd": ("S.D.N.Y.", "S.D. New York", 127), "nyed": ("E.D.N.Y", "E.D. New York", 123),
    "cand": ("N.D. Cal.", "N.D. California", 63), "cacd": ("C.D. Cal.", "C.D. California", 60),
    "dcd": ("D.D.C.", "District of Columbia", 84), "ilnd": ("N.D. Ill.", "N.D. Illinois", 96),
    "txsd": ("S.D. Tex.", "S.D. Texas", 155), "mad": ("D. Mass.", "D. Massachusetts", 109),
}  # fmt: skip
#: The states and territories with their districts: north, south, east, west, middle, central; "": the only one.
_STATES = {
    "al": ("Ala.", "Alabama", "mns"), "ak": ("Alaska", "Alaska", ""), "az": ("Ariz.", "Arizona", ""),
    "ar": ("Ark.", "Arkansas", "ew"), "ca": ("Cal.", "California", "cens"), "co": ("Colo.", "Colorado", ""),
    "ct": ("Conn.", "Connecticut", ""), "de": ("Del.", "Delaware", ""), "fl": ("Fla.", "Florida", "mns"),
    "ga": ("Ga.", "Georgia", "mns"), "gu": ("Guam", "Guam", ""), "hi": ("Haw.", "Hawaii", ""),
    "id": ("Idaho", "Idaho", ""), "il": ("Ill.", "Illinois", "cns"), "in": ("Ind.", "Indiana", "ns"),
    "ia": ("Iowa", "Iowa", "ns"), "ks": ("Kan.", "Kansas", ""), "ky": ("Ky.", "Kentucky", "ew"),
    "la": ("La.", "Louisiana", "emw"), "me": ("Me.", "Maine", ""), "md": ("Md.", "Maryland", ""),
    "mi": ("Mich.", "Michigan", "ew"), "mn": ("Minn.", "Minnesota", ""), "ms": ("Miss.", "Mississippi", "ns"),
    "mo": ("Mo.", "Missouri", "ew"), "mt": ("Mont.", "Montana", ""), "ne": ("Neb.", "Nebraska", ""),
    "nv": ("Nev.", "Nevada", ""), "nh": ("N.H.", "New Hampshire", ""), "nj": ("N.J.", "New Jersey", ""),
    "nm": ("N.M.", "New Mexico", ""), "ny": ("N.Y.", "New York", "ensw"), "nc": ("N.C.", "North Carolina", "emw"),
    "nd": ("N.D.", "North Dakota", ""), "nmi": ("N. Mar. I.", "Northern Mariana Islands", ""),
    "oh": ("Ohio", "Ohio", "ns"), "ok": ("Okla.", "Oklahoma", "enw"), "or": ("Or.", "Oregon", ""),
    "pa": ("Pa.", "Pennsylvania", "emw"), "pr": ("P.R.", "Puerto Rico", ""), "ri": ("R.I.", "Rhode Island", ""),
    "sc": ("S.C.", "South Carolina", ""), "sd": ("S.D.", "South Dakota", ""), "tn": ("Tenn.", "Tennessee", "emw"),
    "tx": ("Tex.", "Texas", "ensw"), "ut": ("Utah", "Utah", ""), "vt": ("Vt.", "Vermont", ""),
    "vi": ("V.I.", "Virgin Islands", ""), "va": ("Va.", "Virginia", "ew"), "wa": ("Wash.", "Washington", "ew"),
    "wv": ("W. Va.", "West Virginia", "ns"), "wi": ("Wis.", "Wisconsin", "ew"), "wy": ("Wyo.", "Wyoming", ""),
}  # fmt: skip
_ORDINALS = ("1st", "2d", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th", "11th")


def known_courts() -> list[Record]:
    """Return the Supreme Court, the courts of appeals and the 94 district courts, by position."""
    supreme = court(
        "scotus", position=1.0, citation_string="SCOTUS", short_name="Supreme Court", jurisdiction="F",
        full_name="Supreme Court of the United States", url="http://supremecourt.gov/", start_date="1789-09-24",
        has_opinion_scraper=True, has_oral_argument_scraper=True,
    )  # fmt: skip
    circuits = [_circuit(f"ca{n + 1}", _ORDINALS[n], f"{name} Circuit", 2.0 + n) for n, name in enumerate(_CIRCUITS)]
    circuits.append(_circuit("cadc", "D.C.", "District of Columbia Circuit", 13.0))
    circuits.append(_circuit("cafc", "Fed.", "Federal Circuit", 14.0))
    districts = [
        court(
            court_id, position=200.0 + n, citation_string=cited, short_name=name, full_name=f"District Court, {name}",
            pacer_court_id=number, url=f"http://www.{court_id}.uscourts.gov/",
        )
        for n, (court_id, (cited, name, number)) in enumerate(_districts().items())
    ]  # fmt: skip
    return [supreme, *circuits, *districts]


def _districts() -> dict[str, tuple[str, str, int | None]]:
    """Return citation, name and number at PACER (where it is known) of the 94 district courts by their ids."""
    found: dict[str, tuple[str, str, int | None]] = dict(_DISTRICTS)
    for state, (cited, name, districts) in _STATES.items():
        for part in list(districts) or [""]:
            which = f"{part.upper()}.D." if part else "D."
            found.setdefault(f"{state}{part}d", (f"{which} {cited}", f"{which} {name}", None))
    return found


def _circuit(court_id: str, ordinal: str, name: str, position: float) -> Record:
    return court(
        court_id, position=position, citation_string=f"{ordinal} Cir.", short_name=name, jurisdiction="F",
        full_name=f"Court of Appeals for the {name}", url=f"http://www.{court_id}.uscourts.gov/",
        has_opinion_scraper=True, has_oral_argument_scraper=True,
    )  # fmt: skip
