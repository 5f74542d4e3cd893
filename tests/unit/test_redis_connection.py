"""Addresses of Redis that cannot be read."""

from __future__ import annotations

import pytest

from resources.connections.redis_address import connect
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
    ],
)
def test_an_address_that_cannot_be_read_is_named_without_any_piece_of_its_password(url: str) -> None:
    with pytest.raises(SettingError, match="REDIS_URL cannot be read: the address must be like redis://") as raised:
        connect(url)
    assert not [piece for piece in ("zebra", "walrus", "quokka") if piece in str(raised.value)]


def test_addresses_of_each_kind_are_read() -> None:
    for url in (
        "redis://cache",
        "rediss://u:p%40ss@cache:6380/2",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379/0",
    ):
        connect(url).close()
