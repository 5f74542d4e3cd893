"""All settings: their names, their defaults, and what is checked.

Belongs here: one line a setting, and the reading of its text. Does not belong here: who uses them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from courtlistener_assets.chunks.files import Location, location_of
from courtlistener_assets.chunks.identity import ACROSS, Across
from courtlistener_assets.download import choice
from courtlistener_assets.download.bulk.source import DEFAULT_URL
from courtlistener_assets.download.courts import check_courts
from courtlistener_assets.download.jurisdictions import jurisdictions
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.logs import JSON, TEXT
from courtlistener_assets.vectors.names import checked_embed, checked_vector_store
from resources.connections.postgres_address import conninfo_of
from resources.connections.redis_address import service_with_tls, url_parts
from resources.connections.redis_keys import checked_prefix
from resources.courtlistener.address import DEFAULT_BASE_URL, checked_base_url
from resources.courtlistener.token import TokenFile
from resources.errors import SettingError
from resources.legacy import airflow_connection
from resources.quota.permits import Window
from resources.records.model import Scope

# ruff: noqa: RUF009 -- `_setting` makes a dataclass's field, which is what that rule requires.

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
#: What COURTLISTENER_CATCH_UP may say in place of a cron expression (UTC).
CATCH_UPS = {"hourly": "20 * * * *", "daily": "30 3 * * *"}


#: What COURTLISTENER_CORPUS_COURTS says for every court that there is.
ALL_COURTS = ("all",)


# --- how the text of a setting is read; each raises SettingError, or ValueError for what is no number ----------------


def _account(value: str) -> str | None:
    if value and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        raise SettingError(f"{value!r} is not a name of letters, digits, dots and dashes")
    return value or None


def _courts(value: str) -> tuple[str, ...]:
    courts = tuple(dict.fromkeys(court.strip() for court in value.split(",") if court.strip()))
    if not courts:
        raise SettingError(f"{value!r} names no court such as scotus,ca9")
    return check_courts(courts)


def _corpus_courts(value: str) -> tuple[str, ...]:
    return ALL_COURTS if value.strip() == ALL_COURTS[0] else _courts(value) if value else ()


def year_of(value: str) -> int | None:
    """Read a year such as 2015, "" as None; raises SettingError."""
    if value and not re.fullmatch(r"[1-9]\d{3}", value):
        raise SettingError(f"{value!r} is not a year such as 2015")
    return int(value) if value else None


def month_of(value: str) -> date:
    """Read a month such as 2015-01 as its first day; raises SettingError."""
    match = re.fullmatch(r"(\d{4})-(\d{2})(-01)?", value)
    try:
        if match:
            return date(int(match[1]), int(match[2]), 1)
    except ValueError:
        pass
    raise SettingError(f"{value!r} is not a month such as 2015-01")


def _last_month(value: str) -> date | None:
    return month_of(value) if value else None


def _rates(value: str) -> str:
    if not Window.parse_all(value):
        raise SettingError(f"{value!r} names no rate such as 5/min,50/hour,125/day")
    return value


def _between(kind: Callable[[str], float], low: float, limit: float, what: str) -> Callable[[str], float]:
    """Read a number from `low` to below `limit`, which `what` describes."""

    def read(value: str) -> float:
        number = kind(value)
        if not low <= number < limit:
            raise SettingError(f"{value!r} is not {what}")
        return number

    return read


def _catch_up(value: str) -> str:
    if value not in CATCH_UPS:
        catch_up_times(value)
    return value


def catch_up_times(value: str) -> tuple[str, timedelta]:
    """Return the cron expression of COURTLISTENER_CATCH_UP, and the longest time between two of its moments.

    Raises SettingError.
    """
    import dagster as dg  # A second of start-up: commands need not pay for it, unless they meet a cron expression.

    cron = CATCH_UPS.get(value, value)
    form = "%Y-%m-%d %H:%M"
    try:
        days = dg.TimeWindowPartitionsDefinition("2024-01-01 00:00", form, end="2024-04-01 00:00", cron_schedule=cron)
    except dg.DagsterInvalidDefinitionError:
        raise SettingError(f"{value!r} is neither hourly, daily nor a cron expression such as 0 */6 * * *") from None
    moments = [datetime.strptime(key, form) for key in days.get_partition_keys()]
    if len(moments) < 2:
        raise SettingError(f"{value!r} is less often than once a month")
    return cron, max(after - before for before, after in pairwise(moments))


def _flag(value: str) -> bool:
    if value.lower() not in _TRUE | _FALSE:
        raise SettingError(f"{value!r} is neither true nor false")
    return value.lower() in _TRUE


def _log_format(value: str) -> str:
    if value not in (TEXT, JSON):
        raise SettingError(f"{value!r} is neither {TEXT} nor {JSON}")
    return value


def _across(value: str) -> Across:
    found: list[Across] = [each for each in ACROSS if each == value]
    if not found:
        raise SettingError(f"{value!r} is neither months nor courts")
    return found[0]


def _bulk_url(value: str) -> str:
    """Return the place of bulk files; what it names is found when it is used, since that may take a package."""
    if "?" in value or "#" in value or "@" in value:
        raise SettingError("the place is shown in the UI, so it may have no password, and no part after `?` or `#`")
    return value


def _otlp_endpoint(value: str) -> str | None:
    """Return the address of a collector; the error quotes nothing of it, since it may hold a password."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if value and not usable:
        raise SettingError("not an address such as http://localhost:4318")
    return value or None


