"""The world of a round: a small corpus behind a simulator, its clock, and in every text a word that no other text has.

Belongs here: which courts and months there are, what a round begins with, and how one more object is made. Does not
belong here: changes (`changes.py`), what belongs to which partition (`oracle.py`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from courtlistener_assets.devkit.simulator import prose, shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.markup import TEXT_FIELDS, plain_text
from courtlistener_assets.devkit.simulator.shapes import Record, key_of

#: The courts of the location, and one more that the server has.
COURTS, OTHER_COURT = ("scotus", "ca9", "cand"), "ca1"
#: Downloaded at the start of a round; before the location's first month; a month of it that is downloaded at the end.
MONTHS, BEFORE, LATER = ("2024-02", "2024-03", "2024-04"), "2024-01", "2024-05"
#: Where a slip of the pen puts a decision: no partition has it.
FAR = "2041-03"
#: The clock of the server when a round begins. It stays behind the real one, and so do all watermarks.
BEGINNING = datetime(2025, 6, 2, 6, 0, tzinfo=UTC)

ENDPOINTS = {
    "dockets": "dockets",
    "clusters": "clusters",
    "opinions": "opinions",
    "docket_entries": "docket-entries",
    "recap_documents": "recap-documents",
}
#: A word that marks one text; as letters only, since a cleaner may take digits for furniture of the page.
MARK = re.compile(r"zq[a-z]{6}qz")


@dataclass(frozen=True, order=True)
class Key:
    """One object: the name of its stream and its id."""

    stream: str
    id: int

    def __str__(self) -> str:
        return f"{self.stream} {self.id}"


class Clock:
    """The server's time in seconds since 1970; it passes when the round says so."""

    def __init__(self, start: datetime = BEGINNING) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now.timestamp()

    def advance(self, delta: timedelta) -> None:
        self.now += delta


@dataclass
class World:
    """A corpus, and the chance that decides everything in it."""

    seed: int
    chance: random.Random
    clock: Clock
    corpus: Corpus
    last_ids: dict[str, int] = field(default_factory=dict)
    marks: int = 0

    def new_id(self, stream: str) -> int:
        """Ids rise and leave gaps."""
        self.last_ids[stream] = self.last_ids.get(stream, 100) + self.chance.choice((1, 1, 1, 2, 4))
        return self.last_ids[stream]

    def mark(self) -> str:
        """A word that no other text has."""
        self.marks += 1
        number, letters = self.marks, ""
        for _ in range(6):
            number, digit = divmod(number, 26)
            letters = chr(ord("a") + digit) + letters
        return f"zq{letters}qz"

    def day(self, month: str) -> str:
        return f"{month}-{self.chance.randrange(1, 29):02d}"

    def sentence(self) -> str:
        """One sentence with a mark of its own."""
        return f"{prose.surname(self.chance)} relies on the matter of {self.mark()} for that."

    def paragraphs(self) -> list[str]:
        found = prose.paragraphs(self.chance, self.chance.randrange(200, 900))
        return [found[0], self.sentence(), *found[1:]]

    def opinion_text(self) -> dict[str, str]:
        """The texts of an opinion, one of them filled; a preferred one may hold white space only."""
        name = self.chance.choice(list(TEXT_FIELDS))
        texts = dict.fromkeys(TEXT_FIELDS, "") | {name: TEXT_FIELDS[name](self.paragraphs())}
        if name != "html_with_citations" and self.chance.random() < 0.1:
            texts["html_with_citations"] = " \n"
        return texts

    def document_text(self) -> dict[str, Any]:
        return {"plain_text": plain_text(self.paragraphs()), "is_available": True, "ocr_status": 2}

    # --- objects; each is added to the corpus and has `moment` for its dates

    def add_docket(self, court: str, filed: str | None, moment: datetime) -> Key:
        id = self.new_id("dockets")
        docket = shapes.docket(
            id, court, prose.case_name(self.chance), moment, date_filed=filed, docket_number=f"{id}-{court}",
            cause=self.sentence(),
        )  # fmt: skip
        self.corpus.add("dockets", docket)
        return Key("dockets", id)

    def add_cluster(self, docket_id: int, day: str, moment: datetime) -> Key:
        id, docket = self.new_id("clusters"), self.record(Key("dockets", docket_id))
        cited = shapes.citation(str(id), "F.4th", str(self.chance.randrange(1, 999)), moment)
        cluster = shapes.cluster(
            id, docket_id, docket["case_name"], moment, date_filed=day, citations=[cited], syllabus=self.sentence(),
        )  # fmt: skip
        self.corpus.add("clusters", cluster)
        return Key("clusters", id)

    def add_opinion(self, cluster_id: int, moment: datetime) -> Key:
        id = self.new_id("opinions")
        texts = self.opinion_text() if self.chance.random() < 0.9 else {}
        opinion = shapes.opinion(id, cluster_id, moment, author_str=prose.surname(self.chance), sha1=f"{id:040x}")
        self.corpus.add("opinions", opinion | texts)
        return Key("opinions", id)

    def add_entry(self, docket_id: int, moment: datetime, documents: int) -> Key:
        id = self.new_id("docket_entries")
        entry = shapes.docket_entry(
            id, docket_id, moment, date_filed=self.day(self.chance.choice(MONTHS)), entry_number=id,
            description=self.sentence(), recap_documents=[self.new_document(moment) for _ in range(documents)],
        )  # fmt: skip
        self.corpus.add("docket-entries", entry)
        return Key("docket_entries", id)

    def new_document(self, moment: datetime) -> Record:
        """A document that is in no entry yet; half of them have text."""
        id = self.new_id("recap_documents")
        document = shapes.recap_document(id, moment, document_number=str(id), description=self.sentence())
        return document | (self.document_text() if self.chance.random() < 0.5 else {})

    # --- reading

    def record(self, key: Key) -> Record:
        """The object; raises KeyError if the server does not have it."""
        found = self.corpus.get(ENDPOINTS[key.stream], key.id)
        if found is None:
            raise KeyError(str(key))
        return found

    def keys(self, stream: str) -> list[Key]:
        return [Key(stream, record["id"]) for record in self.corpus.table(ENDPOINTS[stream])]


