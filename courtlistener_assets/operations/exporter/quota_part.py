"""The quota of every account, who grants its permits, and whether CourtListener gives it anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from courtlistener_assets.operations.exporter.gauges import Sample, gauges
from resources.connections.postgres import Database
from resources.courtlistener.outage import Outage, State, outages
from resources.quota.report import AccountReport, quota_report


def read_quota(database: Database) -> list[Metric]:
    """Return what Postgres has of all accounts; raises StoreUnavailable."""
    accounts, trouble = quota_report(database), outages(database)
    return gauges(
        sample for account in accounts for sample in (*_of_account(account), *_of_server(account.account, trouble))
    )


def _of_account(account: AccountReport) -> Iterator[Sample]:
    yield "courtlistener_account_unusable", (account.account,), float(bool(account.problem))
    if account.problem:
        return
    for window in account.windows:
        labels = (account.account, str(window.seconds))
        yield "courtlistener_quota_limit_requests", labels, window.limit
        yield "courtlistener_quota_used_requests", labels, window.used
        yield "courtlistener_quota_foreign_requests", labels, window.foreign
        yield "courtlistener_quota_utilization_ratio", labels, window.utilization
    mine = (account.account,)
    yield "courtlistener_quota_room_in_seconds", mine, account.room_in_seconds
    yield "courtlistener_quota_held_seconds", mine, account.held_seconds
    yield "courtlistener_account_blocked", mine, float(bool(account.blocked))
    yield "courtlistener_permits_in_flight", mine, account.in_flight
    yield "courtlistener_ledger_epoch", mine, account.epoch
    for holder in ("redis", "postgres"):
        yield "courtlistener_ledger_holder", (account.account, holder), float(account.holder == holder)


def _of_server(account: str, trouble: Iterable[Outage]) -> Iterator[Sample]:
    known = next((each for each in trouble if each.account == account), None)
    present = known.state if known else State.UP
    for state in State:
        yield "courtlistener_server_state", (account, state.value), float(state is present)
    since = known.down_since if known else None
    yield "courtlistener_server_down", (account,), float(since is not None)
    yield "courtlistener_server_down_seconds", (account,), (known.now - since).total_seconds() if known and since else 0
    yield "courtlistener_server_probe_in_seconds", (account,), known.probe_in_seconds if known and since else 0
    for each in known.troubles if known else ():
        name = "courtlistener_endpoint_refused" if each.refused else "courtlistener_endpoint_down"
        yield name, (account, each.endpoint), 1.0
