"""The options of chunks go through to rows and ids, which a document without its header gets as well."""

from __future__ import annotations

from typing import Any

import pytest

from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.chunks.rows import Tally, chunk_ids, partition_rows
from courtlistener_assets.chunks.token_counts import DEFAULT
from courtlistener_assets.defs.assets.chunk_config import ChunkConfig
from courtlistener_assets.download.streams import OPINION
from resources.errors import SettingError

TEXT = " ".join(f"The {number}. lock of the canal was built by the county in 18{number:02}." for number in range(99))
LONG_NAME = " ".join(f"Alder No. {number} of the County," for number in range(40))


class WordTokenizer:
    """Counts words, and two more a text."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split()) + 2


def opinion(case_name: str = "Doe v. Roe") -> Document:
    body = {"id": 7, "type": "020lead", "plain_text": TEXT}
    return Document(kind=OPINION, body=body, docket_id=5, court_id="scotus", case_name=case_name)


def rows(document: Document, **options: Any) -> list[dict[str, Any]]:
    return list(partition_rows([document], Tally(), **options))


def test_a_long_header_is_cut_at_a_word() -> None:
    (row, *_) = rows(opinion(LONG_NAME), max_header_tokens=32)
    assert DEFAULT.count(row["context_header"] + "\n") <= 32
    assert row["context_header"].startswith("Alder No. 0 of the County,")
    assert row["context_header"].endswith(" …")
    assert row["case_name"] == LONG_NAME


def test_header_and_text_together_keep_the_budget_if_the_header_counts() -> None:
    for document in (opinion(LONG_NAME), opinion()):
        found = rows(document, max_tokens=128, reserved=48, max_header_tokens=48)
        assert max(DEFAULT.count(f"{row['context_header']}\n{row['text']}") for row in found) <= 128


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 128, "reserved": 48},
        {"max_tokens": 128, "tokenizer": WordTokenizer()},
        {"max_tokens": 64, "overlap_sentences": 1},
    ],
)
def test_ids_do_not_depend_on_the_header(options: dict[str, Any]) -> None:
    ids = {row["chunk_id"] for row in rows(opinion(), **options)}
    assert ids == {row["chunk_id"] for row in rows(opinion(LONG_NAME), **options)}
    bare = Document(kind=OPINION, body=opinion().body, docket_id=None, court_id="")
    assert ids == chunk_ids(bare, **options)
    assert ids != chunk_ids(bare)


def test_rows_name_the_tokenizer_that_counted() -> None:
    found = rows(opinion(), max_tokens=64, tokenizer=WordTokenizer())
    assert {row["tokenizer"] for row in found} == {"words"}
    assert [row["token_count"] for row in found] == [len(row["text"].split()) + 2 for row in found]


def test_of_a_note_behind_the_body_no_chunk_has_both() -> None:
    notes = "".join(
        f'<div class="footnote"><a href="#ref{number}">{number}</a> {TEXT[:600]}</div>' for number in range(1, 4)
    )
    body = {"id": 7, "type": "020lead", "html": f"<p>{TEXT}</p>{notes}"}
    cleaned = OPINION.text(body)
    assert cleaned
    assert cleaned.footnotes
    found = rows(Document(kind=OPINION, body=body, docket_id=5, court_id="scotus"), max_tokens=512)
    assert cleaned.footnotes[0].start in {row["char_start"] for row in found}


def test_the_header_is_kept_room_for_only_if_it_counts() -> None:
    assert ChunkConfig().options == ChunkOptions()
    assert ChunkOptions().reserved_tokens == 0
    assert ChunkConfig(count_header=True, max_header_tokens=32).options.reserved_tokens == 32


def test_a_header_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(SettingError, match="64, of which 64 are for the header"):
        rows(opinion(), max_tokens=64, reserved=64)
