"""Invented bulk data: courts, dockets, decisions and opinions that hang together, in the order of no key.

Belongs here: what rows there are; the same seed makes the same ones. Does not belong here: the form of the files.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from courtlistener_assets.devkit.bulk.prose import prose
from courtlistener_assets.devkit.bulk.writing import Value, write_table

Row = tuple[Value, ...]

_TIMES = ("date_created", "date_modified")
COLUMNS: dict[str, tuple[str, ...]] = {
    "dockets": (
        *("id", *_TIMES, "source", "appeal_from_str", "assigned_to_str", "referred_to_str", "panel_str"),
        *("date_last_index", "date_cert_granted", "date_cert_denied", "date_argued", "date_reargued"),
        *("date_reargument_denied", "date_filed", "date_terminated", "date_last_filing", "case_name_short"),
        *("case_name", "case_name_full", "slug", "docket_number", "docket_number_core", "pacer_case_id", "cause"),
        *("nature_of_suit", "jury_demand", "jurisdiction_type", "appellate_fee_status"),
        *("appellate_case_type_information", "mdl_status", "filepath_local", "filepath_ia", "filepath_ia_json"),
        *("ia_upload_failure_count", "ia_needs_upload", "ia_date_first_change", "view_count", "date_blocked"),
        *("blocked", "appeal_from_id", "assigned_to_id", "court_id", "idb_data_id"),
        *("originating_court_information_id", "referred_to_id", "federal_dn_case_type", "federal_dn_office_code"),
        *("federal_dn_judge_initials_assigned", "federal_dn_judge_initials_referred", "federal_defendant_number"),
        *("parent_docket_id", "docket_number_raw", "docket_number_source"),
    ),
    "opinion-clusters": (
        *("id", *_TIMES, "judges", "date_filed", "date_filed_is_approximate", "slug", "case_name_short", "case_name"),
        *("case_name_full", "scdb_id", "scdb_decision_direction", "scdb_votes_majority", "scdb_votes_minority"),
        *("source", "procedural_history", "attorneys", "nature_of_suit", "posture", "syllabus", "headnotes"),
        *("summary", "disposition", "history", "other_dates", "cross_reference", "correction", "citation_count"),
        *("precedential_status", "date_blocked", "blocked", "filepath_json_harvard", "filepath_pdf_harvard"),
        *("docket_id", "arguments", "headmatter"),
    ),
    "opinions": (
        *("id", *_TIMES, "author_str", "per_curiam", "joined_by_str", "type", "sha1", "page_count", "download_url"),
        *("local_path", "plain_text", "html", "html_lawbox", "html_columbia", "html_anon_2020", "xml_harvard"),
        *("xml_scan", "html_with_citations", "extracted_by_ocr", "author_id", "cluster_id"),
    ),
    "citations": ("id", "volume", "reporter", "page", "type", "cluster_id", *_TIMES),
    "citation-map": ("id", "depth", "cited_opinion_id", "citing_opinion_id"),
    "search_opinioncluster_panel": ("id", "opinioncluster_id", "person_id"),
    "search_opinioncluster_non_participating_judges": ("id", "opinioncluster_id", "person_id"),
    "search_opinion_joined_by": ("id", "opinion_id", "person_id"),
    "originating-court-information": (
        *("id", *_TIMES, "docket_number", "assigned_to_str", "ordering_judge_str", "court_reporter", "date_disposed"),
        *("date_filed", "date_judgment", "date_judgment_eod", "date_filed_noa", "date_received_coa"),
        *("assigned_to_id", "ordering_judge_id", "docket_number_raw"),
    ),
}
#: What every row of a table has, if it is not said otherwise.
_NUMBERS = {"source", "docket_number_source", "view_count", "citation_count"}
_NULLS = ("date_", "ia_", "scdb_votes", "_id", "page_count", "federal_defendant_number", "docket_number_core")
_HOSTILE = ('say "no"', "a\\b", "ends\\", "two\nlines", ',\n"', "\\N", "", "«é» ﷽ 🏛", "tab\t", '\\"\n', "NULL", "\r\n")
#: The longest opinion, in words: some books are one.
_LONGEST = 500_000


@dataclass(frozen=True)
class Size:
    """How much to invent: dockets, decisions for each hundred of them, and the words of an opinion, on average.

    `courts` share the dockets evenly; `first_day` and `days` are when decisions were made. Opinions are cut out of
    `text_words` words: the fewer these are, the better they can be packed.
    """

    dockets: int = 60
    decisions_per_hundred: int = 110
    words: int = 80
    courts: tuple[str, ...] = ("ca9", "scotus", "ca1", "cand")
    first_day: date = date(2014, 1, 1)
    days: int = 4_000
    text_words: int = 20_000


class Invented:
    """The rows of one dump, table by table; each is made anew when it is asked for, so that none is held."""

    def __init__(self, size: Size | None = None, seed: int = 1) -> None:
        self.size, self.seed = size or Size(), seed
        self.decisions = self.size.dockets * self.size.decisions_per_hundred // 100
        self._text = prose(self.size.text_words, seed)

    def write(self, folder: Path, day: date, *, threads: int = 1, stream_bytes: int | None = None) -> None:
        """Write all files of a dump of a day."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, columns in COLUMNS.items():
            write_table(folder, name, day, columns, self.rows(name), threads=threads, stream_bytes=stream_bytes)

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table."""
        makers = {
            "dockets": self._dockets,
            "opinion-clusters": self._clusters,
            "opinions": self._opinions,
            "citations": self._citations,
            "citation-map": self._citation_map,
            "originating-court-information": self._origins,
        }
        maker = makers.get(table)
        return maker() if maker else self._people_of(table)

    def docket_of(self, cluster: int) -> int:
        """The docket of a decision."""
        return 1 + (cluster * 7) % self.size.dockets

    def _dockets(self) -> Iterator[Row]:
        for id, rng in self._shuffled("dockets", self.size.dockets):
            filed = None if id % 5 == 0 else self._day(rng).isoformat()
            yield self._row(
                "dockets",
                rng,
                id=id,
                court_id=self.size.courts[id % len(self.size.courts)],
                date_filed=filed,
                case_name=f"{self._some(rng, 30)} {id} v. {rng.choice(_HOSTILE)} Roe",
                slug=f"{self._some(rng, 30).replace(' ', '-')}-{id}",
                docket_number=f"{id % 100:02}-{id}",
                assigned_to_id=rng.choice((None, id % 50 + 1)),
                originating_court_information_id=id if id % 3 == 0 else None,
                pacer_case_id=str(id) if id % 2 else None,
                blocked=id % 17 == 0,
            )

    def _clusters(self) -> Iterator[Row]:
        for id, rng in self._shuffled("clusters", self.decisions):
            yield self._row(
                "opinion-clusters",
                rng,
                id=id,
                docket_id=self.docket_of(id),
                date_filed=self._day(rng).isoformat(),
                date_filed_is_approximate=id % 9 == 0,
                slug=f"c-{id}",
                case_name=f"{self._some(rng, 30)} {id} v. Roe",
                attorneys=self._some(rng, self.size.words // 4),
                headmatter="" if id % 3 else self._some(rng, self.size.words // 2),
                judges=rng.choice(_HOSTILE),
                source="C",
                precedential_status=rng.choice(("Published", "Unpublished")),
                citation_count=id % 40,
                scdb_votes_majority=id % 9 if id % 4 == 0 else None,
            )

    def _opinions(self) -> Iterator[Row]:
        for id, rng in self._shuffled("opinions", self.decisions * 3 // 2):
            text = self._prose(rng)
            yield self._row(
                "opinions",
                rng,
                id=id,
                cluster_id=1 + (id - 1) % self.decisions,
                type="010combined" if id <= self.decisions else "040dissent",
                sha1=f"{rng.getrandbits(160):040x}",
                plain_text=text,
                html_with_citations=f'<pre class="inline">{text}</pre>' if id % 10 else "",
                page_count=id % 60 if id % 3 else None,
                author_id=rng.choice((None, id % 50 + 1)),
                extracted_by_ocr=id % 8 == 0,
            )

    def _citations(self) -> Iterator[Row]:
        for id, rng in self._shuffled("citations", self.decisions):
            yield self._row("citations", rng, id=id, volume=str(id), reporter="F.3d", page="1", type=1, cluster_id=id)

    def _citation_map(self) -> Iterator[Row]:
        opinions = self.decisions * 3 // 2
        for id, rng in self._shuffled("citation-map", opinions * 2):
            yield id, rng.randrange(1, 9), rng.randrange(opinions) + 1, 1 + (id - 1) // 2

    def _origins(self) -> Iterator[Row]:
        for id, rng in self._shuffled("origins", self.size.dockets):
            if id % 3 == 0:
                yield self._row("originating-court-information", rng, id=id, docket_number=f"1:20-cv-{id}")

    def _people_of(self, table: str) -> Iterator[Row]:
        owners = self.decisions if "cluster" in table else self.decisions * 3 // 2
        for id, rng in self._shuffled(table, owners):
            yield id, 1 + (id - 1) // 2, rng.randrange(50) + 1

    def _row(self, table: str, rng: random.Random, **values: Value) -> Row:
        modified = self._day(rng)
        times = {
            "date_created": f"{modified - timedelta(days=30)} 08:00:00+00",
            "date_modified": f"{modified} 18:20:{rng.randrange(60):02}.{rng.randrange(10**6):06}+00",
        }
        return tuple({**times, **values}[name] if name in {**times, **values} else _usual(name)
                     for name in COLUMNS[table])  # fmt: skip

    def _day(self, rng: random.Random) -> date:
        return self.size.first_day + timedelta(days=rng.randrange(self.size.days))

    def _shuffled(self, table: str, count: int) -> Iterator[tuple[int, random.Random]]:
        """All ids up to a number, in an order that nothing relies upon, each with numbers of its own."""
        rng = random.Random(f"{self.seed} {table}")
        for start in range(1, count + 1, 1_000):
            ids = list(range(start, min(start + 1_000, count + 1)))
            rng.shuffle(ids)
            for id in ids:
                yield id, rng

    def _some(self, rng: random.Random, length: int) -> str:
        at = rng.randrange(len(self._text) // 2)
        return self._text[at : at + length]

    def _prose(self, rng: random.Random) -> str:
        """The text of an opinion: most are short, a few very long, and each has something hostile in it."""
        size = 6 * min(_LONGEST, int(self.size.words * rng.lognormvariate(-0.5, 1)))
        text = ""
        while len(text) <= size:
            text += self._some(rng, size - len(text)) + rng.choice(_HOSTILE) + "."
        return text


def _usual(name: str) -> Value:
    if name in _NUMBERS:
        return 0
    if name in ("blocked", "per_curiam", "date_filed_is_approximate", "extracted_by_ocr"):
        return False
    return None if name.startswith(_NULLS) or name.endswith(_NULLS) else ""


def write_rows(folder: Path, table: str, day: date, rows: Iterable[Sequence[Value]]) -> Path:
    """Write a table's file from rows with the columns of ours."""
    return write_table(folder, table, day, COLUMNS[table], rows)
