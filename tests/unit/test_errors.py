"""The tree of errors, as it is drawn for readers and as it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources import errors
from resources.errors import CourtListenerAssetsError

ROOT = Path(__file__).parents[2]


def lines(error: type[CourtListenerAssetsError] = CourtListenerAssetsError, before: str = "") -> Iterator[str]:
    children = [child for child in error.__subclasses__() if child.__module__ == errors.__name__]
    for child in children:
        last = child is children[-1]
        yield f"{before}{'`-- ' if last else '|-- '}{child.__name__}{' *' if child.retryable else ''}"
        yield from lines(child, before + ("    " if last else "|   "))


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    # What follows a name explains it.
    names = re.findall(
        r"^    ((?:    |\|   )*(?:[|`]-- )?[A-Z]\w+(?: \*)?)(?:  .*)?$", errors.__doc__ or "", re.MULTILINE
    )
    assert names == ["CourtListenerAssetsError", *lines()]


@pytest.mark.parametrize("folder", ["resources", "courtlistener_assets"])
def test_no_error_of_ours_stands_outside_the_tree(folder: str) -> None:
    known = {name for name in vars(errors) if name[0].isupper()}
    strays = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in (ROOT / folder).rglob("*.py")
        if path != ROOT / "resources" / "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and {base.id for base in node.bases if isinstance(base, ast.Name)} & known
    ]
    assert strays == []