def _token_file(path: str) -> str:
    """Return the file's name once it was read; the client reads it again for each request."""
    if path:
        TokenFile(path).read()
    return path


def _redis_address(value: str) -> str:
    url_parts(value)
    return value


def _redis_url(environ: Mapping[str, str]) -> str:
    """REDIS_URL, or one made of its parts, or what Airflow connects to, else localhost.

    The files that REDIS_PASSWORD_FILE and REDIS_CA_CERTS name become part of it.
    """
    sources = ("REDIS_URL", "REDIS_HOST", airflow_connection.NAME)
    name = next((name for name in sources if environ.get(name, "").strip()), "REDIS_HOST")
    url = environ.get(name, "").strip()
    if name == airflow_connection.NAME:
        url = airflow_connection.redis_url_of(url)
    elif name == "REDIS_HOST":
        url = _redis_url_of_parts(environ)
    parts = url_parts(url, name)
    password_file, authority = (environ.get(name, "").strip() for name in ("REDIS_PASSWORD_FILE", "REDIS_CA_CERTS"))
    if password_file and parts.password:
        raise SettingError(f"REDIS_PASSWORD_FILE is set, and {name} or REDIS_PASSWORD has a password too")
    named = {"password_file": password_file, "ssl_ca_certs": authority if parts.scheme.startswith("rediss") else ""}
    added = {name: path for name, path in named.items() if path and f"{name}=" not in parts.query}
    return f"{url}{'&' if parts.query else '?'}{urlencode(added, safe='/')}" if added else url


def _redis_url_of_parts(environ: Mapping[str, str]) -> str:
    """A URL made of REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_PASSWORD and REDIS_SSL."""
    host = environ.get("REDIS_HOST", "").strip() or "localhost"
    ssl = environ.get("REDIS_SSL", "").strip().lower() or str(service_with_tls(host) is not None).lower()
    if ssl not in _TRUE | _FALSE:
        raise SettingError(f"REDIS_SSL={ssl!r} is neither true nor false")
    port = environ.get("REDIS_PORT", "").strip() or "6379"
    db = environ.get("REDIS_DB", "").strip() or "0"
    for name, value in (("REDIS_PORT", port), ("REDIS_DB", db)):
        if not value.isdigit():
            raise SettingError(f"{name}={value!r} is not a whole number")
    password = environ.get("REDIS_PASSWORD", "")
    login = f":{quote(password, safe='')}@" if password else ""
    return f"{'rediss' if ssl in _TRUE else 'redis'}://{login}{host}:{port}/{db}"


def _postgres_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise SettingError("not an address such as postgresql://user:password@localhost:5432/courtlistener")
    conninfo_of(value)
    return value


# --- the settings ----------------------------------------------------------------------------------------------------


