"""`courtlistener requeue`, against a real Postgres and a real Redis."""

from __future__ import annotations

import pytest
import redis
from click.testing import CliRunner

from courtlistener_assets.cli import main
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database

MONTH, FEBRUARY = "scotus|2024-01-01", "scotus|2024-02-01"


@pytest.fixture
def dead(
    database: Database,
    database_url: str,
    redis_server: RedisServer,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> Database:
    """Two dead dockets of a month, one of another, and an entry that could not be read."""
    for name, value in {"POSTGRES_URL": database_url, "REDIS_URL": redis_server.url}.items():
        monkeypatch.setenv(name, value)
    rows = [("dockets", MONTH, 7), ("dockets", MONTH, 8), ("dockets", FEBRUARY, 9), ("", "", None)]
    with database.transaction() as connection:
        for asset, partition, docket_id in rows:
            connection.execute(
                "INSERT INTO courtlistener.failures (asset, partition, sweep, docket_id, error, message, dead_at) "
                "VALUES (%s, %s, 'x', %s, 'TransientApiError', '500', now())",
                (asset, partition, docket_id),
            )
    return database


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--docket", "8"], [7, 9, None]),
        (["--docket", "7", "--docket", "9"], [8, None]),
        (["--partition", MONTH], [9, None]),
        (["--all"], [None]),
        (["--all", "--drop"], [7, 8, 9]),
    ],
)
def test_dead_failures_are_requeued_by_docket_by_partition_or_all(
    dead: Database, arguments: list[str], left: list[int | None]
) -> None:
    ended = CliRunner().invoke(main, ["requeue", *arguments], catch_exceptions=False)
    assert ended.exit_code == 0
    assert ended.output.startswith(str(4 - len(left)))
    rows = "SELECT docket_id FROM courtlistener.failures WHERE state = 'dead' ORDER BY docket_id"
    assert [id for (id,) in dead.rows(rows)] == left


@pytest.mark.parametrize("arguments", [[], ["--drop"], ["--all", "--docket", "7"]])
def test_everything_is_meant_only_where_it_is_said(arguments: list[str]) -> None:
    ended = CliRunner().invoke(main, ["requeue", *arguments])
    assert ended.exit_code == 2
    assert "say --all" in ended.output
