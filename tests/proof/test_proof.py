"""The permit path keeps its invariants in all states of the small instances; `make prove` searches the large ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import pytest

from tests.acceptance.readme_blocks import ROOT
from tests.proof.checker import Step, check
from tests.proof.instances import BACKED_UP, MUTATIONS, SMALL, Mutation
from tests.proof.model import INVARIANTS, Guards, PermitPath, Size

GUARDS = {guard.name for guard in fields(Guards)}
_ROW = re.compile(r"^\| (?P<rule>[^|]+) \| (?P<code>[^|]+) \| (?P<guards>[^|]+) \| (?P<test>[^|]+) \|$", re.MULTILINE)
_NAME = re.compile(r"`([\w/.]+)`(?:: `(\w+)`)?")


@pytest.mark.parametrize("size", SMALL.values(), ids=SMALL)
def test_every_invariant_holds_in_every_state(size: Size) -> None:
    result = check(PermitPath(size))
    assert (result.broken, result.story) == ("", [])
    assert result.complete
    assert result.states > 100


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_without_a_guard_the_checker_finds_a_history_that_breaks_an_invariant(mutation: Mutation) -> None:
    result = check(mutation.model)
    assert result.broken == mutation.breaks, "\n".join(result.story)
    assert len(result.story) > 5


@pytest.mark.parametrize("guard", BACKED_UP)
def test_what_another_guard_backs_up_is_known(guard: str) -> None:
    result = check(PermitPath(BACKED_UP[guard], replace(Guards(), **{guard: False})))
    assert (result.broken, result.story) == ("", [])


def test_each_guard_is_needed_or_backs_another_up() -> None:
    assert {guard for mutation in MUTATIONS.values() for guard in mutation.without} | set(BACKED_UP) == GUARDS


@dataclass
class Counter:
    """Counts to `last`, from which there is no way on; 3 breaks an invariant if `fragile`."""

    last: int
    fragile: bool = False

    def first(self) -> bytes:
        return bytes([0])

    def steps(self, state: bytes) -> Iterator[Step]:
        number = state[0]
        yield ("again",), bytes([0]), number == self.last, number == 0, ""
        if number < self.last:
            broken = "fragile" if self.fragile and number == 2 else ""
            yield ("count",), bytes([number + 1]), False, False, broken

    def tell(self, path: list[bytes]) -> list[str]:
        return [str(state[0]) for state in path]


def test_the_checker_finds_the_shortest_way_to_what_must_not_be() -> None:
    result = check(Counter(5, fragile=True))
    assert (result.broken, result.story) == ("fragile", ["0", "1", "2", "3"])


def test_the_checker_finds_where_there_is_no_way_on_but_a_fault() -> None:
    result = check(Counter(5))
    assert (result.states, result.depth, result.complete) == (6, 5, True)
    assert (result.broken, result.story) == ("progress", ["0", "1", "2", "3", "4", "5"])


# -- The table of docs/proof.md --

ROWS = [
    row
    for row in _ROW.finditer((ROOT / "docs" / "proof.md").read_text(encoding="utf-8"))
    if row["rule"].strip("- ") not in ("rule", "")
]


def test_every_guard_and_every_invariant_is_in_the_documentation() -> None:
    assert {guard for row in ROWS for guard in re.findall(r"`(\w+)`", row["guards"])} == GUARDS
    page = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    assert [invariant for invariant in INVARIANTS.values() if invariant not in page.replace("\n", " ")] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["rule"])
def test_what_the_table_names_exists(row: re.Match[str]) -> None:
    for kind in ("code", "test"):
        named = _NAME.findall(row[kind])
        assert named, row[kind]
        for path, name in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not name or re.search(rf"\b(?:def|FUNCTION|class|function) (?:courtlistener\.)?{name}\b", text), name
