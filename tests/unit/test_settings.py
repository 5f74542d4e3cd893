"""Settings from environment variables."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from courtlistener_assets.settings import Settings, catch_up_times
from resources.errors import SettingError


def test_every_setting_has_a_default() -> None:
    settings = Settings.from_environ({})
    assert settings.base_url == "https://www.courtlistener.com"
    assert settings.courts == ("scotus", "ca9")
    assert settings.first_month == date(2015, 1, 1)
    assert settings.data_dir == Path("data")
    assert settings.rate_limits == "5/min,50/hour,125/day"
    assert settings.redis_url == "redis://localhost:6379/0"
    assert settings.api_token == ""


def test_values_in_code_are_read_as_those_of_the_environment() -> None:
    assert Settings() == Settings.from_environ({})
    settings = Settings(courts=["nysd", "ca9"], first_month="2020-02", workers="8", reserve_share=0)  # type: ignore[arg-type]
    assert (settings.courts, settings.first_month) == (("nysd", "ca9"), date(2020, 2, 1))
    assert (settings.workers, settings.reserve_share) == (8, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("base_url", "http://example.com", "use https"),
        ("courts", ["CA9"], "did you mean ca9"),
        ("courts", [], "names no court"),
        ("first_month", date(2015, 1, 15), "not a month such as 2015-01"),
        ("account", "our account", "letters, digits"),
        ("workers", 0, "from 1 to 64"),
        ("max_wait_seconds", "soon", "not a number"),
        ("grouped", ["F", "fd"], "did you mean FD"),
        ("catch_up", "sometimes", "neither hourly, daily nor a cron expression"),
        ("catch_up", "0 5 1 1 *", "less often than once a month"),
        ("refresh_days", -1, "a whole number of days"),
        ("api_token_file", "/no/such/file", "cannot be read"),
        ("postgres_url", "mysql://localhost", "not an address such as postgresql://"),
    ],
)
def test_a_wrong_value_in_code_is_named_by_its_field(name: str, value: object, expected: str) -> None:
    with pytest.raises(SettingError, match=expected) as raised:
        Settings(**{name: value})  # type: ignore[arg-type]
    assert str(raised.value).startswith(name)


@pytest.mark.parametrize(
    ("value", "cron", "every"),
    [
        ("hourly", "20 * * * *", timedelta(hours=1)),
        ("daily", "30 3 * * *", timedelta(days=1)),
        ("0 6 * * 1-5", "0 6 * * 1-5", timedelta(days=3)),  # over the weekend
        ("0 0 1 * *", "0 0 1 * *", timedelta(days=31)),
    ],
)
def test_a_catch_up_is_hourly_daily_or_at_the_moments_of_a_cron_expression(
    value: str, cron: str, every: timedelta
) -> None:
    assert catch_up_times(Settings.from_environ({"COURTLISTENER_CATCH_UP": value}).catch_up) == (cron, every)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"COURTLISTENER_FIRST_MONTH": " "}).first_month == date(2015, 1, 1)


def test_courts_are_read_in_order_without_repetition() -> None:
    assert Settings.from_environ({"COURTLISTENER_COURTS": "nysd, ca9,nysd"}).courts == ("nysd", "ca9")


def test_a_redis_address_is_made_of_its_parts() -> None:
    parts = {"REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_DB": "2", "REDIS_SSL": "true"}
    assert Settings.from_environ(parts).redis_url == "rediss://cache:6380/2"
    assert Settings.from_environ(parts | {"REDIS_PASSWORD": "p@ss/w"}).redis_url == "rediss://:p%40ss%2Fw@cache:6380/2"


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        ("redis://:p%40ss@cache:6380/2", "redis://:p%40ss@cache:6380/2"),
        ("redis://worker:word@cache?db=1", "redis://worker:word@cache:6379/1"),
        ("redis://cache/?db=1&ssl=True&ssl_ca_certs=/ca.pem", "rediss://cache:6379/1?ssl_ca_certs=%2Fca.pem"),
        ("redis://cache?__extra__=%7B%22db%22%3A+3%2C+%22ssl%22%3A+true%7D", "rediss://cache:6379/3"),
        ("redis://[::1]:6380", "redis://[::1]:6380/0"),
        (
            '{"conn_type": "redis", "host": "cache", "port": 6380, "password": "p@s", "extra": {"db": 0, "ssl": true}}',
            "rediss://:p%40s@cache:6380/0",
        ),
        (
            '{"conn_type": "redis", "login": "w", "port": "6380", "extra": "{\\"db\\": 4}"}',
            "redis://w:@localhost:6380/4",
        ),
    ],
)
def test_airflows_connection_to_redis_is_understood(connection: str, address: str) -> None:
    assert Settings.from_environ({"AIRFLOW_CONN_REDIS_DEFAULT": connection}).redis_url == address


@pytest.mark.parametrize("own", [{"REDIS_URL": "redis://own:6379/0"}, {"REDIS_HOST": "own"}])
def test_airflows_connection_does_not_count_beside_our_own_settings(own: dict[str, str]) -> None:
    both = own | {"AIRFLOW_CONN_REDIS_DEFAULT": "not even readable"}
    assert Settings.from_environ(both).redis_url == "redis://own:6379/0"


def test_log_lines_are_text_unless_json_is_asked_for() -> None:
    assert Settings.from_environ({}).log_format == "text"
    assert Settings.from_environ({"COURTLISTENER_LOG_FORMAT": "json"}).log_format == "json"
    with pytest.raises(SettingError, match="COURTLISTENER_LOG_FORMAT"):
        Settings.from_environ({"COURTLISTENER_LOG_FORMAT": "xml"})


def test_there_are_traces_only_with_the_address_of_a_collector() -> None:
    assert Settings.from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}).otlp_endpoint is None
    address = "http://localhost:4318"
    assert Settings.from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": address}).otlp_endpoint == address
    with pytest.raises(SettingError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        Settings.from_environ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"})


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("master.permits.ab12cd.use1.cache.amazonaws.com", "rediss"),
        ("clustercfg.permits.ab12cd.euw1.cache.amazonaws.com", "rediss"),
        ("permits-ab12cd.serverless.use1.cache.amazonaws.com", "rediss"),
        ("clustercfg.permits.ab12cd.memorydb.us-east-1.amazonaws.com", "rediss"),
        ("permits.redis.cache.windows.net", "rediss"),
        ("permits.westeurope.redis.azure.net", "rediss"),
        # ElastiCache without encryption in transit, Memorystore, a container.
        ("permits.ab12cd.ng.0001.use1.cache.amazonaws.com", "redis"),
        ("10.0.0.3", "redis"),
        ("redis", "redis"),
        ("redis.cache.windows.net.example.com", "redis"),
    ],
)
def test_tls_is_on_for_hosts_of_services_that_encrypt(host: str, scheme: str) -> None:
    assert Settings.from_environ({"REDIS_HOST": host}).redis_url == f"{scheme}://{host}:6379/0"
    assert Settings.from_environ({"REDIS_HOST": host, "REDIS_SSL": "no"}).redis_url.startswith("redis://")
    # What is written out is left alone.
    assert Settings.from_environ({"REDIS_URL": f"redis://{host}/0"}).redis_url == f"redis://{host}/0"


def test_files_of_redis_become_part_of_its_address() -> None:
    files = {"REDIS_CA_CERTS": "/etc/ca.pem", "REDIS_PASSWORD_FILE": "/run/word"}
    encrypted = Settings.from_environ({"REDIS_URL": "rediss://cache/0", **files}).redis_url
    assert encrypted == "rediss://cache/0?password_file=/run/word&ssl_ca_certs=/etc/ca.pem"
    assert Settings.from_environ({"REDIS_URL": encrypted, **files}).redis_url == encrypted
    assert Settings.from_environ(files).redis_url == "redis://localhost:6379/0?password_file=/run/word"


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token\n")
    settings = Settings.from_environ({"COURTLISTENER_API_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.token == "a-token"
    assert "a-token" not in repr(settings)


def test_a_secret_is_given_once() -> None:
    for twice in (
        {"COURTLISTENER_API_TOKEN": "a-token", "COURTLISTENER_API_TOKEN_FILE": "/run/token"},
        {"REDIS_URL": "redis://:a-word@cache/0", "REDIS_PASSWORD_FILE": "/run/word"},
        {"REDIS_PASSWORD": "a-word", "REDIS_PASSWORD_FILE": "/run/word"},
    ):
        with pytest.raises(SettingError, match="_FILE") as raised:
            Settings.from_environ(twice)
        assert not [secret for secret in ("a-token", "a-word") if secret in str(raised.value)]


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
        ("COURTLISTENER_BASE_URL", "ftp://example.com", "must be like https://"),
        ("COURTLISTENER_BASE_URL", "https://user:pw@example.com", "without path or user"),
        ("COURTLISTENER_BASE_URL", "https://example.com/other", "without path or user"),
        ("COURTLISTENER_COURTS", "Scotus", "did you mean scotus"),
        ("COURTLISTENER_FIRST_MONTH", "January", "not a month such as 2015-01"),
        ("COURTLISTENER_LAST_MONTH", "2014-12", "is before COURTLISTENER_FIRST_MONTH=2015-01"),
        ("COURTLISTENER_RUN_DAYS", "-1", "not a whole number of days up to 3650"),
        ("COURTLISTENER_FIRST_MONTH", "2015-13", "not a month such as 2015-01"),
        ("COURTLISTENER_RATE_LIMITS", "5 per minute", "not like 5/min"),
        ("COURTLISTENER_RATE_LIMITS", "99999999999999999999/min", "not like 5/min: 1 to 10,000,000 requests"),
        ("COURTLISTENER_MAX_WAIT_SECONDS", "soon", "not a number"),
        ("COURTLISTENER_MAX_WAIT_SECONDS", "0", "above 0"),
        ("COURTLISTENER_WORKERS", "0", "from 1 to 64"),
        ("COURTLISTENER_DUPLICATES_ACROSS", "states", "neither months nor courts"),
        ("COURTLISTENER_PROCESSES", "-1", "from 0 to 1024"),
        ("COURTLISTENER_RESERVE_SHARE", "1", "a share"),
        ("COURTLISTENER_SHARED_HOUR_LIMIT", "-1", "not a whole number"),
        ("COURTLISTENER_ACCOUNT", "our account", "letters, digits"),
        ("REDIS_URL", "localhost", "must be like redis://"),
        ("REDIS_HOST", "cache:default", "must be like redis://"),
        ("REDIS_URL", "redis://cache:default/0", "cannot be read"),
        ("REDIS_PORT", "default", "not a whole number"),
        ("REDIS_SSL", "maybe", "neither true nor false"),
        ("AIRFLOW_CONN_REDIS_DEFAULT", "http://cache", "cannot be read"),
        ("AIRFLOW_CONN_REDIS_DEFAULT", '{"conn_type": "postgres"}', "connection of type redis"),
        ("AIRFLOW_CONN_REDIS_DEFAULT", "redis://cache?db=one", "connection of type redis"),
        ("AIRFLOW_CONN_REDIS_DEFAULT", "[]", "cannot be read"),
        ("POSTGRES_URL", "mysql://localhost", "not an address such as postgresql://"),
        ("POSTGRES_URL", "postgresql://db:default/x", "cannot be read"),
        ("POSTGRES_URL", "postgresql://db/x?sslmod=verify-full", "cannot be read"),
        ("COURTLISTENER_API_TOKEN_FILE", "/no/such/file", "cannot be read"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError, match=expected) as raised:
        Settings.from_environ({name: value})
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_URL", "mysql://user:zebra@localhost"),
        ("POSTGRES_URL", "mysql://user:zebra[walrus@localhost/x"),
        ("POSTGRES_URL", "postgresql://user:zebra@walrus:quokka@localhost/x"),
        ("AIRFLOW_CONN_REDIS_DEFAULT", "redis://:zebra#walrus@cache/0"),
        ("AIRFLOW_CONN_REDIS_DEFAULT", '{"conn_type": "redis", "password": "zebra", "port": "walrus"}'),
        ("AIRFLOW_CONN_REDIS_DEFAULT", '{"conn_type": "redis", "password": "zebra", walrus'),
        ("REDIS_URL", "http://user:zebra@localhost"),
        ("REDIS_URL", "redis://:zebra#walrus@cache/0"),
        ("REDIS_URL", "redis://:12#walrus@cache/0"),
        ("REDIS_URL", "redis://user:12/walrus@cache/0"),
        ("REDIS_URL", "redis://user:12?walrus@cache/0"),
        ("REDIS_URL", "redis://:zebra[walrus@cache/0"),
        ("REDIS_URL", "redis://:zebra\u2100walrus@cache/0"),
        ("COURTLISTENER_BASE_URL", "ftp://user:zebra@example.com"),
        ("COURTLISTENER_BASE_URL", "https://user:zebra[walrus@example.com"),
        ("COURTLISTENER_BASE_URL", "https://user:zebra#walrus@example.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:zebra[walrus@localhost:4318"),
    ],
)
def test_a_wrong_address_does_not_show_any_piece_of_its_password(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name) as raised:
        Settings.from_environ({name: value})
    assert not [piece for piece in ("zebra", "walrus", "quokka") if piece in str(raised.value)]


def test_a_postgres_password_may_hold_what_libpq_takes() -> None:
    for url in ("postgresql://u:a#b@localhost/x", "postgresql://u:a[b@localhost/x"):
        assert Settings.from_environ({"POSTGRES_URL": url}).postgres_url == url


@pytest.mark.parametrize(
    "place",
    [
        "s3://AKIAEXAMPLE:hush@bucket/data",
        "s3://AKIAEXAMPLE:hu/sh@bucket",
        "s3:/AKIAEXAMPLE:hush@bucket",
        "s3://bucket/data?secret=hush",
        "s3://bucket/data#hush",
        "sftp://loader:hush@host/data",
    ],
)
def test_a_secret_in_the_data_directory_is_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(SettingError, match="COURTLISTENER_DATA_DIR: the place is shown") as refused:
        Settings.from_environ({"COURTLISTENER_DATA_DIR": place})
    assert refused.value.__cause__ is None
    assert not any(part in str(refused.value) for part in ("hush", "hu/", "AKIA", "loader"))


@pytest.mark.parametrize("place", ["s3://bucket/data", "/data/2024:01", "C:data", "data@home"])
def test_a_data_directory_without_a_secret_is_taken(place: str) -> None:
    assert str(Settings.from_environ({"COURTLISTENER_DATA_DIR": place}).data_dir).rstrip("/") == place
