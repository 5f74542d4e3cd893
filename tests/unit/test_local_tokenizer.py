"""A model's own tokenizer sets the budget, exactly, and what is wrong with its file is said."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from courtlistener_assets.chunks.chunking import chunk
from courtlistener_assets.chunks.local_tokenizer import find_tokenizer
from courtlistener_assets.chunks.token_counts import DEFAULT, shortened
from courtlistener_assets.devkit.simulator import prose
from resources.errors import SettingError

CHANCE = random.Random(14)
TEXT = "\n\n".join(" ".join(prose.sentence(CHANCE) for _ in range(CHANCE.choice((1, 3, 9, 40)))) for _ in range(60))
#: What a tokenizer was not trained on.
STRANGE = "Zugzwang-like 0xDEADBEEF §§ 1\u20132, ½ ¶ naïve; \u4f60\u597d\u3002 🙂 " * 40 + "_" * 300 + "qXz9" * 200


def word_piece() -> Tokenizer:
    """As BERT's: lower case, pieces of words, [CLS] and [SEP] around every text."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    made.train_from_iterator(
        [TEXT], trainers.WordPieceTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return made


def byte_pairs() -> Tokenizer:
    """As RoBERTa's: bytes, pairs of which are merged."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [TEXT],
        trainers.BpeTrainer(
            vocab_size=700, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
        ),
    )
    made.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return made


def unigram() -> Tokenizer:
    """As XLM-R's: pieces of words that know the space before them, of which only one counts."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    made.train_from_iterator(
        [TEXT],
        trainers.UnigramTrainer(vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False),
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return made


@pytest.fixture(scope="module", params=[word_piece, byte_pairs, unigram], ids=lambda make: make.__name__)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tokenizer.json"
    request.param().save(str(path))
    return path


@pytest.mark.parametrize("max_tokens", [24, 128, 512])
@pytest.mark.parametrize("overlap", [0, 2])
def test_no_chunk_is_over_the_budget_of_the_model(saved: Path, max_tokens: int, overlap: int) -> None:
    model = Tokenizer.from_file(str(saved))
    text = f"{TEXT}\n\n{STRANGE}\n\n{TEXT[:4000]}"
    chunks = chunk(text, max_tokens=max_tokens, overlap_sentences=overlap, tokenizer=find_tokenizer(str(saved)))
    counts = [len(model.encode(part.text)) for part in chunks]
    assert max(counts) <= max_tokens
    assert [part.token_count for part in chunks] == counts
    assert chunks[-1].char_end == len(text)
    if not overlap:
        assert "".join(part.text for part in chunks) == text


def test_chunks_are_about_as_full_as_those_of_the_default(saved: Path) -> None:
    tokenizer = find_tokenizer(str(saved))
    full = [part.token_count for part in chunk(TEXT, max_tokens=256, tokenizer=tokenizer)]
    assert sum(full) / len(full) > 0.75 * 256


def test_the_header_and_the_text_together_keep_the_budget(saved: Path) -> None:
    tokenizer, model = find_tokenizer(str(saved)), Tokenizer.from_file(str(saved))
    header = shortened("Alder v. Roe, 12 F.4th 34 (Court of Appeals 2024-01-31) | Dissent by Birch " * 9, 48, tokenizer)
    for part in chunk(TEXT, max_tokens=128, tokenizer=tokenizer, reserved=48):
        assert len(model.encode(f"{header}\n{part.text}")) <= 128


def test_what_the_file_says_about_training_does_not_count(tmp_path: Path) -> None:
    made = word_piece()
    made.enable_truncation(32)
    made.enable_padding(length=64, pad_id=3, pad_token="[PAD]")
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    made.no_padding()
    made.no_truncation()
    assert find_tokenizer(str(path)).count(TEXT) == len(made.encode(TEXT))


def test_the_name_says_which_content_wherever_it_is(saved: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tokenizer.json"
    copy.write_bytes(saved.read_bytes())
    assert find_tokenizer(str(copy)).name == find_tokenizer(str(saved)).name
    assert find_tokenizer(str(copy)).name.startswith("tokenizer.json:")
    before = find_tokenizer(str(copy)).name
    copy.write_text(copy.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert find_tokenizer(str(copy)).name != before


def test_the_default_has_a_name_and_no_file() -> None:
    assert find_tokenizer("cl100k_base") is DEFAULT


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"model": {"type": "WordPiece"}}', "\x00"])
def test_a_file_that_holds_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingError, match="holds no tokenizer"):
        find_tokenizer(str(path))


def test_a_file_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer(models.BPE()).save(str(path))
    with pytest.raises(SettingError, match="finds no tokens"):
        find_tokenizer(str(path))


@pytest.mark.parametrize("name", ["missing/tokenizer.json", "https://example.com/tokenizer.json", ".", "bert"])
def test_no_file_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="neither cl100k_base nor a file"):
        find_tokenizer(name)


def test_without_the_package_the_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SettingError, match="package tokenizers"):
        find_tokenizer(str(path))


@pytest.mark.parametrize("tokens", [3, 16, 40])
def test_a_line_is_cut_at_a_word(tokens: int) -> None:
    line = "Alder v. Roe, 12 F.4th 34 (Court of Appeals 2024-01-31) | Dissent by Birch " * 4
    short = shortened(line, tokens, DEFAULT)
    assert DEFAULT.count(short + "\n") <= tokens
    assert short.endswith("…")
    assert line.startswith(short.removesuffix("…"))


def test_a_line_that_fits_is_kept() -> None:
    assert shortened("Alder v. Roe", 16, DEFAULT) == "Alder v. Roe"
