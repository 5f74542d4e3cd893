"""Names, help and labels of all that is not counted by workers, and making metrics of samples.

Belongs here: the table. Does not belong here: where the values come from (`*_part.py`), what workers count
(`resources/telemetry/metrics.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

#: Name, labels, value.
Sample = tuple[str, tuple[str, ...], float]
_OF_ACCOUNT = ("account",)
_OF_WINDOW = ("account", "window_seconds")
_OF_ASSET = ("asset",)

#: By name: help and labels.
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "courtlistener_postgres_up": ("Whether Postgres responds; without it no request is sent.", ()),
    "courtlistener_redis_up": ("Whether Redis responds; without it Postgres grants the permits.", ()),
    "courtlistener_redis_memory_used_bytes": ("Memory that Redis uses.", ()),
    "courtlistener_redis_memory_limit_bytes": ("maxmemory of Redis, or all memory of its machine if it has none.", ()),
    "courtlistener_redis_connected_clients": ("Connections that Redis has.", ()),
    "courtlistener_dagster_up": ("Whether Dagster's storage responds; absent without a dagster.yaml.", ()),
    "courtlistener_dagster_daemon_heartbeat_age_seconds": (
        "Time since the last heartbeat of a part of the daemon; infinite if there was none.",
        ("daemon",),
    ),
    "courtlistener_quota_limit_requests": ("Requests that a window admits.", _OF_WINDOW),
    "courtlistener_quota_used_requests": ("Requests that a window counts now.", _OF_WINDOW),
    "courtlistener_quota_foreign_requests": ("Used requests that others sent with the same account.", _OF_WINDOW),
    "courtlistener_quota_utilization_ratio": ("Used share of a window, 0 to 1.", _OF_WINDOW),
    "courtlistener_quota_room_in_seconds": ("When the next request has room; 0 if now.", _OF_ACCOUNT),
    "courtlistener_quota_held_seconds": ("How long no permit is granted, after a 429.", _OF_ACCOUNT),
    "courtlistener_account_unusable": ("1 if what is stored of its windows makes no sense.", _OF_ACCOUNT),
    "courtlistener_account_blocked": ("1 if CourtListener has blocked the account.", _OF_ACCOUNT),
    "courtlistener_server_state": (
        "1 for the state of CourtListener: up, degraded (an endpoint gives nothing), maintenance, down.",
        ("account", "state"),
    ),
    "courtlistener_server_down": ("1 while CourtListener gives nothing, whatever is asked for.", _OF_ACCOUNT),
    "courtlistener_server_down_seconds": ("For how long that has been so; 0 if it is up.", _OF_ACCOUNT),
    "courtlistener_server_probe_in_seconds": ("When it is asked again; 0 if it is up, or now.", _OF_ACCOUNT),
    "courtlistener_endpoint_down": ("1 for an endpoint that gives nothing while others do.", ("account", "endpoint")),
    "courtlistener_endpoint_refused": ("1 for an endpoint that the account may not use.", ("account", "endpoint")),
    "courtlistener_permits_in_flight": ("Permits whose response has not come yet.", _OF_ACCOUNT),
    "courtlistener_ledger_epoch": ("Epoch of the ledger; each change of holder raises it.", _OF_ACCOUNT),
    "courtlistener_ledger_holder": ("1 for the store that grants permits now.", ("account", "holder")),
    "courtlistener_partitions": ("Partitions, by state: complete, in_progress, not_begun.", ("asset", "state")),
    "courtlistener_stalled_partitions": (
        "Partitions in progress, not deferred, of which no page has come for half an hour beyond the longest wait.",
        _OF_ASSET,
    ),
    "courtlistener_partition_idle_seconds": (
        "Time since the last page of the partition in progress, not deferred, for which that is longest.",
        _OF_ASSET,
    ),
    "courtlistener_requests_left": ("Estimate of the requests that the rest of an asset takes.", _OF_ASSET),
    "courtlistener_seconds_left": ("Estimate until everything is downloaded, from the account's windows.", ()),
    "courtlistener_requests_per_docket_ratio": ("Requests of all assets for each docket, so far.", ()),
    "courtlistener_failures": ("Failures not resolved, by state: waiting, claimed, dead.", ("state",)),
    "courtlistener_failures_by_error": (
        "Failures not resolved, by the asset, the type of error and the state.",
        ("asset", "error", "state"),
    ),
    "courtlistener_oldest_failure_age_seconds": ("Age of the oldest failure of a state; 0 if none.", ("state",)),
    "courtlistener_deferred_partitions": ("Partitions that wait for room in the quota.", _OF_ASSET),
    "courtlistener_deferral_overdue_seconds": (
        "How long a deferred partition has been due without a run that was requested; 0 if none.",
        (),
    ),
    "courtlistener_dump_differences": (
        "Differences between what is stored and the bulk files that wait to be looked up, by kind.",
        ("kind",),
    ),
    "courtlistener_oldest_dump_difference_age_seconds": (
        "For how long the oldest of these has waited; 0 if there is none.",
        (),
    ),
    "courtlistener_dump_age_seconds": ("Age of the newest bulk files that were compared with what is stored.", ()),
    "courtlistener_scrape_part_up": ("Whether a part of these metrics could be read in time.", ("part",)),
    "courtlistener_scrape_seconds": ("How long reading all this took.", ()),
}
#: What others count; their totals begin anew with them. By name, with help.
COUNTERS: dict[str, str] = {
    "courtlistener_redis_evicted_keys_total": "Keys that Redis has evicted since its start; must stay 0.",
}


def gauges(samples: Iterable[Sample]) -> list[Metric]:
    """Return samples as metrics, one for each name."""
    families: dict[str, GaugeMetricFamily] = {}
    for name, labels, value in samples:
        if name not in families:
            text, label_names = GAUGES[name]
            families[name] = GaugeMetricFamily(name, text, labels=label_names)
        families[name].add_metric(labels, value)
    return list(families.values())


def counter(name: str, value: float) -> Metric:
    """Return a metric of COUNTERS."""
    return CounterMetricFamily(name, COUNTERS[name], value=value)
