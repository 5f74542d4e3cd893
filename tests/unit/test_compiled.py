"""The compiled forms of modules against their sources in Python, which say what they do."""

from __future__ import annotations

import _thread
import copy
import importlib.util
import pickle
import random
import re
import tracemalloc
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
from courtlistener_assets.text import layout_scans, line_scans, markup_scans, page_scans, scans
from courtlistener_assets.text.cleaning import CleanText
from courtlistener_assets.text.lines import _without_leading_marks
from courtlistener_assets.text.marks import BLOCK, CELL, LINE, MARK, MARK_END, PRE_LINE, Footnote, Marks
from courtlistener_assets.text.tears import Tears
from courtlistener_assets.text.wording import _is_end

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
#: Of which lines with columns, marks and leaders are made.
PARTS = [f"{MARK}000001{MARK_END}", "    ", "  ", " ", "word", ".", " .", ")", "\u2019s", "\U0001d4c9"]
PRINTED = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)
LINES = st.lists(st.one_of(TEXTS.map(lambda text: text.replace("\n", "")), PRINTED), max_size=30)
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


IN_PYTHON = in_python(sentence_starts)
LAYOUT_SCANS = in_python(layout_scans)
LINE_SCANS = in_python(line_scans)
MARKUP_SCANS = in_python(markup_scans)
PAGE_SCANS = in_python(page_scans)
SCANS = in_python(scans)
#: What tags are made of, whole and broken.
TAGS = [*"<>/=\"'!?- \na", *"<<", "</", "<p>", "</p >", "</ p", "<!--", "-->", "<!-->", "<!--->", "<!D", "<?x", "<\xe9"]
TAGS += ['<a href="', '="', "='", '="x"', '<a b="<c>">', '="x"y', "<br/>", "\xa0", "\u2019", "\u2028"]
SEQUENCES = [f"{MARK}000012{MARK_END}", Marks().footnote("1", " "), Marks().footnote("1", "").partition(MARK_END)[2]]
SEQUENCES += [f"{MARK}1234567{MARK_END}", f"{MARK}12", MARK, *" \n\ta\u2019", "\n\n", " \n", "text"]
STREAM = [
    *SEQUENCES,
    *"\f\xa0,;._)(]",
    " ,",
    " ; ",
    BLOCK,
    BLOCK,
    LINE,
    CELL,
    PRE_LINE,
    "a long text of more than a vector",
]
ENDINGS = [*"fecindrtsxyamo A\u2019", "ffice", "ofcer", "fnd", "left", "efts ", "ffth", "frst ", "aft ", "ffed", "tfce"]


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


def texts_of(pieces: list[str]) -> st.SearchStrategy[str]:
    """Texts of these pieces, of one, two and four bytes a character."""
    narrow = [piece for piece in pieces if piece.isascii()]
    return st.one_of(*(st.lists(st.sampled_from(of)).map("".join) for of in (narrow, pieces, [*pieces, "\U0001d4c9"])))


@given(TEXTS)
def test_scans_of_a_text(text: str) -> None:
    assert scans.unusual_characters(text) == SCANS.unusual_characters(text)
    assert scans.gap_ends(text) == SCANS.gap_ends(text)
    for name in ("in_small_letters", "without_marks", "marks_in"):
        assert getattr(scans, name)(text) == getattr(SCANS, name)(text), name
    for part in (b" tion", b" ments ", b"; and"):
        assert scans.has_any(text, (part,)) == SCANS.has_any(text, (part,))


@given(texts_of(SEQUENCES))
@settings(max_examples=500)
def test_control_sequences(text: str) -> None:
    for name in ("without_marks", "marks_in", "settled"):
        assert getattr(scans, name)(text) == getattr(SCANS, name)(text), name
    for place in range(len(text) + 1):
        assert scans.mark_at(text, place) == SCANS.mark_at(text, place)


@given(st.one_of(st.text(), texts_of([*"aBZ\xc9\xe9\u212a\u0130\u03a3 "])))
def test_small_letters(text: str) -> None:
    assert scans.in_small_letters(text) == SCANS.in_small_letters(text) == text.lower()


