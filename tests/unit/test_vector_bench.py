"""The benchmark of vector inputs judges rightly: what is a sentence's end, and what was lost."""

from __future__ import annotations

from bench.vector_inputs.__main__ import characters_lost, cleaned, headline, visible
from bench.vector_inputs.corpus import Sentences, opinions
from bench.vector_inputs.peers import OURS, ours


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
    assert "<" not in "".join(visible(opinion) for opinion in opinions(4, 1000))


def test_the_headline_compares_with_the_fastest_that_keeps_the_same_budget() -> None:
    def row(name: str, speed: int, share: float, *, in_tokens: bool = True) -> dict[str, object]:
        return {
            "chunker": name,
            "in_tokens": in_tokens,
            "sentence_end_share": share,
            "with_cleaning_per_second": speed,
        }

    rows = [row(OURS, 90, 1.0), row("one", 60, 0.8), row("two", 100, 0.7), row("three", 900, 0.9, in_tokens=False)]
    assert headline({"peers": rows}) == {
        "sentence_end_share": 1.0,
        "characters_per_second": 90,
        "slowest_speedup_vs_peers": 0.9,
        "best_sentence_end_share_of_peers": 0.8,
    }
