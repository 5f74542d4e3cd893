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
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from courtlistener_assets.chunks.files import Location, location_of
from courtlistener_assets.download.partitions import check_courts
from courtlistener_assets.logs import JSON, TEXT
from resources.connections.postgres_address import conninfo_of
from resources.connections.redis_address import service_with_tls, url_parts
from resources.courtlistener.token import TokenFile
from resources.errors import SettingError
from resources.quota.permits import Window

Value = TypeVar("Value")

DEFAULT_BASE_URL = "https://www.courtlistener.com"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Settings:
    """The settings of a code location; `docs/settings.toml` describes each for its users."""

    api_token: str | None = field(repr=False)
    api_token_file: str
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
    log_format: str
    otlp_endpoint: str | None = field(repr=False)
    redis_url: str = field(repr=False)
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
            api_token=_api_token(environ),
            api_token_file=environ.get("COURTLISTENER_API_TOKEN_FILE", "").strip(),
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
            log_format=read("COURTLISTENER_LOG_FORMAT", TEXT, _log_format),
            otlp_endpoint=_otlp_endpoint(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()),
            redis_url=_redis_url(environ),
            redis_prefix=environ.get("COURTLISTENER_REDIS_PREFIX", "").strip() or "courtlistener",
            postgres_url=read("POSTGRES_URL", "postgresql://localhost:5432/courtlistener", _postgres_url),
        )


def base_url(value: str) -> str:
    """Check the address of a server that speaks the API: https, or plain http on this machine only."""
    url = _http_address("COURTLISTENER_BASE_URL", value, DEFAULT_BASE_URL)
    if url.username or url.query or url.fragment or url.path.rstrip("/") not in ("", "/api/rest/v4"):
        raise SettingError(
            f"COURTLISTENER_BASE_URL must be an address without path or user, such as {DEFAULT_BASE_URL}"
        )
    if url.scheme == "http" and not _is_loopback(url.hostname or ""):
        raise SettingError("COURTLISTENER_BASE_URL: plain http would show the token; use https")
    return f"{url.scheme}://{url.netloc}"


def _http_address(name: str, value: str, example: str) -> SplitResult:
    """The parts of an http address; the error quotes nothing of it, since a password may stand there."""
    try:
        parts = urlsplit(value)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise SettingError(f"{name} is not an address such as {example}")


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


def _log_format(value: str) -> str:
    if value not in (TEXT, JSON):
        raise SettingError(f"{value!r} is neither {TEXT} nor {JSON}")
    return value


def _otlp_endpoint(value: str) -> str | None:
    if value:
        _http_address("OTEL_EXPORTER_OTLP_ENDPOINT", value, "http://localhost:4318")
    return value or None


def _whole(value: str) -> int:
    if not value.isdigit():
        raise SettingError(f"{value!r} is not a whole number")
    return int(value)


def _api_token(environ: Mapping[str, str]) -> str | None:
    """The token as it is now; the client reads the file again whenever it sends a request."""
    token, path = (environ.get(f"COURTLISTENER_API_TOKEN{end}", "").strip() for end in ("", "_FILE"))
    if token and path:
        raise SettingError("COURTLISTENER_API_TOKEN_FILE and COURTLISTENER_API_TOKEN are both set; one has to go")
    return TokenFile(path).read() if path else token or None


def _redis_url(environ: Mapping[str, str]) -> str:
    """REDIS_URL, or one made of its parts, with the files that REDIS_PASSWORD_FILE and REDIS_CA_CERTS name."""
    written = environ.get("REDIS_URL", "").strip()
    url = written or _redis_url_of_parts(environ)
    parts = url_parts(url, "REDIS_URL" if written else "REDIS_HOST")
    password_file, authority = (environ.get(name, "").strip() for name in ("REDIS_PASSWORD_FILE", "REDIS_CA_CERTS"))
    if password_file and parts.password:
        raise SettingError("REDIS_PASSWORD_FILE is set, and there is a password in REDIS_URL or REDIS_PASSWORD too")
    named = {"password_file": password_file, "ssl_ca_certs": authority if parts.scheme == "rediss" else ""}
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
        raise SettingError(
            "POSTGRES_URL is not an address such as postgresql://user:password@localhost:5432/courtlistener"
        )
    conninfo_of(value)
    return value