@given(texts_of(ENDINGS), st.data())
@settings(max_examples=500)
def test_ends_of_words_with_f(text: str, data: st.DataObject) -> None:
    ends = ["efnition", "fnd", "fnds", "eft", "efts", "ffth", "frst", "ffce", "ofce", "ofcer", "ifed", "fxed", "fx"]
    ends = data.draw(st.lists(st.sampled_from(ends), unique=True, min_size=1))
    assert scans.EndsWithF(ends).places(text) == SCANS.EndsWithF(ends).places(text)


@given(texts_of(TAGS))
@settings(max_examples=1_000)
def test_tags(markup: str) -> None:
    assert markup_scans.split_at_tags(markup) == MARKUP_SCANS.split_at_tags(markup)


@given(texts_of(STREAM))
@example("a ,\n")
@settings(max_examples=500)
def test_scans_of_blocks(stream: str) -> None:
    for name in ("blocks_of", "has_lines", "one_line", "tidied"):
        assert getattr(markup_scans, name)(stream) == getattr(MARKUP_SCANS, name)(stream), name


@given(LINES, st.randoms())
def test_scans_of_lines(lines: list[str], chance: random.Random) -> None:
    lines = [*lines, *(chance.choice(lines) for _ in lines)]
    for name in ("stripped", "gutters", "repeated", "bordered"):
        assert getattr(line_scans, name)(lines) == getattr(LINE_SCANS, name)(lines), name


