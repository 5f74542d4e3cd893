"""Are the settings usable, is there a token, can files be written?

Belongs here: what can be seen without asking any server but the store of the data.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import uuid4

from upath import UPath

from courtlistener_assets.operations.doctor.findings import Finding, error, notice, ok, warning
from courtlistener_assets.settings import Settings
from resources.errors import SettingError

_VARIABLE = re.compile(r"\b((?:COURTLISTENER|REDIS|POSTGRES)_[A-Z_]+)\b")


@dataclass(frozen=True)
class ReadSettings:
    """The settings with the defaults in place of what cannot be used; `wrong` names those variables."""

    settings: Settings | None
    wrong: frozenset[str]
    findings: list[Finding]


def read_settings(environ: Mapping[str, str]) -> ReadSettings:
    """Read the settings; every wrong variable becomes a finding, not only the first."""
    remaining, wrong, findings = dict(environ), set[str](), list[Finding]()
    while True:
        try:
            settings = Settings.from_environ(remaining)
        except SettingError as problem:
            names = [name for name in _VARIABLE.findall(str(problem)) if name in remaining]
            remedy = f"Correct {names[0] if names else 'it'}: docs/reference/settings.md says what it takes."
            findings.append(error("settings", str(problem), remedy))
            if not names:
                return ReadSettings(None, frozenset(wrong), findings)
            wrong.add(names[0])
            del remaining[names[0]]
        else:
            if not findings:
                findings.append(
                    ok("settings", f"courts {', '.join(settings.courts)} from {settings.first_month:%Y-%m}")
                )
            return ReadSettings(settings, frozenset(wrong), [*findings, *_unknown_names(environ)])


def _unknown_names(environ: Mapping[str, str]) -> list[Finding]:
    """Variables that look like settings and are read by nobody, so that a misspelt one is not without effect unseen."""
    known = _names_read()
    findings = []
    for name in sorted(name for name in environ if name.startswith("COURTLISTENER_") and name not in known):
        alike = get_close_matches(name, known, n=1)
        meant = f"Did you mean {alike[0]}? " if alike else ""
        remedy = f"{meant}docs/reference/settings.md has all names; unset what is none."
        findings.append(warning("settings", f"{name} is no setting, and has no effect.", remedy))
    return findings


def _names_read() -> set[str]:
    names = set[str]()

    class Recorder(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            names.add(name)
            return default

    Settings.from_environ(Recorder())
    return names


def check_token_is_set(settings: Settings) -> list[Finding]:
    if settings.api_token_file and not settings.account:
        message = "The token comes from a file, so it can change, and the account's ledger is named by the token."
        return [notice("token", message, "Set COURTLISTENER_ACCOUNT, so that the ledger goes on when it changes.")]
    if settings.api_token:
        return []
    return [
        error(
            "token",
            "COURTLISTENER_API_TOKEN is not set.",
            "Make a token in your CourtListener profile and set it; `courtlistener dev` without one uses a simulator.",
        )
    ]


def check_first_month(settings: Settings, today: date) -> list[Finding]:
    if settings.first_month > today:
        return [
            error(
                "first month",
                f"COURTLISTENER_FIRST_MONTH is {settings.first_month:%Y-%m}, which lies in the future: no partition.",
                f"Set it to a month up to {today:%Y-%m}.",
            )
        ]
    if settings.first_month.year < 1750:
        return [notice("first month", f"Nothing is older than 1750; you begin {settings.first_month:%Y-%m}.")]
    return []


def check_data_directory(settings: Settings) -> list[Finding]:
    """Whether files can be made in the data directory, or it can be made itself."""
    if not isinstance(settings.data_dir, Path):
        return [_check_data_store(settings.data_dir)]
    path = settings.data_dir.absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is not a directory")
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-"):
            pass
    except OSError as problem:
        return [
            error(
                "data directory",
                f"Nothing can be written to {path}: {problem}",
                "Set COURTLISTENER_DATA_DIR to a directory that the user of the workers may write to.",
            )
        ]
    return [ok("data directory", f"{path} can be written to")]


def _check_data_store(place: UPath) -> Finding:
    """Whether a file can be put into a store such as S3, whose packages raise errors of their own."""
    probe = place / f".doctor-{uuid4().hex}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except Exception as problem:
        return error(
            "data directory",
            f"Nothing can be written to {place}: {problem}",
            "Check the address in COURTLISTENER_DATA_DIR and the store's credentials in this environment.",
        )
    return ok("data directory", f"{place} can be written to")


def check_dagster_home(environ: Mapping[str, str]) -> list[Finding]:
    """Whether DAGSTER_HOME names a directory with a dagster.yaml: without it every start forgets the last."""
    home = environ.get("DAGSTER_HOME", "").strip()
    if not home:
        message = "DAGSTER_HOME is not set: Dagster keeps its runs in a temporary directory and forgets them."
    elif not Path(home).is_absolute() or not Path(home).is_dir():
        message = f"DAGSTER_HOME={home} is not the absolute path of a directory."
    elif not (Path(home) / "dagster.yaml").exists():
        message = f"There is no dagster.yaml in DAGSTER_HOME ({home}): Dagster uses SQLite files there."
    else:
        return []
    remedy = 'Start `courtlistener dev`, which writes one, then eval "$(courtlistener env)"; or set it to your own.'
    return [error("DAGSTER_HOME", message, remedy)]
