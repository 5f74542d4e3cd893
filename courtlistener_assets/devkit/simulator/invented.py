"""Invented decisions, filings, oral arguments and people, the hard ones included.

Belongs here: what hangs on a docket, and the numbers and times it is drawn from. Does not belong here: dockets
(`generator.py`), shapes (`shapes.py`), words (`prose.py`) and formats (`markup.py`).
"""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime, timedelta

from courtlistener_assets.devkit.simulator import prose, shapes
from courtlistener_assets.devkit.simulator.corpus import Corpus
from courtlistener_assets.devkit.simulator.markup import TEXT_FIELDS, html_pre, plain_text
from courtlistener_assets.devkit.simulator.pacific import pacific_text
from courtlistener_assets.devkit.simulator.shapes import Record, address

#: Of prose; the markup makes it about 120,000.
_LONG_CHARACTERS = 112_000
_USUAL_CHARACTERS = (1_500, 9_000)
_FIELD_WEIGHTS = {"html_with_citations": 40, "xml_harvard": 12, "html_columbia": 8, "html_lawbox": 8,
                  "html_anon_2020": 6, "html": 8, "plain_text": 18}  # fmt: skip
_BLANKS = (" \n\t\n ", "\f", "\u00a0 \n")
_TEXTLESS, _VERSIONS = 3, 5
_MERGED, _SEALED = (900_001, 900_003, 900_005), (900_002, 900_004)
_ARGUED_EVERY, _PEOPLE = 3, 45


