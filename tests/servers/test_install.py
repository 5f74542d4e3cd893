"""A first install on the distribution's Postgres, with our own connections through PgBouncer in transaction mode."""

from __future__ import annotations

import pytest

from tests.integration import test_first_install as first_install
from tests.servers.suites import suite_of

globals().update(suite_of(first_install))
empty_database = first_install.empty_database


@pytest.fixture
def port(ports: dict[str, int]) -> int:
    """Where our own connections go."""
    return ports["transaction"]
