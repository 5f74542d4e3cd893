"""Does CourtListener accept the token, and what quota does it give?

Costs one request to api-usage, which is free of quota, under a permit of its own like any other.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import psycopg

from courtlistener_assets.operations.doctor.findings import Finding, error, notice, ok, warning
from courtlistener_assets.settings import Settings
from resources.connections.postgres import Database
from resources.courtlistener.client import CourtListenerResource, account_of
from resources.errors import (
    AuthenticationFailed,
    CourtListenerAssetsError,
    LedgerUnavailable,
    QuotaDeferred,
    UntrustedServer,
)
from resources.quota.limiter import RedisRateLimitResource
from resources.quota.permits import Window
from resources.quota.report import AccountReport, quota_report

#: Another worker that asked so lately has answered the question for us.
_FRESH_SECONDS = 45.0


def check_api(settings: Settings) -> list[Finding]:
    """Ask api-usage once; the account's windows go to the ledger, where all workers see them."""
    if not settings.api_token:
        return []
    rate_limit = RedisRateLimitResource(
        redis_url=settings.redis_url,
        redis_prefix=settings.redis_prefix,
        postgres_url=settings.postgres_url,
        rate_limits=settings.rate_limits,
        max_wait_seconds=5.0,
    )
    account = settings.account or account_of(settings.api_token)
    resource = CourtListenerResource(
        base_url=settings.base_url, api_token=settings.api_token, account=account, rate_limit=rate_limit
    )
    spoken = _Spoken()
    logging.getLogger("dagster").addHandler(spoken)
    try:
        with resource.open() as client:
            client.refresh_quota(max_age_seconds=0)
        return _judge(_reports(settings), account, settings, spoken.last)
    except CourtListenerAssetsError as problem:
        return [_failed(problem, settings)]
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        message = "Not checked: the database is not migrated, so no permit can be had."
        return [notice("token", message, "Look again after the first run.")]
    finally:
        logging.getLogger("dagster").removeHandler(spoken)


class _Spoken(logging.Handler):
    """Keeps the last message: a client that cannot reach api-usage warns and goes on."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


def _reports(settings: Settings) -> dict[str, AccountReport]:
    database = Database(settings.postgres_url)
    try:
        return {report.account: report for report in quota_report(database)}
    finally:
        database.close()


def _failed(problem: CourtListenerAssetsError, settings: Settings) -> Finding:
    if isinstance(problem, AuthenticationFailed):
        remedy = "Copy the token from your CourtListener profile into COURTLISTENER_API_TOKEN; it may have been reset."
        return error("token", f"CourtListener does not accept the token: {problem}", remedy)
    if isinstance(problem, UntrustedServer):
        remedy = "Never turn verification off: the token would go to whoever answers. See docs/security.md."
        return error("CourtListener TLS", str(problem), remedy)
    if isinstance(problem, QuotaDeferred):
        return notice("token", "api-usage was asked very often just now.", f"Wait {problem.wait_seconds:.0f} s.")
    if isinstance(problem, LedgerUnavailable):
        return notice("token", f"Not checked, since no permit can be had: {problem}", "Mend Postgres first.")
    return error(
        "CourtListener", str(problem), f"Can {settings.base_url} be reached from here? Is it the right address?"
    )


def _judge(reports: dict[str, AccountReport], account: str, settings: Settings, spoken: str) -> list[Finding]:
    report = reports.pop(account, None)
    seen = report.observed_at if report else None
    if report is None or seen is None or (datetime.now(UTC) - seen).total_seconds() > _FRESH_SECONDS:
        return [error("CourtListener", spoken or f"{settings.base_url} gave no usable answer.", _reach(settings))]
    if report.blocked:
        remedy = "Ask CourtListener's staff to lift the block; no worker sends a request until then."
        return [error("account", f"The account is blocked: {report.blocked}", remedy)]
    return [ok("token", f"accepted; quota {_rates(report)}"), *_notes(report, list(reports.values()), settings)]


def _notes(report: AccountReport, others: list[AccountReport], settings: Settings) -> list[Finding]:
    findings = []
    if report.held_seconds:
        message = f"After a 429 nobody gets a permit for {report.held_seconds:.0f} s."
        findings.append(
            warning("account", message, "Does something else use this account? See `courtlistener status`.")
        )
    foreign = max((window.foreign for window in report.windows), default=0)
    twins = [other.account for other in others if _own(other)]
    if foreign and twins:
        message = (
            f"{foreign} requests in the account's windows are not in its ledger {report.account}, and "
            f"{', '.join(twins)} in the same database sent some: two names for one account count its quota twice."
        )
        findings.append(warning("account", message, "Set COURTLISTENER_ACCOUNT to the same name for all workers."))
    elif foreign:
        message = f"{foreign} requests in the account's windows were not sent by this installation."
        findings.append(notice("account", message, "Use one token for one purpose, or accept the smaller quota."))
    configured = set(Window.parse_all(settings.rate_limits))
    if configured != {window.window for window in report.windows}:
        message = f"COURTLISTENER_RATE_LIMITS is {settings.rate_limits}, the server says {_rates(report)}."
        findings.append(
            notice("account", message + " Those of the server are in force.", "Set it to the same, for a first start.")
        )
    return findings


def _own(report: AccountReport) -> int:
    """Requests that this installation sent under a ledger's name, in its longest window."""
    return max((window.used - window.foreign for window in report.windows), default=0)


def _reach(settings: Settings) -> str:
    return f"Can {settings.base_url} be reached from here (proxy, firewall)? Is COURTLISTENER_BASE_URL right?"


def _rates(report: AccountReport) -> str:
    return ", ".join(f"{window.limit} per {window.seconds} s" for window in report.windows)
