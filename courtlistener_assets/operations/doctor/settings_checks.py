"""Are the settings usable, is a token set, can files be written?

Belongs here: what can be seen without any server but the store of the data.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import uuid4

from courtlistener_assets.download.choice import without_parents
from courtlistener_assets.download.partitions import FEWER_PARTITIONS, too_many_partitions
from courtlistener_assets.operations.doctor.findings import Finding, error, notice, ok, warning
from courtlistener_assets.operations.pace import size
from courtlistener_assets.settings import Settings, variable_of
from resources.errors import SettingError

_VARIABLE = re.compile(r"\b((?:AIRFLOW_CONN|COURTLISTENER|REDIS|POSTGRES)_[A-Z_]+)\b")

#: Free bytes below which a few months may not fit any more, and below which hardly a page does.
_LITTLE_ROOM_BYTES, _NO_ROOM_BYTES = 2_000_000_000, 200_000_000


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
            break
        except SettingError as problem:
            names = [name for name in _VARIABLE.findall(str(problem)) if name in remaining]
            remedy = f"Correct {names[0] if names else 'it'}: docs/reference/settings.md says what it takes."
            findings.append(error("settings", str(problem), remedy))
            if not names:
                return ReadSettings(None, frozenset(wrong), findings)
            wrong.add(names[0])
            del remaining[names[0]]
    if not findings:
        findings.append(ok("settings", f"courts {', '.join(settings.courts)} from {settings.first_month:%Y-%m}"))
    if missing := without_parents(settings.chosen_streams):
        findings.append(warning("settings", missing, "Add them to COURTLISTENER_STREAMS if that is not meant."))
    return ReadSettings(settings, frozenset(wrong), [*findings, *_unknown_names(environ)])


def _unknown_names(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Name variables that look like settings and are not: a misspelled one would have no effect."""
    known = list(map(variable_of, fields(Settings)))
    for name in sorted(name for name in environ if name.startswith("COURTLISTENER_") and name not in known):
        alike = get_close_matches(name, known, n=1)
        meant = f"Did you mean {alike[0]}? " if alike else ""
        remedy = f"{meant}docs/reference/settings.md has all names; unset the others."
        yield warning("settings", f"{name} is not a setting and has no effect.", remedy)


def check_token_is_set(settings: Settings) -> Iterator[Finding]:
    """Check that a token is set, and that its account's ledger keeps its name when the token changes."""
    if settings.api_token_file and not settings.account:
        message = "The token comes from a file, so it can change, and the account's ledger is named by the token."
        yield notice("token", message, "Set COURTLISTENER_ACCOUNT, so that the ledger stays the same when it changes.")
    elif not settings.token:
        remedy = (
            "Make a token in your CourtListener profile and set it; `courtlistener dev` without one uses a simulator."
        )
        yield error("token", "COURTLISTENER_API_TOKEN is not set.", remedy)


def check_first_month(settings: Settings) -> Iterator[Finding]:
    """Check that any partition exists, none before the courts did, and not too many."""
    first, today = settings.first_month, datetime.now(UTC).date()
    if first > today:
        message = f"COURTLISTENER_FIRST_MONTH is {first:%Y-%m}, which lies in the future: no partition."
        yield error("first month", message, f"Set it to a month up to {today:%Y-%m}.")
    elif first.year < 1750:
        yield notice("first month", f"Nothing is older than 1750; you begin {first:%Y-%m}.")
    if too_many := too_many_partitions(settings.courts, first, settings.last_day(today)):
        yield warning("partitions", too_many, FEWER_PARTITIONS)


def check_data_directory(settings: Settings) -> Iterator[Finding]:
    """Check that files can be made in the data directory, or where it will be made, or in a store such as S3."""
    place = existing = settings.data_dir
    remedy = "Check the address in COURTLISTENER_DATA_DIR and the store's credentials in this environment."
    if isinstance(place, Path):
        place = place.absolute()
        existing = next(parent for parent in (place, *place.parents) if parent.exists())
        remedy = "Set COURTLISTENER_DATA_DIR to a directory that the user of the workers may write to."
    probe = existing / f".doctor-{uuid4().hex}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
        yield ok("data directory", f"{place} can be written to")
        yield from _room(existing)
    except Exception as problem:  # The packages of a store raise errors of their own.
        yield error("data directory", f"Nothing can be written to {place}: {problem}", remedy)


def _room(place: Any) -> Iterator[Finding]:
    """Say when the disk of the data directory is nearly full: a page that cannot be stored stops its run."""
    if not isinstance(place, Path):
        return
    usage = shutil.disk_usage(place)
    message = f"{size(usage.free)} of {size(usage.total)} are free on the disk of {place}."
    remedy = "Make room, or set COURTLISTENER_DATA_DIR to another disk; `courtlistener plan` says what courts take."
    if usage.free < _NO_ROOM_BYTES:
        yield error("disk", message, remedy)
    elif usage.free < _LITTLE_ROOM_BYTES:
        yield warning("disk", message, remedy)


def check_dagster_home(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Check that DAGSTER_HOME names a directory with a dagster.yaml: without it every start forgets the last."""
    home = environ.get("DAGSTER_HOME", "").strip()
    if not home:
        message = "DAGSTER_HOME is not set: Dagster keeps its runs in a temporary directory and forgets them."
    elif not Path(home).is_absolute() or not Path(home).is_dir():
        message = f"DAGSTER_HOME={home} is not the absolute path of a directory."
    elif not (Path(home) / "dagster.yaml").exists():
        message = f"There is no dagster.yaml in DAGSTER_HOME ({home}): Dagster uses SQLite files there."
    else:
        return
    remedy = 'Start `courtlistener dev`, which writes one, then eval "$(courtlistener env)"; or set it to your own.'
    yield error("DAGSTER_HOME", message, remedy)