@given(LINES, st.randoms())
def test_scans_of_pages(lines: list[str], chance: random.Random) -> None:
    lines = [*lines, "\f", *(line[: chance.randrange(9)] for line in lines), *(f"  {line}x" for line in lines)]
    chance.shuffle(lines)
    for name in ("are_marked", "page_breaks", "blank_lines", "alike"):
        assert getattr(page_scans, name)(lines) == getattr(PAGE_SCANS, name)(lines), name
    bare = [line.strip() for line in lines]
    assert page_scans.said_above(lines, bare) == PAGE_SCANS.said_above(lines, bare)
    assert page_scans.with_any(lines, "(:.") == PAGE_SCANS.with_any(lines, "(:.")
    seen = sorted(chance.sample(range(len(lines)), len(lines) // 2))
    assert page_scans.ranks_of(seen, len(lines)) == PAGE_SCANS.ranks_of(seen, len(lines))


@given(TEXTS, st.integers(0, 9), st.sampled_from(["[0-9]", r"\d", "[-a\u201c\u0663]", "[^a-z]"]))
def test_scans_of_single_lines(text: str, count: int, pattern: str) -> None:
    assert page_scans.is_in_capitals(text, count) == PAGE_SCANS.is_in_capitals(text, count)
    signs = re.compile(pattern)
    assert page_scans.Signs(signs).places(text) == PAGE_SCANS.Signs(signs).places(text)


@given(texts_of([*"ab\n\f\xe9\u2019\U0001d4c9", "a line of a page\n", "\f\n"]))
def test_lines_of_pages(text: str) -> None:
    assert page_scans.lines_of(text) == PAGE_SCANS.lines_of(text)


@given(st.integers(37, 43), texts_of([*"12 |a.\xa0\u0663\u2019\U0001d7d9", "   ", "||"]))
@settings(max_examples=1_000)
def test_numbers_of_lines(indent: int, text: str) -> None:
    for line in (text, text.strip(), " " * indent + text.strip()):
        assert page_scans.line_number(line) == PAGE_SCANS.line_number(line)


@given(LINES)
def test_measures_of_lines(lines: list[str]) -> None:
    lines = [line.replace("\x1c", "") for line in lines] + ["\f", f"\f{MARK}000002{MARK_END}", "text"]
    both = []
    for module in (line_scans, LINE_SCANS):
        measures: tuple[Any, ...] = ([], [], [], [], [], {})
        before = [
            module.read_lines(part, *measures, _without_leading_marks) for part in ([], lines, ["      a", *lines])
        ]
        both.append((before, measures))
    assert both[0] == both[1]


@given(FULL_LINES)
def test_first_and_last_characters_of_lines(lines: list[str]) -> None:
    assert line_scans.ends_of(lines, _is_end) == LINE_SCANS.ends_of(lines, _is_end)
    assert line_scans.ending_with(lines, "-\u2014.") == LINE_SCANS.ending_with(lines, "-\u2014.")
    small = lambda text: text[1:2].islower()  # noqa: E731
    assert line_scans.small_beginnings_of(lines, small) == LINE_SCANS.small_beginnings_of(lines, small)


@st.composite
def measured(draw: st.DrawFn) -> list[tuple[str, int, int, int, bool, bool]]:
    """Text, end, step, blank lines, a page's edge, and whether a sentence goes on: of each line of some pages."""
    end = st.one_of(st.integers(60, 70), st.integers(0, 200), st.sampled_from([0, 5_000]))
    step, blank = st.sampled_from([*[0] * 20, -7, -1, 1, 5]), st.one_of(st.integers(0, 2), st.integers(0, 9))
    words = st.sampled_from(["of it", "word", "__ _", "* *", "\u201cword of", "\U0001d4c9 of it"])
    line = st.tuples(words, end, step, blank, st.sampled_from([False] * 5 + [True]), st.booleans())
    few = draw(st.lists(line, min_size=1, max_size=40))
    return few * draw(st.integers(1, 4))


@given(measured(), st.integers(0, 200), st.integers(-3, 30))
def test_measures_of_pages(lines: list[tuple[str, int, int, int, bool, bool]], right: int, slack: int) -> None:
    columns: Any = map(list, zip(*lines, strict=True))
    texts, ends, steps, blanks, edges, runs_on = columns
    found = []
    for module in (layout_scans, LAYOUT_SCANS):
        rights = module.right_margins(ends, steps, runs_on, right)
        gaps = module.gaps_above(blanks, edges, 4)
        found.append(
            [
                rights,
                gaps,
                module.counted(gaps, 25, runs_on, runs_on[::-1]),
                module.short_lines(rights, ends, texts, slack),
                module.room_left([*range(0, len(texts) - 1, 2)], rights, ends, texts),
                *(module.margin_of(ends, quarters) for quarters in (1, 2)),
                *(module.in_order(numbers) for numbers in (ends, steps, [])),
                *(module.commonest(numbers) for numbers in (ends, steps, blanks)),
            ]
        )
    assert found[0] == found[1]


def test_there_is_no_margin_without_lines() -> None:
    for module in (layout_scans, LAYOUT_SCANS):
        with pytest.raises(IndexError):
            module.margin_of([], 1)


def test_no_memory_is_lost_where_a_number_is_none() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(100):
            with pytest.raises(TypeError):
                layout_scans.in_order([0] * 10_000 + ["a"])
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()


@given(st.one_of(TEXTS, PRINTED))
def test_spaces_and_dots_inside_a_line(text: str) -> None:
    for line in (text, text.replace(" ", "   "), text.replace("word", ". . "), f"{text}. . . . ."):
        assert layout_scans.with_dots([line, "a"]) == LAYOUT_SCANS.with_dots([line, "a"])
        assert layout_scans.spaces_inside(line) == LAYOUT_SCANS.spaces_inside(line)


@pytest.mark.parametrize(
    "scan",
    [
        partial(line_scans.stripped, ["a"]),
        partial(line_scans.read_lines, ["a"], [], [], [], [], [], {}, _without_leading_marks),
        partial(line_scans.gutters, ["a"]),
        partial(page_scans.are_marked, ["a"]),
        partial(page_scans.page_breaks, ["a"]),
        partial(page_scans.blank_lines, ["a"]),
        partial(page_scans.said_above, ["a"], ["a"]),
        partial(page_scans.with_any, ["a"], "a"),
        partial(page_scans.alike, ["a"]),
        partial(page_scans.ranks_of, [0], 1),
        partial(page_scans.lines_of, "a"),
        partial(page_scans.Signs(re.compile("a")).places, "a"),
        partial(line_scans.repeated, ["a"]),
        partial(line_scans.ends_of, ["a"], bool),
        partial(line_scans.ending_with, ["a"], "-"),
        partial(line_scans.small_beginnings_of, ["a"], bool),
        partial(line_scans.bordered, ["a"]),
        partial(markup_scans.split_at_tags, "a"),
        partial(markup_scans.blocks_of, "a"),
        partial(layout_scans.right_margins, [70], [0], [False], 70),
        partial(layout_scans.room_left, [0], [70, 70], [60, 60], ["a", "b"]),
        partial(layout_scans.short_lines, [70], [60], ["a"], 2),
        partial(layout_scans.gaps_above, [0], [False], 4),
        partial(layout_scans.with_dots, ["a"]),
        partial(layout_scans.counted, [0], 25, [False], [False]),
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
