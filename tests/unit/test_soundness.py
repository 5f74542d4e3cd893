"""How whole a partition's text is: counted by document, kept in the file, and read from it by the checks."""

from __future__ import annotations

from typing import Any, cast

import pytest

from courtlistener_assets.chunks.soundness import ENOUGH, SOUNDNESS, Soundness, read_soundness
from courtlistener_assets.chunks.table import write_partition
from courtlistener_assets.defs.checks.examination import WARNINGS, Finding, examine
from courtlistener_assets.text.litter import ends_with_heading
from resources.records.audit import RecordAudit

WHOLE = (
    "The owner of the barge was told of the storm by the clerk.\n\nHe did nothing about it, and it sank in the night."
)
TORN = "The owner of the barge was told of the\n\nstorm by the clerk, and he did nothing about it."


def judged(texts: dict[str, str], chunks: list[str] | None = None) -> Soundness:
    soundness = Soundness()
    for name, text in texts.items():
        soundness.add(name, text, chunks or [text])
    return soundness


def found(soundness: Soundness | None, tmp_path: Any) -> dict[str, Finding]:
    path = tmp_path / "chunks.parquet"
    write_partition([], path, metadata={"max_tokens": "512"}, found=soundness.kept if soundness else dict)
    findings = examine(path, cast("RecordAudit", None), cast("Any", None), [])
    return {name: findings[name] for name in WARNINGS}


def test_the_worst_documents_are_named_and_only_some():
    texts = [
        TORN.replace("barge", f"barge {name}").replace("storm", f"storm {name}")
        for name in map("a{}".format, range(40))
    ]
    soundness = judged({f"opinion:{number}": "\n\n".join(texts[:number]) for number in range(40)})
    assert len(soundness.worst) == 20
    assert max(soundness.worst) == (39, "opinion:39")
    assert min(soundness.worst) == (20, "opinion:20")
    assert soundness.tears.torn == sum(range(40))


def test_the_last_chunk_of_a_document_may_end_with_a_heading():
    soundness = judged({"opinion:1": WHOLE}, ["It sank.\n\nII.\n\n", "He knew.\n\nDISCUSSION", "Affirmed.\n\nII."])
    assert (soundness.orphaned_headings, soundness.chunks) == (2, 3)


def test_what_a_file_keeps_is_what_was_counted():
    soundness = judged({"opinion:1": TORN, "opinion:2": WHOLE})
    assert read_soundness(soundness.kept()[SOUNDNESS]) == soundness
    assert Soundness().broken_share == Soundness().orphaned_heading_share == 0.0


def test_whole_text_passes(tmp_path):
    assert [each.wrong for each in found(judged({"opinion:1": WHOLE}), tmp_path).values()] == [0, 0]


def test_torn_text_and_lost_headings_do_not(tmp_path):
    bad = judged({f"opinion:{number}": TORN for number in range(ENOUGH)}, ["He knew.\n\nII.", "It sank."])
    findings = found(bad, tmp_path)
    assert [each.wrong for each in findings.values()] == [ENOUGH, ENOUGH]
    assert findings["sentences_are_whole"].examples == ("opinion:2", "opinion:1", "opinion:0")
    assert TORN[:20] not in str(findings)


def test_few_faults_in_few_documents_prove_nothing(tmp_path):
    few = judged({f"opinion:{number}": TORN for number in range(ENOUGH - 1)})
    assert found(few, tmp_path)["sentences_are_whole"].wrong == 0


def test_a_file_that_was_made_before_says_so(tmp_path):
    assert {each.said for each in found(None, tmp_path).values()} == {
        "The file was made before this was measured. Materialize the partition."
    }


@pytest.mark.parametrize(
    "line", ["II.", "A.", "(1)", "DISCUSSION", "Discussion", "III", "Standard of Review and Jurisdiction", "Notes:"]
)
def test_headings_at_the_end_of_a_chunk(line):
    expected = line != "Standard of Review and Jurisdiction"  # A title without a number could be anything.
    assert ends_with_heading(f"{WHOLE}\n\n{line}\n\n") is expected


@pytest.mark.parametrize("line", ["B. The Owner's Duty of Care", "2. Background", "IV. THE MOTION FOR A NEW TRIAL"])
def test_numbered_headings_at_the_end_of_a_chunk(line):
    assert ends_with_heading(f"{WHOLE}\n\n{line}\n\n")


@pytest.mark.parametrize("line", ["SO ORDERED.", "It sank in the night.", "Ada Carver", "17", "", "* * *"])
def test_other_ends_are_none(line):
    assert not ends_with_heading(f"{WHOLE}\n\n{line}")
