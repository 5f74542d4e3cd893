"""Suites of other folders, to run with the fixtures of this one."""

from __future__ import annotations

from types import ModuleType


def suite_of(*suites: ModuleType) -> dict[str, object]:
    """The tests of some modules by their names, to become those of another one."""
    return {name: test for suite in suites for name, test in vars(suite).items() if name.startswith("test_")}
