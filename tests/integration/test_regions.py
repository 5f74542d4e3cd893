"""Workers of two regions under one quota, one of them 100 ms away from Redis and Postgres: nothing is refused."""

from __future__ import annotations

from bench.limiter.regions import Home, shared
from courtlistener_assets.devkit.servers.redis_server import RedisServer


def test_a_region_that_is_far_away_gets_its_share_and_is_never_refused(
    redis_server: RedisServer, redis_client: object, database_url: str
) -> None:
    found = shared(Home(redis_server.url, database_url), near=2, far=2, distance_ms=100, seconds=3.2)
    assert (found["refused"], found["errors"]) == (0, 0)
    assert found["near"] > 0
    assert found["far"] > 0
