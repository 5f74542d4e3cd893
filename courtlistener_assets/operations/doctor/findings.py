"""What a check found, in words for an operator.

Belongs here: the value type and the rule that no secret is shown. Does not belong here: checks.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from resources.connections.tls import is_this_machine
from resources.errors import SettingError
from resources.legacy import airflow_connection

_SECRETS = ("COURTLISTENER_API_TOKEN", "REDIS_PASSWORD", "PGPASSWORD")
_FILES = ("COURTLISTENER_API_TOKEN_FILE", "REDIS_PASSWORD_FILE")
_URLS = ("REDIS_URL", "POSTGRES_URL", "DAGSTER_POSTGRES_URL")


class Severity(enum.Enum):
    """OK; NOTICE: good to know; WARNING: works, but not as it should; ERROR: does not work, or is not safe."""

    OK = "ok"
    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """`check` names what was looked at (`redis eviction`), `remedy` what to do; empty for OK."""

    check: str
    severity: Severity
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Finding:
    return Finding(check, Severity.OK, message)


def notice(check: str, message: str, remedy: str = "") -> Finding:
    return Finding(check, Severity.NOTICE, message, remedy)


def warning(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Severity.WARNING, message, remedy)


def error(check: str, message: str, remedy: str) -> Finding:
    return Finding(check, Severity.ERROR, message, remedy)


def without_secrets(findings: Iterable[Finding], environ: Mapping[str, str]) -> list[Finding]:
    """Return the findings with `***` for every token and password of the environment."""
    secrets = secrets_of(environ)
    return [
        replace(each, message=_masked(each.message, secrets), remedy=_masked(each.remedy, secrets)) for each in findings
    ]


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """Return the tokens and passwords in an environment and the files that it names, longest first."""
    found = {environ.get(name, "").strip() for name in _SECRETS}
    for name in _FILES:
        with suppress(OSError, UnicodeError):
            found.add(Path(environ.get(name, "").strip()).read_text(encoding="utf-8").strip())
    urls = [environ.get(name, "") for name in _URLS]
    with suppress(SettingError):
        urls.append(airflow_connection.redis_url_of(environ.get(airflow_connection.NAME, "")))
    for url in urls:
        try:
            password = _parts(url).password or ""
        except ValueError:
            continue
        found |= {password, unquote(password), dict(parse_qsl(_parts(url).query)).get("sentinel_password", "")}
    # Anything shorter would mask ordinary words.
    return sorted((secret for secret in found if len(secret) >= 4), key=len, reverse=True)


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _parts(url: str) -> SplitResult:
    """Return the parts of a URL whose password may hold `#`, `?` and `[` unquoted, as libpq accepts them."""
    return urlsplit(re.sub(r"(?<=://)[^@/]*(?=@)", lambda login: quote(login[0], safe=":%"), url, count=1))


def address_of(url: str) -> str:
    """Return where a server is, or several, without user and password: `redis://cache.example:6379/0`."""
    parts = _parts(url)
    return f"{parts.scheme}://{','.join(host + port for host, port in _places(parts))}{parts.path}"


def _places(parts: SplitResult) -> list[tuple[str, str]]:
    """Return the hosts and, after a colon, ports of an address; what is no number may be a piece of a password."""
    found = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        host, colon, port = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:?)(.*)", place, re.DOTALL).groups()  # type: ignore[union-attr]
        found.append((host.lower(), f":{port if port.isdigit() else '?'}" if colon and port else ""))
    return found


def is_loopback(url: str) -> bool:
    """Whether traffic to this address stays on the machine."""
    parts = _parts(url)
    return parts.scheme == "unix" or all(is_this_machine(host.strip("[]")) for host, _ in _places(parts))
