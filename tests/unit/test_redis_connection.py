"""Addresses of Redis that cannot be read."""

from __future__ import annotations

import pytest

from resources.connections.redis_address import address_in, connect, keys_at, options_of
from resources.errors import SettingError


@pytest.mark.parametrize(
    "url",
    [
        "redis://:zebra#walrus@cache/0",
        "redis://:12#walrus@cache/0",
        "redis://:zebra/walrus@cache/0",
        "redis://:zebra[walrus@cache/0?password_file=/run/word",
        "redis://:quokka@cache:zebra/0",
        "redis://:quokka@cache/0?socket_timeout=zebra",
        "redis+sentinel://:quokka@one:26379,two:zebra/main",
        "redis+sentinel://:quokka@one:26379,two:26379",
        "redis+sentinel://:quokka@one:26379/main/zebra",
        "rediss+sentinel://:zebra#walrus@one/main",
        "redis+cluster://:quokka@one:6379,two:6379/1",
        "redis+cluster://:quokka@one:6379,,two:99999",
        "redis://:quokka@one:6379,two:6379/0",
    ],
)
def test_an_address_that_cannot_be_read_is_named_without_any_piece_of_its_password(url: str) -> None:
    with pytest.raises(SettingError, match="REDIS_URL cannot be read: the address must be like redis") as raised:
        connect(url)
    assert not [piece for piece in ("zebra", "walrus", "quokka") if piece in str(raised.value)]


def test_addresses_of_each_kind_are_read() -> None:
    for url in (
        "redis://cache",
        "rediss://u:p%40ss@cache:6380/2",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379/0",
        "redis+sentinel://u:p%40ss@one:26379,[::1]/main/2?sentinel_password=word",
        "rediss+sentinel://one,two/main?ssl_ca_certs=/ca.pem",
        "redis+cluster://:word@one,two:7000",
        "rediss+cluster://one:7000?password_file=/run/word&socket_timeout=3",
    ):
        connect(url).close()


def test_sentinels_have_a_login_and_a_database_of_their_own() -> None:
    address = address_in(
        "rediss+sentinel://u:p%40ss@one,two:7/main/2?sentinel_username=s&sentinel_password=w%23&ssl_ca_certs=/ca.pem"
    )
    assert (address.places, address.service) == ((("one", 26379), ("two", 7)), "main")
    servers, sentinels = (options_of(url, {}) for url in (address.url, address.sentinel_url))
    assert [servers[name] for name in ("username", "password", "db")] == ["u", "p@ss", 2]
    assert [sentinels[name] for name in ("username", "password", "db")] == ["s", "w#", 0]
    for options in (servers, sentinels):
        assert (options["ssl_ca_certs"], options["ssl_cert_reqs"], options["ssl_check_hostname"]) == (
            "/ca.pem",
            "required",
            True,
        )
    assert "p@ss" not in repr(address)


def test_sentinels_without_a_login_do_not_get_that_of_the_servers() -> None:
    address = address_in("redis+sentinel://:word@one/main?password_file=/run/word")
    assert not {"username", "password", "credential_provider"} & options_of(address.sentinel_url, {}).keys()


@pytest.mark.parametrize(
    ("url", "prefix", "used"),
    [
        ("redis://cache", "courtlistener", "courtlistener"),
        ("redis+sentinel://one/main", "courtlistener", "courtlistener"),
        ("redis+cluster://one", "courtlistener", "{courtlistener}"),
        ("rediss+cluster://one", "{ours}:a", "{ours}:a"),
    ],
)
def test_keys_of_a_cluster_are_in_one_slot(url: str, prefix: str, used: str) -> None:
    assert keys_at(url, prefix).prefix == used
