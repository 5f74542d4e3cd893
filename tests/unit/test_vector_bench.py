"""The benchmark of vector inputs judges rightly: what is a sentence's end, and what was lost."""

from __future__ import annotations

from pathlib import Path

from bench import report
from bench.vector_inputs.__main__ import headline
from bench.vector_inputs.corpus import Sentences, opinions
from bench.vector_inputs.documents import HERE, RealDocument, chunks_by, real_documents
from bench.vector_inputs.peers import OURS, ours
from bench.vector_inputs.side_by_side import characters_lost, cleaned, speeds, visible, without_tags
from bench.vector_inputs.tears import by_kind, rows, sentence_ends


def test_a_chunk_ends_a_sentence_only_where_the_sentence_is_whole() -> None:
    sentences = Sentences()
    sentences.add("Under Fed. R. Civ. P. 56(a), the motion is denied.")
    sentences.add("We agree.")
    sentences.add("As Tran put it:")
    assert sentences.end("It fails. Under Fed. R.\nCiv. P. 56(a), the motion is denied.\n\n")
    assert sentences.end("the motion is denied. We agree.")
    assert not sentences.end("It fails. Under Fed.")
    assert not sentences.end("the motion is denied. As Tran put it:")
    assert not sentences.end("")


def test_the_corpus_has_all_formats_and_is_the_same_every_time() -> None:
    corpus = list(opinions(4, 3000))
    assert {opinion.field for opinion in corpus} == {"plain_text", "html_with_citations", "html", "xml_harvard"}
    assert corpus == list(opinions(4, 3000))
    assert corpus != list(opinions(4, 3000, seed=2))


def test_our_chunks_lose_nothing_of_any_format() -> None:
    corpus = list(opinions(8, 6000))
    assert characters_lost(corpus, cleaned(corpus), ours) == 0


def test_what_a_chunker_drops_is_counted() -> None:
    corpus = list(opinions(1, 3000))
    lost = characters_lost(corpus, cleaned(corpus), lambda text: [text[:-10]])
    assert lost == len("".join(cleaned(corpus)[0].text[-10:].split()))


def test_a_tag_is_not_visible() -> None:
    for opinion in opinions(4, 1000):
        assert "<" not in visible(opinion)
        assert "".join(visible(opinion).split()) == "".join(without_tags(opinion).split())


def test_the_headline_compares_with_the_fastest_that_keeps_the_same_budget() -> None:
    def row(name: str, speed: int, share: float, *, in_tokens: bool = True) -> dict[str, object]:
        return {
            "chunker": name,
            "in_tokens": in_tokens,
            "sentence_end_share": share,
            "with_cleaning_per_second": speed,
            "without_tags_per_second": None if name == OURS else 2 * speed,
            "as_installed_per_second": None if name == OURS or not in_tokens else speed // 2,
        }

    found = [row(OURS, 90, 1.0), row("one", 60, 0.8), row("two", 100, 0.7), row("three", 900, 0.9, in_tokens=False)]
    assert headline({"peers": found, "tears": {"torn_share": 0.01}}) == {
        "torn_share": 0.01,
        "sentence_end_share": 1.0,
        "characters_per_second": 90,
        "slowest_speedup_vs_peers": 1.8,
        "slowest_speedup_same_counts": 0.45,
        "slowest_speedup_same_cleaning": 0.9,
        "best_sentence_end_share_of_peers": 0.8,
    }


def test_the_speed_of_each_kind_of_text_is_of_its_own_characters() -> None:
    corpus = list(opinions(4, 1000))
    found = {row["kind"]: row for row in speeds([corpus[:2], corpus[2:]])}
    plain = sum(len(opinion.value) for opinion in corpus if opinion.field == "plain_text")
    assert found["plain text"]["characters"] == plain
    assert (
        found["markup"]["characters"] + plain == found["all"]["characters"] == sum(len(each.value) for each in corpus)
    )
    assert all(
        row["both_per_second"] < min(row["cleaning_per_second"], row["chunking_per_second"]) for row in found.values()
    )
    assert [row["kind"] for row in speeds([[each for each in corpus if each.field == "plain_text"]])] == [
        "plain text",
        "all",
    ]


def test_ends_of_chunks_are_judged_by_what_follows() -> None:
    whole = ["The owner of the barge knew it. ", "He did nothing.\n\n", "It sank."]
    assert sentence_ends(whole) == 2
    assert sentence_ends(["He knew it.\n\nII.\n\n", "It sank, as we said in Conway v. ", "Carver, and he did."]) == 0


def test_kinds_are_judged_before_and_now() -> None:
    value = "The owner of the barge knew of the storm. He did nothing about it.\n\nThe barge sank in the night of it."
    documents = [RealDocument("1", "slip", "plain_text", "opinion", value)]
    torn = [["The owner of the barge knew of the\n\nstorm. He did nothing."]]
    found = rows(by_kind(documents, torn), by_kind(documents, chunks_by(HERE, documents)))
    assert [(row["kind"], row["documents"], row["before_torn_share"], row["now_torn_share"]) for row in found] == [
        ("slip, plain_text", 1, 1.0, 0.0),
        ("all", 1, 1.0, 0.0),
    ]
    page = report.with_tables(
        "<!-- v by_kind -->\n<!-- /v by_kind -->".replace("v ", "vector_inputs "), "vector_inputs", {"by_kind": found}
    )
    assert "| slip, plain_text | 1 | 100.0 % → 0.0 % |" in page


def test_without_real_documents_there_are_none(tmp_path: Path) -> None:
    assert real_documents(tmp_path / "none.jsonl.gz") == []
