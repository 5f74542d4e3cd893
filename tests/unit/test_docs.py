"""The documentation says what the code does: reference, links, navigation, commands, settings."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]

from courtlistener_assets.cli import main as command
from resources import errors
from tests.acceptance.readme_blocks import ROOT, Block, blocks_of

DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
NAMES = {path: str(path.relative_to(DOCS)) for path in PAGES}
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FILE = re.compile(r"`((?:tests|resources|courtlistener_assets|deploy|docs|lua|bench)/[\w./-]+)`")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def pages(entry: Any) -> Iterator[str]:
    """All page paths of a part of MkDocs' navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for child in entry.values() if isinstance(entry, dict) else entry:
            yield from pages(child)


def blocks() -> Iterator[tuple[Path, Block]]:
    for path in PAGES:
        for block in blocks_of(path.read_text(encoding="utf-8")):
            yield path, block


def test_the_reference_is_what_the_code_says() -> None:
    ended = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]


@pytest.mark.parametrize("path", PAGES, ids=NAMES.get)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = _LINK.findall(_CODE.sub("", path.read_text(encoding="utf-8")))
    local = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith(("#", "mailto:"))]
    # Links of a page are relative to where it stands among the pages, also if it is a link to a file elsewhere.
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_every_page_is_in_the_navigation_and_every_entry_is_a_page() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = list(pages(navigation))
    assert len(listed) == len(set(listed))
    assert set(listed) == set(NAMES.values())


@pytest.mark.parametrize(("path", "block"), [b for b in blocks() if b[1].reason is not None], ids=str)
def test_a_block_that_is_not_run_says_why(path: Path, block: Block) -> None:
    assert block.reason is not None
    assert len(block.reason.split()) >= 2
    for test in re.findall(r"tests/\S+\.py", block.reason):
        assert (ROOT / test).exists()


def test_every_command_of_ours_exists() -> None:
    known = set(getattr(command, "commands", {}))
    ours = re.compile(r"^courtlistener ([\w-]+)", re.MULTILINE)
    named = {name for _, block in blocks() for name in ours.findall(block.script)}
    assert named
    assert named <= known
    assert all(isinstance(each, click.Command) for each in getattr(command, "commands", {}).values())


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert "demo" in named
    assert named - targets == set()


@pytest.mark.parametrize("path", PAGES, ids=NAMES.get)
def test_every_setting_that_a_page_names_is_one(path: Path) -> None:
    known = set(tomllib.loads((DOCS / "settings.toml").read_text(encoding="utf-8")))
    named = set(re.findall(r"\bCOURTLISTENER_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    assert named - known == set()


def test_the_readme_has_the_defaults_of_the_settings() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| `([^`]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    reference = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    known = dict(re.findall(r"^## `([A-Z_]+)`$.*?^\* Default: `([^`\n]*)`$", reference, re.MULTILINE | re.DOTALL))
    assert {"COURTLISTENER_MAX_WAIT_SECONDS", "COURTLISTENER_RATE_LIMITS"} <= {name for name, _ in rows}
    assert [(name, default) for name, default in rows if known.get(name, default) != default] == []


def test_every_error_that_a_guide_names_is_one() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "guide").glob("*.md"))
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", text))
    known = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert {"TransientApiError", "UnusableRecord"} <= named
    assert {name for name in named if name.endswith(("Error", "Record", "Rejected", "Failed", "Denied"))} <= known


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda path: path.name)
def test_every_file_that_a_page_names_exists(path: Path) -> None:
    named = set(_FILE.findall(path.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
