"""Where `make dev` keeps what was downloaded, and that an earlier version's downloads come along."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import redis

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.session.places import POSTGRES, REDIS, move_downloads, servers_directory
from resources.errors import EmbeddedServerFailed

TOKEN = {"COURTLISTENER_API_TOKEN": "anything"}


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        (TOKEN, "data/servers"),
        (TOKEN | {"COURTLISTENER_DATA_DIR": "elsewhere"}, "elsewhere/servers"),
        (TOKEN | {"COURTLISTENER_DATA_DIR": "memory://bucket/data"}, "data/servers"),
    ],
)
def test_what_is_downloaded_lies_in_the_data_directory(tmp_path: Path, environ: dict[str, str], place: str) -> None:
    assert servers_directory(tmp_path, environ, corpus=None, simulated=False) == tmp_path / place


def test_a_data_directory_may_be_anywhere(tmp_path: Path) -> None:
    environ = TOKEN | {"COURTLISTENER_DATA_DIR": str(tmp_path / "disk")}
    assert servers_directory(Path("/checkout"), environ, corpus=None, simulated=False) == tmp_path / "disk" / "servers"


def test_what_is_simulated_lies_apart(tmp_path: Path) -> None:
    assert servers_directory(tmp_path, {}, corpus=None, simulated=True) == tmp_path / ".services" / "simulated"


def test_downloads_of_an_earlier_version_are_moved_with_all_that_is_in_them(tmp_path: Path) -> None:
    before, now = tmp_path / ".services" / "live", tmp_path / "data" / "servers"
    with PostgresServer(before / POSTGRES) as postgres, RedisServer(before / REDIS) as valkey:
        with psycopg.connect(postgres.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        redis.Redis.from_url(valkey.url).set("kept", "one")
    move_downloads(tmp_path, now)
    assert not (before / POSTGRES).exists()
    with PostgresServer(now / POSTGRES) as postgres, RedisServer(now / REDIS) as valkey:
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]
        assert redis.Redis.from_url(valkey.url).get("kept") == b"one"


def test_what_is_in_both_places_stays_in_both(tmp_path: Path) -> None:
    for place in (
        before := tmp_path / ".services" / "live" / POSTGRES,
        now := tmp_path / "data" / "servers" / POSTGRES,
    ):
        place.mkdir(parents=True)
    move_downloads(tmp_path, tmp_path / "data" / "servers")
    assert before.exists()
    assert now.exists()


def test_what_cannot_be_moved_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(18, "Invalid cross-device link")

    with RedisServer(tmp_path / ".services" / "live" / REDIS):
        pass
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(
        EmbeddedServerFailed, match=r"move .*/\.services/live/valkey to .*/data/servers/valkey yourself"
    ):
        move_downloads(tmp_path, tmp_path / "data" / "servers")
