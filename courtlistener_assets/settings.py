"""All settings, read from environment variables and checked.

Belongs here: names, defaults and rules of the settings. Does not belong here: who uses them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar
from urllib.parse import quote, urlsplit

from courtlistener_assets.chunk_files import Location, location_of
from courtlistener_assets.partitions import check_courts
from resources.errors import SettingError
from resources.permits import Window

Value = TypeVar("Value")

DEFAULT_BASE_URL = "https://www.courtlistener.com"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True)
class Settings:
    """The settings of a code location; `docs/settings.md` describes each for its users."""

    api_token: str | None = field(repr=False)
    account: str | None
    base_url: str
    courts: tuple[str, ...]
    first_month: date
    data_dir: Location
    rate_limits: str
    reserve_share: float
    shared_hour_limit: int
    max_wait_seconds: float
    workers: int
    redis_url: str = field(repr=False)
    redis_ca_certs: str
    redis_prefix: str
    postgres_url: str = field(repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; an empty variable counts as not set.

        Raises SettingError that names the variable, its value (never a secret) and what was expected.
        """

        def read(name: str, default: str, convert: Callable[[str], Value]) -> Value:
            value = environ.get(name, "").strip() or default
            try:
                return convert(value)
            except SettingError as error:
                raise error if name in str(error) else SettingError(f"{name}: {error}") from None
            except ValueError:
                raise SettingError(f"{name}={value!r} is not a number") from None

        return cls(
            api_token=environ.get("COURTLISTENER_API_TOKEN", "").strip() or None,
            account=read("COURTLISTENER_ACCOUNT", "", _account),
            base_url=read("COURTLISTENER_BASE_URL", DEFAULT_BASE_URL, base_url),
            courts=read("COURTLISTENER_COURTS", "scotus,ca9", _courts),
            first_month=read("COURTLISTENER_FIRST_MONTH", "2015-01", _month),
            data_dir=read("COURTLISTENER_DATA_DIR", "data", location_of),
            rate_limits=read("COURTLISTENER_RATE_LIMITS", "5/min,50/hour,125/day", _rates),
            reserve_share=read("COURTLISTENER_RESERVE_SHARE", "0.05", _share),
            shared_hour_limit=read("COURTLISTENER_SHARED_HOUR_LIMIT", "0", _whole),
            max_wait_seconds=read("COURTLISTENER_MAX_WAIT_SECONDS", "60", _positive),
            workers=int(read("COURTLISTENER_WORKERS", "4", _count)),
            redis_url=_redis_url(environ),
            redis_ca_certs=environ.get("REDIS_CA_CERTS", "").strip(),
            redis_prefix=environ.get("COURTLISTENER_REDIS_PREFIX", "").strip() or "courtlistener",
            postgres_url=read("POSTGRES_URL", "postgresql://localhost:5432/courtlistener", _postgres_url),
        )


def base_url(value: str) -> str:
    """Check the address of a server that speaks the API: https, or plain http on this machine only."""
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SettingError(f"COURTLISTENER_BASE_URL={value!r} is not an address such as {DEFAULT_BASE_URL}")
    if url.username or url.query or url.fragment or url.path.rstrip("/") not in ("", "/api/rest/v4"):
        raise SettingError(
            f"COURTLISTENER_BASE_URL must be an address without path or user, such as {DEFAULT_BASE_URL}"
        )
    if url.scheme == "http" and not _is_loopback(url.hostname):
        raise SettingError(f"COURTLISTENER_BASE_URL={value!r}: plain http would show the token; use https")
    return f"{url.scheme}://{url.netloc}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _account(value: str) -> str | None:
    if value and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        raise SettingError(f"{value!r} is not a name of letters, digits, dots and dashes")
    return value or None


def _courts(value: str) -> tuple[str, ...]:
    return check_courts(tuple(dict.fromkeys(court.strip() for court in value.split(",") if court.strip())))


def _month(value: str) -> date:
    match = re.fullmatch(r"(\d{4})-(\d{2})(-01)?", value)
    try:
        if match:
            return date(int(match[1]), int(match[2]), 1)
    except ValueError:
        pass
    raise SettingError(f"{value!r} is not a month such as 2015-01")


def _rates(value: str) -> str:
    if not Window.parse_all(value):
        raise SettingError(f"{value!r} names no rate such as 5/min,50/hour,125/day")
    return value


def _positive(value: str) -> float:
    number = float(value)
    if not 0 < number < 86_400 * 7:
        raise SettingError(f"{value!r} is not a number of seconds above 0")
    return number


def _count(value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 64:
        raise SettingError(f"{value!r} is not a whole number from 1 to 64")
    return int(value)


def _share(value: str) -> float:
    number = float(value)
    if not 0 <= number < 1:
        raise SettingError(f"{value!r} is not a share of 0 or more, below 1")
    return number


def _whole(value: str) -> int:
    if not value.isdigit():
        raise SettingError(f"{value!r} is not a whole number")
    return int(value)


def _redis_url(environ: Mapping[str, str]) -> str:
    """REDIS_URL as it is, or a URL made of REDIS_HOST, REDIS_PORT, REDIS_DB, REDIS_PASSWORD and REDIS_SSL."""
    url = environ.get("REDIS_URL", "").strip()
    if url:
        if urlsplit(url).scheme not in ("redis", "rediss", "unix"):
            raise SettingError("REDIS_URL is not an address such as redis://localhost:6379/0")
        return url
    ssl = environ.get("REDIS_SSL", "").strip().lower()
    if ssl not in _TRUE | _FALSE:
        raise SettingError(f"REDIS_SSL={ssl!r} is neither true nor false")
    host = environ.get("REDIS_HOST", "").strip() or "localhost"
    port = environ.get("REDIS_PORT", "").strip() or "6379"
    db = environ.get("REDIS_DB", "").strip() or "0"
    for name, value in (("REDIS_PORT", port), ("REDIS_DB", db)):
        if not value.isdigit():
            raise SettingError(f"{name}={value!r} is not a whole number")
    password = environ.get("REDIS_PASSWORD", "")
    login = f":{quote(password, safe='')}@" if password else ""
    return f"{'rediss' if ssl in _TRUE else 'redis'}://{login}{host}:{port}/{db}"


def _postgres_url(value: str) -> str:
    if urlsplit(value).scheme not in ("postgresql", "postgres"):
        raise SettingError(
            "POSTGRES_URL is not an address such as postgresql://user:password@localhost:5432/courtlistener"
        )
    return value