class Draws:
    """Chance with a memory of the last id of each endpoint."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._last_ids: dict[str, int] = {}

    def next_id(self, endpoint: str) -> int:
        """Ids start with 1, rise, and leave gaps."""
        step = self.chance.choice((1, 1, 1, 2, 5)) if endpoint in self._last_ids else 1
        self._last_ids[endpoint] = self._last_ids.get(endpoint, 0) + step
        return self._last_ids[endpoint]

    def day(self, month: str) -> date:
        """Return a day of a month, `2024-01`."""
        return date.fromisoformat(f"{month}-{self.chance.randrange(1, 29):02d}")

    def moment(self, day: date) -> datetime:
        """Return when the server heard of what happened on a day: on the next one."""
        seconds, microseconds = self.chance.randrange(86_400), self.chance.randrange(1, 1_000_000)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return midnight + timedelta(days=1, seconds=seconds, microseconds=microseconds)


# --- decisions


def add_cluster(corpus: Corpus, draws: Draws, docket: Record, day: date) -> None:
    """Add a decision of a day with one to three opinions."""
    chance, moment, cluster_id = draws.chance, draws.moment(day), draws.next_id("clusters")
    cited = shapes.citation(str(chance.randrange(90, 120)), "F.4th", str(chance.randrange(1, 1400)), moment)
    cluster = shapes.cluster(
        cluster_id, docket["id"], docket["case_name"], moment,
        date_filed=day.isoformat(), judges=f"{prose.surname(chance)}, {prose.surname(chance)}",
        case_name_short=docket["case_name_short"], citations=[cited] if chance.random() < 0.7 else [],
        citation_count=chance.randrange(0, 40),
        precedential_status="Published" if chance.random() < 0.8 else "Unpublished",
    )  # fmt: skip
    corpus.add("clusters", cluster)
    luck = chance.random()
    types = ["010combined"] if luck < 0.72 else ["020lead", "040dissent"]
    for opinion_type in types + (["030concurrence"] if luck > 0.9 else []):
        _add_opinion(corpus, draws, cluster, moment, type=opinion_type)


def _add_opinion(corpus: Corpus, draws: Draws, cluster: Record, moment: datetime, **changes: object) -> None:
    chance, opinion_id = draws.chance, draws.next_id("opinions")
    field = chance.choices(list(_FIELD_WEIGHTS), list(_FIELD_WEIGHTS.values()))[0]
    write = html_pre if field == "html_with_citations" and chance.random() < 0.3 else TEXT_FIELDS[field]
    text = write(prose.paragraphs(chance, chance.randrange(*_USUAL_CHARACTERS)))
    opinion = shapes.opinion(
        opinion_id, cluster["id"], moment, absolute_url=cluster["absolute_url"],
        author_str=prose.surname(chance), page_count=1 + len(text) // 3000,
        local_path=f"pdf/{moment:%Y/%m/%d}/op_{opinion_id}.pdf",
        download_url=f"https://courts.example/opinions/{opinion_id}.pdf",
    )  # fmt: skip
    _set_text(opinion, **{field: text})
    corpus.add("opinions", opinion | changes)


def _set_text(opinion: Record, **texts: str) -> None:
    """Leave the opinion with these texts only."""
    opinion.update(dict.fromkeys(TEXT_FIELDS, "") | texts)
    opinion["sha1"] = hashlib.sha1("".join(texts.values()).encode()).hexdigest()


def harden(corpus: Corpus, draws: Draws) -> None:
    """Change some opinions into hard ones, among them one of about 120,000 characters for each text field."""
    opinions = corpus.opinions
    hard = iter(opinions[3 :: max(1, len(opinions) // 20)])
    for field, write in TEXT_FIELDS.items():
        long = prose.paragraphs(draws.chance, _LONG_CHARACTERS)
        _set_text(next(hard, opinions[0]), **{field: write(long)})
    for blank in _BLANKS:
        text = plain_text(prose.paragraphs(draws.chance, 3_000))
        _set_text(next(hard, opinions[0]), html_with_citations=blank, plain_text=text)
    for _ in range(_TEXTLESS):
        _set_text(next(hard, opinions[0]))
    for _ in range(_VERSIONS):
        _add_version(corpus, draws, next(hard, opinions[0]))


def _add_version(corpus: Corpus, draws: Draws, latest: Record) -> None:
    """Add an earlier version of an opinion, which points to the latest one."""
    cluster = corpus.get("clusters", latest["cluster_id"])
    if cluster is not None:
        moment = draws.moment(date.fromisoformat(cluster["date_filed"]))
        _add_opinion(corpus, draws, cluster, moment, main_version=latest["resource_uri"], type=latest["type"])


def add_gone_clusters(corpus: Corpus, draws: Draws) -> None:
    """Add addresses of clusters that were merged into others, and of sealed ones."""
    clusters = corpus.clusters
    for deleted_id in _MERGED:
        into = draws.chance.choice(clusters)
        moment = draws.moment(date.fromisoformat(into["date_filed"])) + timedelta(days=30)
        corpus.add_redirection(deleted_id, into["id"], modified=moment)
    corpus.sealed.extend(_SEALED)


# --- filings


def add_entries(corpus: Corpus, draws: Draws, docket: Record, count: int) -> None:
    """Add entries of a docket, numbered from 1, about three a day; most of them with one document."""
    filed = date.fromisoformat(docket["date_filed"])
    for number in range(1, count + 1):
        day = filed + timedelta(days=(number - 1) // 3)
        entry_id, moment = draws.next_id("docket-entries"), draws.moment(day)
        documents = draws.chance.choices((0, 1, 2, 4), (20, 60, 15, 5))[0]
        entry = shapes.docket_entry(
            entry_id, docket["id"], moment, date_filed=day.isoformat(), entry_number=number,
            recap_sequence_number=f"{day.isoformat()}.{number:03d}", description=prose.sentence(draws.chance),
            recap_documents=[_document(draws, docket, number, part, moment) for part in range(documents)],
        )  # fmt: skip
        corpus.add("docket-entries", entry)


def _document(draws: Draws, docket: Record, number: int, part: int, moment: datetime) -> Record:
    """Return the main document (part 0) or an attachment; four in ten are available with their text."""
    chance, document_id = draws.chance, draws.next_id("recap-documents")
    document = shapes.recap_document(
        document_id, moment, document_number=str(number), attachment_number=part or None,
        document_type=2 if part else 1, pacer_doc_id=f"127{docket['id']:07d}{document_id:05d}",
        absolute_url=f"/docket/{docket['id']}/{number}/{docket['slug']}/", description=prose.sentence(chance),
    )  # fmt: skip
    if chance.random() < 0.4:
        text = plain_text(prose.paragraphs(chance, chance.randrange(600, 3_000)))
        document.update(
            is_available=True, plain_text=text, ocr_status=chance.choice((1, 3)), page_count=1 + len(text) // 3000,
            sha1=hashlib.sha1(text.encode()).hexdigest(), date_upload=pacific_text(moment),
        )  # fmt: skip
    return document


# --- oral arguments and people


def add_people(corpus: Corpus, draws: Draws) -> None:
    """Add more people than two pages hold; every tenth is an alias of the first."""
    for number in range(_PEOPLE):
        name, born = prose.surname(draws.chance), date(1930 + number, 5, 17)
        person = shapes.person(
            draws.next_id("people"), draws.moment(date(2023, 1, 1 + number % 28)), name_first=f"J{number}",
            name_last=name, slug=f"{name.lower()}-{number}", date_dob=born.isoformat(), date_granularity_dob="%Y-%m-%d",
            is_alias_of=address("people", 1) if number % 10 == 9 else None,
        )  # fmt: skip
        corpus.add("people", person)


def add_arguments(corpus: Corpus, draws: Draws, dockets: list[Record]) -> None:
    """Add an argument in every third docket, in some of them two; three in four have a transcript."""
    for number, docket in enumerate(dockets[::_ARGUED_EVERY]):
        created = draws.moment(draws.day(docket["date_created"][:7]))
        # What was collected late was argued long before.
        argued = created.date() - timedelta(days=1900 if number % 7 == 6 else 1 + number % 4)
        docket["date_argued"] = argued.isoformat()
        for part in range(2 if number % 9 == 8 else 1):
            audio_id, chance = draws.next_id("audio"), draws.chance
            spoken = chance.random() < 0.75
            words = " ".join(prose.paragraphs(chance, chance.randrange(2_000, 9_000))) if spoken else ""
            audio = shapes.audio(
                audio_id, docket, created + timedelta(seconds=part), judges=f"{prose.surname(chance)}, Circuit Judge",
                panel=[address("people", 1)], sha1=hashlib.sha1(f"audio {audio_id}".encode()).hexdigest(),
                duration=chance.randrange(600, 4_000), processing_complete=True, stt_transcript=words,
                stt_status=1 if spoken else 0, stt_source=1 if spoken else None,
                local_path_mp3=f"mp3/{argued:%Y/%m/%d}/{audio_id}.mp3",
                download_url=f"https://courts.example/audio/{audio_id}.mp3",
            )  # fmt: skip
            corpus.add("audio", audio)
