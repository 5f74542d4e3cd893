"""The Redis user of deploy/redis-users.acl on the distribution's Redis, which may be older than the embedded server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration import test_acl as acl
from tests.servers.distribution import DistributionRedis
from tests.servers.suites import suite_of

globals().update(suite_of(acl))
admin, worker = acl.admin, acl.worker


class ConfinedDistribution(acl.ConfinedServer, DistributionRedis):
    """The distribution's server, with the users of the file."""


@pytest.fixture(scope="module")
def confined() -> Iterator[acl.ConfinedServer]:
    with ConfinedDistribution() as server:
        yield server
