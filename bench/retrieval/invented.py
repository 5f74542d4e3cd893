"""Invented decisions and questions about them, for a benchmark that must not depend on what is beside the checkout.

Belongs here: the facts of a case, each told in a passage and asked for in other words. Does not belong here: the prose
around them (`devkit/simulator/prose.py`), retrieval (`__main__.py`).

No passage begins where a paragraph does, and no question uses the words of its answer only: otherwise the benchmark
would ask who cuts at paragraphs, or who counts words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.retrieval.question import Question, Text
from courtlistener_assets.devkit.simulator import markup, prose

_FORMATS = {
    "plain_text": markup.plain_text,
    "html_with_citations": markup.html_with_citations,
    "html": markup.html_pre,
    "xml_harvard": markup.xml_harvard,
}
_PARAGRAPHS = 34


@dataclass(frozen=True)
class _Fact:
    """`told` and `asked` have the same places for values. Of each place the values are as many as one likes."""

    told: str
    asked: str
    values: tuple[tuple[str, ...], ...]


_THINGS = (
    ("tugboat", "grain elevator", "ferry", "crane", "refrigerated truck", "printing press", "ski lift", "sawmill"),
    ("in a fog", "during an ice storm", "after a fire", "when a cable parted", "in high water", "under its own weight"),
)
_PEOPLE = ("a night watchman", "a school nurse", "a bus driver", "the bookkeeper", "a neighbor's son", "a welder")
_PLACES = ("Duluth", "Galveston", "Yakima", "Bangor", "Mobile", "Pueblo", "Erie", "Sitka", "Macon", "Provo")
_FACTS = (
    _Fact(
        "The {0} was lost {1}. Its operator had been warned of the danger twice that week, once in writing, and had "
        "answered that repairs would wait until the season was over.",
        "What had the person running the {0} been told before it was destroyed {1}, and how did he react?",
        _THINGS,
    ),
    _Fact(
        "Before trial, {0} identified the accused from a photograph shown at a kitchen table in {1}. No other pictures "
        "were laid beside it, and the officer said that an arrest was near.",
        "Was it suggestive to have {0} from {1} pick out the suspect from one snapshot?",
        (_PEOPLE, _PLACES),
    ),
    _Fact(
        "The lease of the warehouse in {1} let the tenant end it on sixty days' notice if {0} moved in next door. That "
        "clause had been typed on the last page after the landlord had signed.",
        "Could the renter of the storage building at {1} get out of the contract because {0} became a neighbor?",
        (("a tannery", "a rival bakery", "a shooting range", "a rendering plant", "a night club"), _PLACES),
    ),
    _Fact(
        "A physician in {1} testified that {0} could have been seen on the first scan. He conceded that he had never "
        "treated such a patient, and the jury was told to give that what weight it saw fit.",
        "How experienced was the doctor from {1} who said that {0} was visible early?",
        (("the fracture", "the tumor", "the blood clot", "a swallowed coin", "the aneurysm"), _PLACES),
    ),
    _Fact(
        "The town of {1} denied a permit for {0}. Its minutes give one reason, traffic, and the only study in the file "
        "counted eleven cars in an hour.",
        "On what evidence did officials of {1} refuse to allow {0}?",
        (("a mosque", "a homeless shelter", "a kennel", "a drive-in theater", "a charter school"), _PLACES),
    ),
    _Fact(
        "The union at the {1} plant had waited nineteen months before it asked for arbitration over {0}. The employer "
        "did not object until the hearing, and then only to the arbitrator's fee.",
        "Was the grievance about {0} from workers in {1} brought too late, and who complained of that?",
        (("holiday pay", "safety boots", "the new shift", "drug tests", "a parking lot"), _PLACES),
    ),
    _Fact(
        "His widow found the will in {1}, inside {0}. Two lines had been struck out in pencil, and no witness could "
        "say whether that was done before or after they had signed.",
        "Where was the testament that was altered by hand, the one in {0} at {1}?",
        (("a flour tin", "a hymn book", "a toolbox", "a piano bench", "a hatbox"), _PLACES),
    ),
    _Fact(
        "Officers stopped the car outside {1} because of {0}. They searched the trunk forty minutes later, when the "
        "citation had long been written and the dog had not yet come.",
        "How long did police hold the motorist near {1} who was pulled over for {0}?",
        (("a cracked windshield", "a dim plate lamp", "an air freshener", "a rolling stop", "loud music"), _PLACES),
    ),
    _Fact(
        "The {1} school board dismissed a teacher who had {0}. Her contract promised a hearing within ten days; she "
        "was heard after ninety, by the man who had written the charges.",
        "Did the instructor in {1} who {0} get a fair proceeding before losing the job?",
        (
            ("posted a poem", "ran for mayor", "refused the pledge", "shown a banned film", "kept a beehive"),
            _PLACES,
        ),
    ),
    _Fact(
        "A shipment of {0} reached {1} spoiled. The bill of lading called it in good order, but the seals had been "
        "replaced on the way and the carrier's log has no entry for two nights.",
        "Who answers for the rotten {0} delivered to {1}, given what the transport records leave out?",
        (("salmon", "tulip bulbs", "vaccines", "peaches", "chocolate"), _PLACES),
    ),
)


def invented(count: int = 80, *, seed: int = 1) -> tuple[list[Text], list[Question]]:
    """Return decisions in the formats of the API by turns, and the questions that they answer, a few of each.

    Half of the questions name the case, as a lawyer who knows it would; the others are answered by one passage of all
    as well, since no two cases share a fact with the same values.
    """
    chance = random.Random(seed)
    texts: list[Text] = []
    questions: list[Question] = []
    told: set[str] = set()
    for number in range(count):
        name = f"{prose.surname(chance)} v. {prose.surname(chance)}"
        paragraphs = prose.paragraphs(chance, 300 * _PARAGRAPHS)
        for index, (passage, question) in enumerate(_facts(chance, told)):
            place = (index * 7 + chance.randrange(6) + 1) % len(paragraphs)
            paragraphs[place] = _inside(chance, paragraphs[place], passage)
            asked = f"In {name}: {question}" if (number + index) % 2 else question
            questions.append(Question(asked, passage, number))
        field = list(_FORMATS)[number % len(_FORMATS)]
        header = f"{name}, {number + 400} F.4th {number * 3 + 7} (Court of Appeals) | Opinion of the court"
        texts.append(Text(field, _FORMATS[field](paragraphs), header))
    return texts, questions


def _facts(chance: random.Random, told: set[str]) -> Iterator[tuple[str, str]]:
    for fact in chance.sample(_FACTS, 5):
        for _ in range(20):
            values = [chance.choice(choices) for choices in fact.values]
            passage = fact.told.format(*values)
            if passage not in told:
                told.add(passage)
                yield passage, fact.asked.format(*values)
                break


def _inside(chance: random.Random, paragraph: str, passage: str) -> str:
    """Put a passage between two sentences of a paragraph."""
    ends = [place for place in range(len(paragraph)) if paragraph.startswith(". ", place)] or [len(paragraph) - 1]
    place = chance.choice(ends) + 1
    return f"{paragraph[:place]} {passage}{paragraph[place:]}"
