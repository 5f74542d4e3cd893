"""The commands in README.md.

A fenced block ```bash or ```console is one script. In a `console` block with prompts, the commands are the lines that
begin with `$ ` (with `> ` for continuations) and the others are output; without prompts, all lines are commands. A
block after a line `<!-- not run: REASON -->` is left out by `test_readme.py`; the reason says which test runs it
instead, or why nothing can. Blocks of other languages are not commands.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^<!-- not run:(?P<reason>.*?)-->[ ]*\n+)?^```(?P<language>bash|console|sh|shell)\n(?P<body>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of commands; `reason` is None when it must run."""

    script: str
    reason: str | None

    @property
    def title(self) -> str:
        return self.script.strip().partition("\n")[0][:60]

    def run(self, checkout: Path, environ: Mapping[str, str], *, timeout_seconds: float) -> None:
        """Run the script in bash, which stops at the first command that fails; that fails the test, with its output."""
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.script],
            cwd=checkout,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_seconds,
        )
        assert ended.returncode == 0, f"{self.script}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"


def blocks_of(text: str) -> list[Block]:
    """All blocks of commands of a Markdown text."""
    return [Block(_script(found["language"], found["body"]), found["reason"]) for found in _BLOCK.finditer(text)]


def readme_blocks() -> list[Block]:
    """All blocks of commands of README.md."""
    return blocks_of((ROOT / "README.md").read_text(encoding="utf-8"))


def _script(language: str, body: str) -> str:
    lines = body.splitlines(keepends=True)
    if language == "console" and any(line.startswith("$ ") for line in lines):
        return "".join(line[2:] for line in lines if line.startswith(("$ ", "> ")))
    return body
