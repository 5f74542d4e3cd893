"""A short round of chaos of each kind; `make chaos` runs long ones."""

from __future__ import annotations

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.chaos.dagster_runs import DagsterRuns
from tests.chaos.rounds import Size, run_round


def test_a_backfill_in_a_storm_is_complete_and_nothing_is_lost_or_doubled(
    fresh_postgres_server: PostgresServer, fresh_redis_server: RedisServer
) -> None:
    size = Size(last_month="2024-02", corpus=1.0, kills=8, pause_seconds=0.1)
    result = run_round(11, size, fresh_postgres_server, fresh_redis_server)
    print(result)  # the seed, for whoever has to look into it
    assert result.injected["worker"] > 0
    assert result.injected["fault poison"] > 0
    assert result.verdict.failures > 0
    assert result.verdict.good, str(result)


def test_so_is_one_whose_workers_are_processes_of_dagster(
    fresh_postgres_server: PostgresServer, fresh_redis_server: RedisServer
) -> None:
    size = Size(last_month="2024-01", corpus=1.0, kills=3, pause_seconds=0.5, poisoned=())
    result = run_round(12, size, fresh_postgres_server, fresh_redis_server, DagsterRuns)
    print(result)
    assert result.injected["worker"] > 0
    assert result.verdict.good, str(result)
