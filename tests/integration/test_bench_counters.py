"""What the benchmark of the limiter counts at real servers, and how far it puts them away."""

from __future__ import annotations

import time

import psycopg
import pytest
import redis

from bench.limiter.durability import durability
from bench.limiter.forwarder import Forwarder
from bench.limiter.monitor import ClientCommands
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer


def test_commands_inside_scripts_are_not_those_of_clients(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client, ClientCommands(redis_server.url) as commands:
        script = client.register_script("for i = 1, 10 do redis.call('GET', 'a') end")
        script()
        before = commands.count()
        for _ in range(50):
            script()
        client.get('[0 lua] "GET"\r\n')
        together = client.pipeline(transaction=True)
        together.get("a")
        together.execute()
        assert commands.count() - before == 50 + 1 + 3
        assert commands.count() - before == 50 + 1 + 3


def test_round_trips_to_postgres_are_counted_and_take_as_long_as_they_should(postgres_server: PostgresServer) -> None:
    door = Forwarder(postgres_server.port, delay_seconds=0.05, postgres=True)
    url = f"postgresql://courtlistener@127.0.0.1:{door.port}/courtlistener?sslmode=disable&gssencmode=disable"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT 1")
        trips, statements, began = door.round_trips, door.statements, time.monotonic()
        connection.execute("SELECT repeat('Z', 200000)")
        assert time.monotonic() - began >= 0.1
        connection.execute("BEGIN; SELECT 1; COMMIT")
        assert (door.round_trips - trips, door.statements - statements) == (2, 4)
    door.close()


def test_figures_of_a_postgres_that_may_lose_commits_are_refused(postgres_server: PostgresServer) -> None:
    with pytest.raises(ValueError, match="fsync"):
        durability(postgres_server)
    with PostgresServer(durable=True) as durable:
        assert durability(durable).startswith("fsync on, synchronous_commit on, full_page_writes on; an fsync of ")
