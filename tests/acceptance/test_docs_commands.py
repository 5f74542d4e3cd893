"""Every command in the guides runs, or says why not; `readme_blocks.py` has the rules.

All blocks of a page are run in one checkout, one after the other, as a reader would who has left `courtlistener run`
open: to start the servers takes longer than most commands, and that a command starts them is for `test_cli.py` to see.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
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


@pytest.fixture(scope="module")
def _servers(checkout: Path, stranger_environ: Mapping[str, str]) -> Iterator[None]:
    """The servers of the checkout, up until the shell in them has no more to read."""
    shell = subprocess.Popen(
        ["courtlistener", "run", "sh", "-c", "echo up && cat"],
        cwd=checkout,
        env=stranger_environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout
    assert shell.stdout.readline() == "up\n"
    yield
    shell.communicate(timeout=60)
    assert shell.returncode == 0


@pytest.mark.usefixtures("_servers")
@pytest.mark.parametrize("block", BLOCKS)
def test_the_commands_run(block: Block, checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    block.run(checkout, stranger_environ, timeout_seconds=200)