def new_world(seed: int) -> World:
    """The corpus with which a round begins; everything in it is older than the round."""
    clock = Clock()
    world = World(seed, random.Random(f"truth {seed}"), clock, Corpus(clock))
    for record in shapes.known_courts():
        world.corpus.add("courts", record)
    for court in (*COURTS, OTHER_COURT):
        for month in (BEFORE, *MONTHS, LATER):
            _add_month(world, court, month, filed=4 if month in MONTHS else 2)
        for _ in range(3):
            _add_filings(world, world.add_docket(court, None, _old(world, BEFORE)), 2)
        world.add_docket(court, None, _old(world, BEFORE))
        far = world.add_docket(court, None, _old(world, MONTHS[0]))
        _add_decision(world, far, world.day(FAR))
    _add_crowd(world)
    return world


def _add_month(world: World, court: str, month: str, filed: int) -> None:
    for number in range(filed):
        docket = world.add_docket(court, world.day(month), _old(world, month))
        _add_filings(world, docket, world.chance.randrange(0, 4))
        if number % 2:
            _add_decision(world, docket, world.day(world.chance.choice((*MONTHS, LATER))))
    for _ in range(2):
        _add_decision(world, world.add_docket(court, None, _old(world, month)), world.day(month))


def _add_crowd(world: World) -> None:
    """A docket with more entries, one with more decisions and a month with more dockets than a page holds."""
    docket = world.add_docket(COURTS[0], world.day(MONTHS[0]), _old(world, MONTHS[0]))
    _add_filings(world, docket, 24)
    docket = world.add_docket(COURTS[1], None, _old(world, MONTHS[1]))
    for _ in range(22):
        _add_decision(world, docket, world.day(MONTHS[1]))
    for _ in range(20):
        world.add_docket(COURTS[2], world.day(MONTHS[2]), _old(world, MONTHS[2]))


def _add_decision(world: World, docket: Key, day: str) -> None:
    cluster = world.add_cluster(docket.id, day, _old(world, day[:7]))
    for _ in range(world.chance.choice((1, 1, 2))):
        world.add_opinion(cluster.id, _old(world, day[:7]))


def _add_filings(world: World, docket: Key, count: int) -> None:
    for _ in range(count):
        world.add_entry(docket.id, _old(world, MONTHS[0]), world.chance.choice((0, 1, 1, 2)))


def _old(world: World, month: str) -> datetime:
    """Some moment before the round began."""
    first = date.fromisoformat(f"{min(month, LATER)}-01")
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return start + timedelta(seconds=world.chance.randrange(30 * 86_400))


def parent_of(world: World, key: Key) -> Key | None:
    """What an object hangs on: the docket of a cluster or entry, the cluster of an opinion, the entry of a document."""
    record = world.record(key)
    match key.stream:
        case "clusters":
            return Key("dockets", record["docket_id"])
        case "opinions":
            return Key("clusters", record["cluster_id"])
        case "docket_entries":
            return Key("dockets", key_of(record["docket"]))
        case "recap_documents":
            return Key("docket_entries", int(world.corpus.parent_key("recap-documents", "docket_entry", record)))
    return None


def page_count(rows: Sequence[object] | int) -> int:
    """Requests for so many rows: pages of 20, and one where there are none."""
    number = rows if isinstance(rows, int) else len(rows)
    return max(1, -(-number // 20))
