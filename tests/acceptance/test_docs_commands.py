"""Every command in the guides runs, or says why not; `readme_blocks.py` has the rules.

All blocks of a page are run in one checkout, one after the other, as a reader would.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.readme_blocks import ROOT, Block, blocks_of

BLOCKS = [
    pytest.param(block, id=f"{path.stem}-{number}")
    for path in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(blocks_of(path.read_text(encoding="utf-8")))
    if block.reason is None
]


def test_the_guides_have_commands_to_run() -> None:
    assert len(BLOCKS) >= 4


@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_run(block: Block, checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    block.run(checkout, stranger_environ, timeout_seconds=200)
