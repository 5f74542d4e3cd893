"""The compiled forms of modules against their sources in Python, which say what they do."""

from __future__ import annotations

import _thread
import copy
import importlib.util
import pickle
import random
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import nupunkt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from courtlistener_assets.chunks import sentence_starts, spaced_words
from courtlistener_assets.chunks.chunking import Chunk
from courtlistener_assets.chunks.token_counts import _WordCounts
from courtlistener_assets.text import line_scans, scans
from courtlistener_assets.text.cleaning import CleanText
from courtlistener_assets.text.lines import _without_leading_marks
from courtlistener_assets.text.marks import MARK, MARK_END, Footnote, visible
from courtlistener_assets.text.tears import Tears

pytestmark = pytest.mark.skipif(scans.__file__.endswith(".py"), reason="nothing is compiled here")

#: What the scans look for, at all three widths that a character can have in memory.
SIGNS = [*"abdnrt.?!:;,()[]|*\"' \n\t\f\r\x1c\xa0\x85\xa7\u2014\u2019\u201c\u201d\u2026\u2028\u0663\ufffd", MARK]
PIECES = [
    *SIGNS,
    *(
        "    ",
        "  ",
        "\n\n",
        "\n\n \n",
        "\n\n\t\n",
        " tion",
        " ments ",
        "; and",
        "; or",
        " 12",
        ". ",
        "U.S. ",
        "Mr. ",
        "1. ",
        ". . .",
    ),
    *(f"{MARK}000001{MARK_END}", "The word", "the word of it", "$12", "(a)", "x) ", "  * ", " ] ", "   |"),
]
WIDE = ["\U0001d4c9", *PIECES]
TEXTS = st.one_of(*(st.lists(st.sampled_from(some), max_size=60).map("".join) for some in (PIECES[:20], PIECES, WIDE)))
LINES = st.lists(TEXTS.map(lambda text: text.replace("\n", "")), max_size=30)
FULL_LINES = LINES.map(lambda lines: [line.strip() for line in lines if line.strip()])


def in_python(module: ModuleType) -> Any:
    """The source of a compiled module as a module of its own."""
    path = Path(module.__file__ or "").parent / f"{module.__name__.rpartition('.')[2]}.py"
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_in_python", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


#: What decides where sentences end.
SENTENCES = [
    *(
        "It is so. ",
        "Court. ",
        "word) ",
        "two.) ",
        'three." ',
        "end.\u2019 ",
        "of].",
        "a ",
        "No",
        "He ",
        "the ",
        "S. ",
        "v. ",
    ),
    *("U.S.C. ", "No. ", "Inc. ", " . . . ", ". . ", "...", "--", '"', ")", "*", "? ", "! ", "?!", "1.", "12. ", "\n"),
    *("\u2026 ", "(a). ", "Mr. ", "I. ", "etc. ", "\u201d ", "1980). ", "\xa0", "\U0001d4c9", "\u2019", "'s "),
]
LINE_SCANS, SCANS, IN_PYTHON = in_python(line_scans), in_python(scans), in_python(sentence_starts)


@given(TEXTS)
def test_scans_of_a_text(text: str) -> None:
    assert scans.unusual_characters(text) == SCANS.unusual_characters(text)
    assert scans.gap_ends(text) == SCANS.gap_ends(text)
    line = text.translate(dict.fromkeys(map(ord, "\r\x1c\x85\u2028")))
    assert scans.one_line(line) == SCANS.one_line(line)
    for part in (b" tion", b" ments ", b"; and"):
        assert scans.has_any(text, (part,)) == SCANS.has_any(text, (part,))


@given(LINES, st.randoms())
def test_scans_of_lines(lines: list[str], chance: random.Random) -> None:
    lines = [*lines, *(chance.choice(lines) for _ in lines)]
    for name in ("stripped", "with_gutter", "repeated", "bordered"):
        assert getattr(line_scans, name)(lines) == getattr(LINE_SCANS, name)(lines), name


@given(LINES)
def test_measures_of_lines(lines: list[str]) -> None:
    lines = [line.replace("\x1c", "") for line in lines] + ["\f", f"\f{MARK}000002{MARK_END}", "text"]
    both = []
    for module in (line_scans, LINE_SCANS):
        measures: tuple[Any, ...] = (["above"], [0], [5], [0], {})
        both.append((module.read_lines(list(lines), *measures, _without_leading_marks, visible), measures))
    assert both[0] == both[1]


