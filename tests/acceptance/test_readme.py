"""Every command of README.md runs, or says why not; `readme_blocks.py` has the rules.

A block is run by bash in a checkout of its own, with nothing set and the virtual environment's commands on the path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.readme_blocks import ROOT, Block, blocks_of, readme_blocks

BLOCKS = readme_blocks()


def test_the_readme_has_commands() -> None:
    assert BLOCKS


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.reason is not None], ids=lambda block: block.title)
def test_a_block_that_is_not_run_says_why(block: Block) -> None:
    assert block.reason is not None
    assert len(block.reason.split()) >= 2
    for test in re.findall(r"tests/\S+\.py", block.reason):
        assert (ROOT / test).exists()


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.reason is None], ids=lambda block: block.title)
def test_the_commands_run(block: Block, checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    assert "make test" not in block.script, "that would run this test again; mark the block as not run"
    block.run(checkout, stranger_environ, timeout_seconds=280)


def test_blocks_are_found_with_their_language_prompts_and_reasons() -> None:
    text = """
```bash
make demo
```
<!-- not run: needs a token -->

```console
$ export A=1 \\
> B=2
output
```
```python
print()
```
```console
make test
```
"""
    assert blocks_of(text) == [
        Block("make demo\n", None),
        Block("export A=1 \\\nB=2\n", " needs a token "),
        Block("make test\n", None),
    ]
