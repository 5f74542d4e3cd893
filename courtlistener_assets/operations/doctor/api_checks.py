"""Does CourtListener accept the token, and what quota does it give?

Costs one request to api-usage, which is free of quota, under a permit like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from courtlistener_assets.operations.api import courtlistener
from courtlistener_assets.operations.doctor.findings import Finding, error, notice, ok, warning
from courtlistener_assets.settings import Settings
from resources.connections import pools
from resources.courtlistener.token import account_of
from resources.errors import (
    AuthenticationFailed,
    CourtListenerAssetsError,
    LedgerUnavailable,
    NotFound,
    QuotaDeferred,
    StoreUnavailable,
    UntrustedServer,
)
from resources.quota.permits import Window
from resources.quota.report import AccountReport, quota_report

_MEND = "The next worker that uses it puts the settings' windows in their place; or delete the account's row."


def check_api(settings: Settings) -> Iterator[Finding]:
    """Read api-usage once; the account's windows go to the ledger, where all workers see them."""
    if not settings.token:
        return
    account = settings.account or account_of(settings.token)
    api = courtlistener(settings, max_wait_seconds=5.0)
    try:
        database = pools.database(settings.postgres_url)
        if database.schema_state().pending:  # The doctor only looks: it does not migrate, as the first permit would.
            message = "Not checked: the database is not migrated, so no permit is available."
            yield notice("token", message, "Look again after the first run.")
            return
        with api.open() as client:
            client.read_quota()
        yield from _judge(quota_report(database), account, settings)
    except AuthenticationFailed as problem:
        remedy = "Copy the token from your CourtListener profile into COURTLISTENER_API_TOKEN; it may have been reset."
        yield error("token", f"CourtListener does not accept the token: {problem}", remedy)
    except UntrustedServer as problem:
        remedy = "Never turn verification off: the token would go to an unknown server. See docs/security.md."
        yield error("CourtListener TLS", str(problem), remedy)
    except NotFound as problem:
        remedy = "Nothing to do, as long as COURTLISTENER_RATE_LIMITS are the account's."
        yield notice("CourtListener", f"There is no api-usage, so the settings' windows count: {problem}", remedy)
    except QuotaDeferred as problem:
        yield notice("token", "api-usage was requested very often just now.", f"Wait {problem.wait_seconds:.0f} s.")
    except (LedgerUnavailable, StoreUnavailable) as problem:
        yield notice("token", f"Not checked, since no permit is available: {problem}", "Repair Postgres first.")
    except CourtListenerAssetsError as problem:
        yield error("CourtListener", str(problem), _reach(settings))


def _judge(reports: Sequence[AccountReport], account: str, settings: Settings) -> Iterator[Finding]:
    report = next((each for each in reports if each.account == account), None)
    for each in reports:
        if each.problem:
            yield warning("account", f"Account {each.account}: {each.problem}.", _MEND)
    if report is not None and report.problem:
        return
    if report is None or report.observed_at is None:
        yield error("CourtListener", f"{settings.base_url} gave no usable response.", _reach(settings))
    elif report.blocked:
        remedy = "Ask CourtListener's staff to lift the block; no worker sends a request until then."
        yield error("account", f"The account is blocked: {report.blocked}", remedy)
    else:
        yield ok("token", f"accepted; quota {_rates(report)}")
        yield from _notes(report, [each for each in reports if each is not report], settings)


def _notes(report: AccountReport, others: Sequence[AccountReport], settings: Settings) -> Iterator[Finding]:
    if report.held_seconds:
        message = f"After a 429 no permit is granted for {report.held_seconds:.0f} s."
        yield warning("account", message, "Does something else use this account? See `courtlistener status`.")
    foreign = max((window.foreign for window in report.windows), default=0)
    twins = [other.account for other in others if _own(other)]
    if foreign and twins:
        message = (
            f"{foreign} requests in the account's windows are not in its ledger {report.account}, and "
            f"{', '.join(twins)} in the same database sent some: two names for one account count its quota twice."
        )
        yield warning("account", message, "Set COURTLISTENER_ACCOUNT to the same name for all workers.")
    elif foreign:
        message = f"{foreign} requests in the account's windows were not sent by this installation."
        yield notice("account", message, "Use one token for one purpose, or accept the smaller quota.")
    if set(Window.parse_all(settings.rate_limits)) != {window.window for window in report.windows}:
        message = f"COURTLISTENER_RATE_LIMITS is {settings.rate_limits}, the server says {_rates(report)}."
        yield notice("account", message + " Those of the server apply.", "Set it to the same, for a first start.")


def _own(report: AccountReport) -> int:
    """Requests that this installation sent under a ledger's name, in its longest window."""
    return max((window.used - window.foreign for window in report.windows), default=0)


def _reach(settings: Settings) -> str:
    return f"Can {settings.base_url} be reached from here (proxy, firewall)? Is COURTLISTENER_BASE_URL right?"


def _rates(report: AccountReport) -> str:
    return ", ".join(f"{window.limit} per {window.seconds} s" for window in report.windows)
