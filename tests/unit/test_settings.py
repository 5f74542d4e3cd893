"""Settings from environment variables."""

from datetime import date
from pathlib import Path

import pytest

from courtlistener_assets.settings import Settings
from resources.errors import SettingError


def test_every_setting_has_a_default() -> None:
    settings = Settings.from_environ({})
    assert settings.base_url == "https://www.courtlistener.com"
    assert settings.courts == ("scotus", "ca9")
    assert settings.first_month == date(2015, 1, 1)
    assert settings.data_dir == Path("data")
    assert settings.rate_limits == "5/min,50/hour,125/day"
    assert settings.redis_url == "redis://localhost:6379/0"
    assert settings.api_token is None


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"COURTLISTENER_FIRST_MONTH": " "}).first_month == date(2015, 1, 1)


def test_courts_are_read_in_order_without_repetition() -> None:
    assert Settings.from_environ({"COURTLISTENER_COURTS": "nysd, ca9,nysd"}).courts == ("nysd", "ca9")


def test_a_redis_address_is_made_of_its_parts() -> None:
    parts = {"REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_DB": "2", "REDIS_SSL": "true"}
    assert Settings.from_environ(parts).redis_url == "rediss://cache:6380/2"
    assert Settings.from_environ(parts | {"REDIS_PASSWORD": "p@ss/w"}).redis_url == "rediss://:p%40ss%2Fw@cache:6380/2"


def test_settings_do_not_show_their_secrets() -> None:
    secrets = {
        "COURTLISTENER_API_TOKEN": "a-token",
        "REDIS_PASSWORD": "a-word",
        "POSTGRES_URL": "postgresql://u:a-pw@h/d",
    }
    shown = repr(Settings.from_environ(secrets))
    assert not [secret for secret in ("a-token", "a-word", "a-pw") if secret in shown]


@pytest.mark.parametrize(
    "address",
    ["https://www.courtlistener.com", "https://www.courtlistener.com/", "https://www.courtlistener.com/api/rest/v4/"],
)
def test_an_address_is_taken_with_or_without_the_api_path(address: str) -> None:
    assert Settings.from_environ({"COURTLISTENER_BASE_URL": address}).base_url == "https://www.courtlistener.com"


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
def test_plain_http_is_allowed_on_loopback(address: str) -> None:
    assert Settings.from_environ({"COURTLISTENER_BASE_URL": address}).base_url == address


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("COURTLISTENER_BASE_URL", "http://example.com", "use https"),
        ("COURTLISTENER_BASE_URL", "http://127.0.0.1.example.com", "use https"),
        ("COURTLISTENER_BASE_URL", "ftp://example.com", "not an address"),
        ("COURTLISTENER_BASE_URL", "https://user:pw@example.com", "without path or user"),
        ("COURTLISTENER_BASE_URL", "https://example.com/other", "without path or user"),
        ("COURTLISTENER_COURTS", "ca99", "did you mean"),
        ("COURTLISTENER_FIRST_MONTH", "January", "not a month such as 2015-01"),
        ("COURTLISTENER_FIRST_MONTH", "2015-13", "not a month such as 2015-01"),
        ("COURTLISTENER_RATE_LIMITS", "5 per minute", "not like 5/min"),
        ("COURTLISTENER_MAX_WAIT_SECONDS", "soon", "not a number"),
        ("COURTLISTENER_MAX_WAIT_SECONDS", "0", "above 0"),
        ("COURTLISTENER_WORKERS", "0", "from 1 to 64"),
        ("COURTLISTENER_RESERVE_SHARE", "1", "a share"),
        ("COURTLISTENER_SHARED_HOUR_LIMIT", "-1", "not a whole number"),
        ("COURTLISTENER_ACCOUNT", "our account", "letters, digits"),
        ("REDIS_URL", "localhost", "not an address such as redis://"),
        ("REDIS_PORT", "default", "not a whole number"),
        ("REDIS_SSL", "maybe", "neither true nor false"),
        ("POSTGRES_URL", "mysql://localhost", "not an address such as postgresql://"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError, match=expected) as raised:
        Settings.from_environ({name: value})
    assert name in str(raised.value)


def test_a_wrong_address_does_not_show_its_password() -> None:
    with pytest.raises(SettingError) as raised:
        Settings.from_environ({"POSTGRES_URL": "mysql://user:secret@localhost"})
    assert "secret" not in str(raised.value)