def _setting(
    default: str, read: Callable[[str], Any], variable: str = "", *, secret: bool = False, shown: bool = True
) -> Any:
    """A field by the text of its default, how text is read, and its variable, COURTLISTENER_ and its name otherwise."""
    metadata = {"read": read, "variable": variable, "secret": secret}
    return field(default=default, repr=shown and not secret, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The settings of a code location; `docs/settings.toml` describes each for its users.

    A value may also be given as text, as its environment variable has it: `Settings(first_month="2015-01")`. A secret
    may be a `dg.EnvVar`, which is resolved in the run. Raises SettingError, which names the field and what it takes.
    """

    api_token: str = _setting("", str, secret=True)
    api_token_file: str = _setting("", _token_file)
    account: str | None = _setting("", _account)
    base_url: str = _setting(DEFAULT_BASE_URL, checked_base_url)
    courts: tuple[str, ...] = _setting("scotus,ca9", _courts)
    first_month: date = _setting("2015-01", month_of)
    last_month: date | None = _setting("", _last_month)
    streams: tuple[str, ...] = _setting(choice.default_streams(), choice.stream_names)
    grouped: tuple[str, ...] = _setting("", jurisdictions)
    catch_up: str = _setting("daily", _catch_up)
    refresh_days: int = _setting("90", _between(int, 0, 3651, "a whole number of days up to 3650"))
    omit_fields: tuple[str, ...] = _setting("", choice.omitted_fields)
    precedential_status: str = _setting("", choice.precedential_status)
    data_dir: Location = _setting("data", location_of)
    duplicates_across: Across = _setting("", _across)
    processes: int = _setting("0", _between(int, 0, 1025, "a whole number from 0 to 1024"))
    change_days: float = _setting("30", _between(float, 0, 3651, "a number of days up to 3650"))
    vector_store: str = _setting("", checked_vector_store)
    embed: str = _setting("", checked_embed)
    bulk_url: str = _setting(DEFAULT_URL, _bulk_url)
    bulk_dir: Path = _setting("data/bulk", Path)
    corpus_courts: tuple[str, ...] = _setting("", _corpus_courts)
    corpus_first_year: int | None = _setting("", year_of)
    corpus_dir: Path = _setting("data/corpus", Path)
    complete_bulk: bool = _setting("false", _flag)
    rate_limits: str = _setting("5/min,50/hour,125/day", _rates)
    reserve_share: float = _setting("0.05", _between(float, 0, 1, "a share of 0 or more, below 1"))
    shared_hour_limit: int = _setting("0", _between(int, 0, 10**9, "a whole number"))
    max_wait_seconds: float = _setting("90", _between(float, 0.001, 604_800, "a number of seconds above 0"))
    retry_seconds: float = _setting("3600", _between(float, 1, 259_201, "a number of seconds from 1 to 259200"))
    max_tries: int = _setting("5", _between(int, 1, 101, "a whole number from 1 to 100"))
    read_timeout_seconds: float = _setting("65", _between(float, 60, 3601, "a number of seconds from 60 to 3600"))
    response_timeout_seconds: float = _setting("90", _between(float, 60, 3601, "a number of seconds from 60 to 3600"))
    run_days: int = _setting("0", _between(int, 0, 3651, "a whole number of days up to 3650"))
    workers: int = _setting("4", _between(int, 1, 65, "a whole number from 1 to 64"))
    log_format: str = _setting(TEXT, _log_format)
    otlp_endpoint: str | None = _setting("", _otlp_endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT", shown=False)
    redis_url: str = _setting("redis://localhost:6379/0", _redis_address, "REDIS_URL", secret=True)
    redis_prefix: str = _setting("courtlistener", checked_prefix)
    postgres_url: str = _setting(
        "postgresql://localhost:5432/courtlistener", _postgres_url, "POSTGRES_URL", secret=True
    )

    def __post_init__(self) -> None:
        for name, value in _checked(vars(self), lambda each: each.name).items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; an empty variable counts as not set.

        Raises SettingError that names the variable, its value (never a secret) and what was expected.
        """
        written = {each.name: environ.get(variable_of(each), "").strip() for each in fields(cls)}
        given = {name: text for name, text in written.items() if text}
        return cls(**_checked({"first_month": cls.first_month, **given, "redis_url": _redis_url(environ)}, variable_of))

    def last_day(self, today: date) -> date:
        """A day of the last month that has a partition: `today`, unless the months end before."""
        return min(today, self.last_month or today)

    @property
    def scope(self) -> Scope:
        """The courts and months whose objects are stored."""
        end = CourtMonth("", self.last_month).next_month if self.last_month else None
        return Scope(frozenset(self.courts), self.first_month, end)

    @property
    def chosen_streams(self) -> tuple[Stream, ...]:
        """The streams of the code location, with what the settings omit left out."""
        return choice.chosen(self.streams, self.omit_fields, self.precedential_status)

    @property
    def token(self) -> str:
        """The present token, also if a file has it; "" if none is set."""
        return TokenFile(self.api_token_file).read() if self.api_token_file else self.api_token


def variable_of(setting: Field[Any]) -> str:
    """Return the environment variable of a field of Settings."""
    return str(setting.metadata["variable"] or f"COURTLISTENER_{setting.name.upper()}")


def _checked(values: Mapping[str, Any], name_of: Callable[[Field[Any]], str]) -> dict[str, Any]:
    """Return these values as they are used; an error names a field by `name_of`."""
    settings = {each.name: each for each in fields(Settings)}
    if values.get("api_token") and values.get("api_token_file"):
        of_file, of_token = name_of(settings["api_token_file"]), name_of(settings["api_token"])
        raise SettingError(f"{of_file} and {of_token} are both set; remove one")
    found = {name: _read(settings[name], value, name_of(settings[name])) for name, value in values.items()}
    first, last = found.get("first_month"), found.get("last_month")
    if first and last and last < first:
        names = [name_of(settings[name]) for name in ("last_month", "first_month")]
        raise SettingError(f"{names[0]}={last:%Y-%m} is before {names[1]}={first:%Y-%m}")
    return found


def _read(setting: Field[Any], value: Any, name: str) -> Any:
    if setting.metadata["secret"] and isinstance(value, str) and type(value) is not str:
        return value  # A dg.EnvVar.
    text = _as_text(value)
    try:
        return setting.metadata["read"](text)
    except SettingError as error:
        raise error if str(error).startswith(name) else SettingError(f"{name}: {error}") from None
    except ValueError:
        raise SettingError(f"{name}={text!r} is not a number") from None


def _as_text(value: Any) -> Any:
    """A value as an environment variable would hold it; a place for files as it is."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    if isinstance(value, date):
        return value.isoformat()
    return str(value).strip() if isinstance(value, (str, int, float)) else value or ""
