"""The corpus of the benchmark: generated opinions in the API's formats, and the sentences that they are made of.

Belongs here: what is chunked, and the truth about it. Does not belong here: chunking and judging.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from courtlistener_assets.devkit.simulator import markup, prose

_FORMATS = {
    "plain_text": markup.plain_text,
    "html_with_citations": markup.html_with_citations,
    "html": markup.html_pre,
    "xml_harvard": markup.xml_harvard,
}
#: What the formats add to the prose.
_ADDED = "The parties do not dispute this point."
_TAIL = 12


@dataclass(frozen=True)
class Opinion:
    """One opinion: the API's field with its value, and its paragraphs as they were before any format."""

    id: int
    field: str
    value: str
    paragraphs: tuple[str, ...]

    @property
    def body(self) -> dict[str, object]:
        """The opinion as the API would give it."""
        return {"id": self.id, "type": "010combined", self.field: self.value}


class Sentences:
    """All sentences of a corpus, to tell whether a chunk really ends with one."""

    def __init__(self) -> None:
        self._by_tail: dict[str, set[str]] = {}
        self.add(_ADDED)

    def add(self, part: str) -> None:
        """Remember a sentence; a heading, and what leads to a quotation, is none."""
        bare = "".join(part.split())
        if bare[-1] in ".?!”":
            self._by_tail.setdefault(bare[-_TAIL:], set()).add(bare)

    def end(self, chunk: str) -> bool:
        """Return whether a chunk ends with the whole last part of a sentence. White space does not count."""
        bare = "".join(chunk[-2000:].split())
        known = (self._by_tail.get(bare[-length:], ()) for length in range(1, _TAIL + 1))
        return any(bare.endswith(sentence) for sentences in known for sentence in sentences)


def _passage(chance: random.Random) -> Iterator[list[str]]:
    """A paragraph, as lists of its sentences: sometimes with a heading before it, sometimes a quotation after it."""
    if chance.random() < 0.12:
        yield [f"{chance.choice(('I', 'II', 'III', 'A', 'B'))}. {prose.case_name(chance)}"]
    parts = [prose.sentence(chance) for _ in range(chance.choice((1, 2, 3, 4, 5, 6, 8, 10, 14, 25)))]
    if chance.random() < 0.2:
        yield [*parts, f"As {prose.surname(chance)} put it:"]
        yield [prose.sentence(chance) for _ in range(chance.randrange(1, 5))]
    else:
        yield parts


def opinions(count: int, characters: int, *, seed: int = 1, sentences: Sentences | None = None) -> Iterator[Opinion]:
    """Yield opinions of about so many characters, in the four formats by turns."""
    fields = list(_FORMATS)
    for number in range(1, count + 1):
        chance = random.Random(f"{seed}-{number}")
        length, paragraphs = 0, []
        while length < characters:
            for paragraph in _passage(chance):
                paragraphs.append(" ".join(paragraph))
                length += len(paragraphs[-1])
                if sentences:
                    for part in paragraph:
                        sentences.add(part)
        field = fields[number % len(fields)]
        yield Opinion(number, field, _FORMATS[field](paragraphs), tuple(paragraphs))