@given(FULL_LINES)
def test_first_and_last_characters_of_lines(lines: list[str]) -> None:
    def ends(text: str) -> bool:
        bare = text.endswith((".", "?", "!", ":", ";", "; and", "; or"))
        return bare or text[-1] in "\"'\u201d\u2019)]*0123456789\u0663"

    found = [
        last and ("(" not in line or line.rfind("(") <= line.rfind(")") or line[-1] not in ".?!:;")
        for line, last in zip(lines, LINE_SCANS.ends_of(lines, ends), strict=True)
    ]
    assert line_scans.ends_of(lines, ends) == found
    small = lambda text: text[1:2].islower()  # noqa: E731
    assert line_scans.small_beginnings_of(lines, small) == LINE_SCANS.small_beginnings_of(lines, small)


@pytest.mark.parametrize(
    "scan",
    [
        partial(line_scans.stripped, ["a"]),
        partial(line_scans.read_lines, ["a"], [], [], [], [], {}, _without_leading_marks, visible),
        partial(line_scans.with_gutter, ["a"]),
        partial(line_scans.repeated, ["a"]),
        partial(line_scans.ends_of, ["a"], bool),
        partial(line_scans.small_beginnings_of, ["a"], bool),
        partial(line_scans.bordered, ["a"]),
        partial(spaced_words.SpacedWords(_WordCounts()).count, "a"),
    ],
)
def test_a_signal_interrupts_a_scan(scan: partial[object]) -> None:
    """Python hears of a signal only between its own instructions, and there are none in compiled code."""
    scanned: list[object] = []
    steps = (partial(_thread.interrupt_main), scan, partial(scanned.append, "all"))
    with pytest.raises(KeyboardInterrupt):
        list(map(partial.__call__, steps))
    assert not scanned


@given(TEXTS, st.lists(st.sampled_from(["a", "the", "word", "\u2014", "\U0001d4c9", "n"])))
def test_words_of_a_text(text: str, words: list[str]) -> None:
    for word in [*words, *text.split()]:
        for signs in (("", "."), (".", "\u2019s"), (",",)):
            assert line_scans.Words(text).has_any(word, signs) == LINE_SCANS.Words(text).has_any(word, signs)


@given(st.lists(TEXTS, max_size=5), st.lists(st.integers(0, 80)))
@settings(deadline=None)
def test_counts_by_words_between_spaces(texts: list[str], places: list[int]) -> None:
    compiled, python = (form.SpacedWords(_WordCounts()) for form in (spaced_words, in_python(spaced_words)))
    for text in [*texts, *texts]:
        assert compiled.count(text) == python.count(text)
        assert compiled.counts(text, [0, *places]) == python.counts(text, [0, *places])


@given(
    st.one_of(TEXTS, st.lists(st.sampled_from(SENTENCES), max_size=20).map("".join)),
    st.lists(st.integers(0, 120), min_size=4, max_size=4).map(sorted),
)
@example("I. Court. ) . . . It is so.", [0, 1, 20, 26])
@settings(max_examples=500)
def test_starts_of_sentences(text: str, places: list[int]) -> None:
    begin, low, high, end = places
    for bounds in ((0, len(text), 0, len(text)), (begin, end, low, high)):
        for may_be in (bool, lambda place: place % 3 > 0):
            found = [list(form.sentence_starts(text, *bounds, may_be)) for form in (sentence_starts, IN_PYTHON)]
            assert found[0] == found[1]


def test_the_search_is_that_of_the_version_of_nupunkt_that_is_installed() -> None:
    """Else it is done by nupunkt itself: right, but several times as slow."""
    assert nupunkt.__version__ == sentence_starts._SEARCH_OF  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "made", [CleanText("a", "html", footnotes=(Footnote("1", 0, 1),)), Chunk("a", 0, 1, 1, 0), Tears(1, 2, 3, 4, 5)]
)
def test_results_are_pickled_and_copied(made: object) -> None:
    """As a pool of processes does that cleans and chunks."""
    assert pickle.loads(pickle.dumps(made)) == copy.copy(made) == copy.deepcopy(made) == made
