"""Opening the instance of DAGSTER_HOME in the process of a command.

Belongs here: that it finds its variables, and what is wrong in words. Does not belong here: what the variables are
(`devkit/session/instance.py`, `deploy/`), or what is read from the instance.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resources.errors import SettingError

if TYPE_CHECKING:
    import dagster as dg


@contextmanager
def dagster_instance(home: str, environ: Mapping[str, str]) -> Iterator[dg.DagsterInstance]:
    """The instance in a directory, with the variables of an environment that its dagster.yaml names.

    Raises SettingError if it cannot be opened: the file or a variable is wrong, or its storage does not answer.
    """
    import dagster as dg  # Two seconds, which not all commands need.

    with _known(environ):
        try:
            instance = dg.DagsterInstance.from_config(home)
        except Exception as problem:  # Dagster, its YAML reader, SQLAlchemy and the driver each raise their own.
            raise SettingError(f"The instance of Dagster in {home} cannot be opened: {in_words(problem)}") from problem
        with instance:
            yield instance


def in_words(problem: Exception) -> str:
    """What is wrong, without the Python of an error that Dagster makes of a list of errors."""
    text = " ".join(str(problem).split())
    if missing := re.search(r"environment variable \W*(\w+)\W* which is not set", text):
        return f"dagster.yaml names the variable {missing[1]}, which is not set"
    return text[:500]


@contextmanager
def _known(environ: Mapping[str, str]) -> Iterator[None]:
    """Let Dagster find variables: it looks for them in the process, which those of a session are not in."""
    added = {name: value for name, value in environ.items() if name.startswith("DAGSTER_") and name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
