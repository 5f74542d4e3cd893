"""The variables that a dagster.yaml names, for a command that opens the instance in its own process.

Belongs here: that Dagster finds them. Does not belong here: which there are (`devkit/session/instance.py`, `deploy/`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def known_to_dagster(environ: Mapping[str, str]) -> Iterator[None]:
    """Let Dagster find the variables of an environment: it looks for them in the process, which a session is not in."""
    added = {name: value for name, value in environ.items() if name.startswith("DAGSTER_") and name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
