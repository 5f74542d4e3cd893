"""A checkout of its own for tests that start the whole thing."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.in_memory import in_memory

ROOT = Path(__file__).parents[2]
#: What the commands write; everything else of the checkout is shared.
_WRITTEN = {".demo", ".dagster", ".services", "data", "tests"}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A directory that looks like this checkout, but in which nothing has been run yet.

    Not below pytest's own temporary directory: the user who runs Postgres for root may not enter that.
    """
    with tempfile.TemporaryDirectory(prefix="checkout-", dir=in_memory()) as name:
        path = Path(name)
        path.chmod(0o711)
        for entry in ROOT.iterdir():
            if entry.name not in _WRITTEN:
                (path / entry.name).symlink_to(entry)
        yield path


@pytest.fixture(scope="module")
def stranger_environ() -> Mapping[str, str]:
    """The environment of somebody who has set nothing, with the virtual environment's commands on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COURTLISTENER_", "DAGSTER_"))}
    for name in ("REDIS_URL", "REDIS_HOST", "AIRFLOW_CONN_REDIS_DEFAULT", "POSTGRES_URL"):
        kept.pop(name, None)
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        # What is installed stays as it is: `make install` would bind it to a checkout that is about to be deleted.
        "MAKEFLAGS": "INSTALLED= LOCAL=",
    }
