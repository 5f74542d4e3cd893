"""Which texts may begin the names of our keys."""

from __future__ import annotations

import pytest

from courtlistener_assets.settings import Settings
from resources.connections.redis_address import keys_at
from resources.errors import SettingError


@pytest.mark.parametrize("prefix", ["courtlistener", "{courtlistener}", "team:{cl}", "a.b-c_1:x", "{a}:b"])
def test_a_prefix_of_names_is_taken(prefix: str) -> None:
    assert Settings.from_environ({"COURTLISTENER_REDIS_PREFIX": prefix}).redis_prefix == prefix
    assert keys_at("redis://localhost", prefix).permits("a") == f"{prefix}:permits:a"


@pytest.mark.parametrize(
    "prefix",
    [
        "a\nuser evil on nopass +@all ~*",
        "court*",
        "court?",
        "[ab]",
        "a b",
        "{a",
        "a}",
        "{}",
        "{a}{b}",
        "{{a}}",
        "é",
        "a" * 101,
    ],
)
def test_a_pattern_or_another_line_is_refused_and_it_is_said_what_may_stand(prefix: str) -> None:
    with pytest.raises(
        SettingError, match=r"COURTLISTENER_REDIS_PREFIX: .*letters, digits and _ - \. : in it, and one pair"
    ):
        Settings.from_environ({"COURTLISTENER_REDIS_PREFIX": prefix})
    with pytest.raises(SettingError, match="cannot begin the names of keys"):
        keys_at("redis://localhost", prefix)
