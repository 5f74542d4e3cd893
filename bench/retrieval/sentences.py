"""Questions to real documents that nobody had to write: half of the words of a sentence, out of order.

Belongs here: choosing sentences and passages without any of the chunkers. Does not belong here: retrieval
(`__main__.py`).

What could favour one chunker, and is therefore not done: sentences are not found by a package that one of them uses;
a passage is so many characters around its sentence wherever paragraphs begin; and it is taken from the text as the API
gives it, not from one that this project has cleaned.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from bench.retrieval.question import Question, Text
from bench.vector_inputs.documents import RealDocument
from bench.vector_inputs.side_by_side import without_tags

#: From one clear end of a sentence to the next, without citations between.
_SENTENCE = re.compile(r"(?<=[a-z]{3}\. )[A-Z][a-z]*(?: [a-z][a-z'-]*,?){14,40} [a-z]+\.(?= )")
_CASE = re.compile(r"([A-Z][\w.,'& ]{2,60}?),?\s+(?:[A-Z][\w-]+,?\s+)?v\.\s+([A-Z][\w.,'& ]{2,60}?)[,.\n]")
_AROUND = 200
_QUESTIONS_A_TEXT = 4
_STOP = frozenset(["the", "of", "to", "and", "a", "in", "that", "is", "was", "for", "on", "with", "as", "by", "it"])


def asked_of(documents: Sequence[RealDocument], *, seed: int = 1) -> tuple[list[Text], list[Question]]:
    """Return one version of each document (an opinion can have several fields), and questions to each."""
    chance = random.Random(seed)
    versions: dict[str, list[RealDocument]] = {}
    for document in documents:
        versions.setdefault(re.sub(r"-[a-z_]+$|\.(?:plain|layout)$", "", document.id), []).append(document)
    texts: list[Text] = []
    questions: list[Question] = []
    for same in versions.values():
        document = chance.choice(same)
        texts.append(Text(document.field, document.value, _header(without_tags(document))))
        questions += _questions(chance, without_tags(document), len(texts) - 1)
    return texts, questions


def _header(text: str) -> str:
    case = _CASE.search(text, 0, 3000)
    return " v. ".join(" ".join(part.split()) for part in case.groups()) if case else "Unknown case"


def _questions(chance: random.Random, text: str, number: int) -> Iterator[Question]:
    flat = " ".join(text.split())
    sentences = list(_SENTENCE.finditer(flat))
    for sentence in chance.sample(sentences, min(_QUESTIONS_A_TEXT, len(sentences))):
        words = [word.strip(",.") for word in sentence.group().lower().split() if word.strip(",.") not in _STOP]
        asked = chance.sample(words, len(words) // 2)
        first = flat.rfind(" ", 0, max(0, sentence.start() - _AROUND)) + 1
        last = flat.find(" ", sentence.end() + _AROUND)
        passage = flat[first : last if last >= 0 else len(flat)]
        yield Question(" ".join(asked), passage, number)
