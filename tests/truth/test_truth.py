"""Two rounds of truth; `make truth` runs twenty."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.truth.operator import quiet
from tests.truth.rounds import run_round

_CHANGES = 200


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    quiet()
    yield
    logging.disable(logging.NOTSET)


# Twice the time that a busy machine of two cores takes.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [101])
def test_after_a_history_of_changes_what_is_stored_equals_what_the_server_has(
    seed: int, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    result = run_round(seed, _CHANGES, postgres_server, redis_server)
    print(result)  # the seed, for whoever has to look into it
    print(*result.explained(), sep="\n")
    assert result.changes == _CHANGES
    assert result.good
