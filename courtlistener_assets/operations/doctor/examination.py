"""All checks, one after the other.

Belongs here: which checks run, and that one that fails does not hide the others. Does not belong here: checks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from courtlistener_assets.operations.doctor import settings_checks as of_settings
from courtlistener_assets.operations.doctor.api_checks import check_api
from courtlistener_assets.operations.doctor.clock_checks import check_clocks
from courtlistener_assets.operations.doctor.courts_checks import check_courts
from courtlistener_assets.operations.doctor.dagster_checks import check_dagster
from courtlistener_assets.operations.doctor.findings import Finding, Severity, error, without_secrets
from courtlistener_assets.operations.doctor.postgres_checks import check_postgres
from courtlistener_assets.operations.doctor.redis_checks import check_redis
from courtlistener_assets.operations.terminal import plain

_STYLES = {Severity.OK: "green", Severity.NOTICE: "blue", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}
Check = Callable[[], Iterable[Finding]]


def examine(environ: Mapping[str, str], *, watch_seconds: float = 0.0) -> list[Finding]:
    """Run all checks for the settings in `environ`; never raises because of what they find.

    Sends one request, to api-usage, and one for each of a few courts of which nothing is known. `watch_seconds` is how
    long to look for a second Dagster daemon.
    """
    read = of_settings.read_settings(environ)
    checks: list[Check] = [lambda: of_settings.check_dagster_home(environ)]
    if settings := read.settings:
        checks += [
            lambda: of_settings.check_token_is_set(settings),
            lambda: of_settings.check_first_month(settings),
            lambda: of_settings.check_data_directory(settings),
        ]
        redis_known = not any(name.startswith("REDIS_") for name in read.wrong)
        postgres_known = "POSTGRES_URL" not in read.wrong
        if redis_known:
            checks.append(lambda: check_redis(settings))
        if postgres_known:
            checks.append(lambda: check_postgres(settings.postgres_url))
        if redis_known and postgres_known:
            checks += [lambda: check_clocks(settings), lambda: check_api(settings), lambda: check_courts(settings)]
    checks.append(lambda: check_dagster(environ, watch_seconds))
    return without_secrets([*read.findings, *(finding for check in checks for finding in _guarded(check))], environ)


def _guarded(check: Check) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as problem:  # A doctor that falls ill must still treat the rest.
        text = f"A check could not be carried out: {type(problem).__name__}: {problem}"
        yield error("doctor", text, "Please report this as a defect of CourtListener assets.")


def is_healthy(findings: Sequence[Finding], *, strict: bool = False) -> bool:
    """Whether there is no error; with `strict`, no warning either."""
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return not any(finding.severity in bad for finding in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """Return `{"healthy": .., "findings": [{check, severity, message, remedy}, ..]}`."""
    rows = [{**asdict(finding), "severity": finding.severity.value} for finding in findings]
    return json.dumps({"healthy": is_healthy(findings), "findings": rows}, indent=2)


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print a table of the findings, what is wrong below what is right."""
    table = Table(header_style="bold")
    for name in ("check", "", "finding"):
        table.add_column(name, overflow="fold")
    order = list(Severity)
    for finding in sorted(findings, key=lambda each: order.index(each.severity)):
        text = plain(finding.message)
        if finding.remedy:
            text.append("\n→ ", "dim").append_text(plain(finding.remedy, "dim"))
        table.add_row(plain(finding.check), plain(finding.severity.value, _STYLES[finding.severity]), text)
    console.print(table)
    counts = Counter(finding.severity for finding in findings)
    console.print(", ".join(_counted(counts[severity], severity) for severity in reversed(order) if counts[severity]))


def _counted(number: int, severity: Severity) -> str:
    return f"{number} {severity.value}{'s' if number > 1 and severity is not Severity.OK else ''}"
