"""The benchmark of retrieval asks what has an answer, and counts what was found."""

from __future__ import annotations

import pytest

from bench.retrieval.invented import invented
from bench.retrieval.question import covered
from bench.retrieval.sentences import asked_of
from bench.vector_inputs.documents import RealDocument
from bench.vector_inputs.side_by_side import cleaned


def test_every_invented_passage_is_in_its_decision_and_in_no_other() -> None:
    texts, questions = invented(12)
    clean = [" ".join(text.text.split()) for text in cleaned(texts)]
    assert len(questions) == 60
    assert {text.field for text in texts} == {"plain_text", "html_with_citations", "html", "xml_harvard"}
    for question in questions:
        assert [number for number, text in enumerate(clean) if covered(question.passage, [text]) == 1] == [
            question.text
        ]


def test_questions_are_the_same_every_time_and_half_of_them_name_the_case() -> None:
    assert invented(4) == invented(4)
    questions = invented(40)[1]
    named = sum(question.asked.startswith("In ") and " v. " in question.asked for question in questions)
    assert 0.4 < named / len(questions) < 0.6


def test_what_is_found_counts_by_runs_of_words() -> None:
    passage = "The tugboat was lost in a fog, and its operator had been warned."
    assert covered(passage, ["So it was. The tugboat\nwas LOST in a fog and its operator had been warned!"]) == 1
    assert covered(passage, ["The tugboat was lost in", "nothing of it"]) == pytest.approx(2 / 10, abs=0.05)
    assert covered(passage, []) == 0


def test_real_documents_are_asked_about_in_one_version_only() -> None:
    said = "It was late. The owner had been told of the storm by a clerk who knew of it and he did nothing about that. "
    documents = [RealDocument(f"api-1-{field}", "kind", field, "opinion", said * 3) for field in ("html", "plain_text")]
    texts, questions = asked_of(documents)
    assert len(texts) == 1
    assert 0 < len(questions) <= 4
    assert all("the" not in question.asked.split() for question in questions)
    assert all(covered(question.passage, [said * 3]) == 1 for question in questions)
