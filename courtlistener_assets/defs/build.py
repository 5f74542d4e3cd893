"""The whole location from its settings: assets, checks, jobs, sensors, schedules and resources.

Belongs here: what a location consists of. Does not belong here: where its settings come from (`location.py`,
`component.py`), or an executor, which is up to the embedding location.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs.assets.bulk import bulk_assets
from courtlistener_assets.defs.assets.bulk_audit import bulk_audit_asset
from courtlistener_assets.defs.assets.bulk_corpus import CORPUS_ASSETS
from courtlistener_assets.defs.assets.court_changes import court_changes_asset
from courtlistener_assets.defs.assets.downloads import download_asset
from courtlistener_assets.defs.assets.failed_dockets import failed_dockets_asset
from courtlistener_assets.defs.assets.partitioning import court_months, courts_and_groups, undated
from courtlistener_assets.defs.assets.quota_usage import quota_usage_asset, quota_usage_schedule
from courtlistener_assets.defs.assets.undated_dockets import undated_dockets_asset
from courtlistener_assets.defs.assets.vector_inputs import undated_vector_inputs_asset, vector_inputs_asset
from courtlistener_assets.defs.assets.vector_store import vector_store_asset, vector_store_schedule
from courtlistener_assets.defs.checks.complete_and_current import Checked, complete_and_current_check
from courtlistener_assets.defs.checks.downloads import completeness_asset, countable
from courtlistener_assets.defs.checks.nothing_is_dead import nothing_is_dead_check
from courtlistener_assets.defs.checks.vector_inputs import vector_inputs_checks
from courtlistener_assets.defs.failed_docket_lookups import LOOK_UP_FAILED_DOCKETS, look_up_failed_dockets_job
from courtlistener_assets.defs.jobs import asset_jobs, backlog_jobs
from courtlistener_assets.defs.names import TEXT_ASSETS, UNDATED_VECTOR_INPUTS, Names, name_of
from courtlistener_assets.defs.schedules import catch_up_schedule, current_months_schedule, rolling_refresh_schedules
from courtlistener_assets.defs.sensors import sensors
from courtlistener_assets.defs.tidy import tidy_job, tidy_schedule
from courtlistener_assets.download.bulk.bootstrap import fills_from_bulk
from courtlistener_assets.download.courts import nearest, offline
from courtlistener_assets.download.membership import COURT_CHANGES, UNDATED_DOCKETS
from courtlistener_assets.download.partitions import FEWER_PARTITIONS, too_many_partitions
from courtlistener_assets.download.stream import Stream, all_kinds, all_tables
from courtlistener_assets.download.undated import undated_stream
from courtlistener_assets.settings import Settings, catch_up_times
from resources.backlog.failure_entries import DOCKETS
from resources.dagster_resources import (
    BacklogResource,
    CourtListenerResource,
    PostgresResource,
    RecordStoreResource,
    RedisRateLimitResource,
    RedisResource,
)
from resources.errors import SettingError
from resources.records.tables import Members
from resources.telemetry import tracing

_log = logging.getLogger(__name__)
#: The keys of the resources.
QUOTA, API = "courtlistener_quota", "courtlistener"
RECORDS, BACKLOG = "courtlistener_records", "courtlistener_backlog"


def build_definitions(
    settings: Settings,
    *,
    resource_overrides: Mapping[str, Any] | None = None,
    key_prefix: str | Sequence[str] = (),
) -> dg.Definitions:
    """Everything for these settings, to merge with your own: `dg.Definitions.merge(build_definitions(...), yours)`.

    `resource_overrides` take the place of our resources of the same keys. `key_prefix` comes before the keys of our
    assets, and before the names of jobs, sensors and schedules. Two locations in one need two prefixes and the same
    resources: give the second what the first has as `resources`. Raises SettingError for a key that none of ours has.
    """
    logs.configure(settings.log_format)
    _warn(settings)
    tracing.configure(settings.otlp_endpoint)
    names = Names((key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix))
    with warnings.catch_warnings():
        # Backfill policies are beta and partitions of asset checks a preview in this version of Dagster.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.Definitions(**_definitions(settings, names), resources=_resources(settings, resource_overrides or {}))


def _warn(settings: Settings) -> None:
    """Say in the log of the code location what works but may not be meant; nothing is asked for."""
    last = settings.last_day(datetime.now(UTC).date())
    if too_many := too_many_partitions(settings.courts, settings.first_month, last):
        _log.warning("%s %s", too_many, FEWER_PARTITIONS)
    for court in settings.courts:
        if court not in offline():
            near = ", ".join(nearest(court, offline())) or "none"
            _log.warning("courts-db has no court %s (near: %s); the first run asks CourtListener.", court, near)


def _definitions(settings: Settings, names: Names) -> dict[str, Any]:
    """Return what `dg.Definitions` takes, but for the resources."""
    courts, streams = settings.courts, settings.chosen_streams
    months = court_months(courts, settings.first_month, settings.last_month)
    cron, every = catch_up_times(settings.catch_up)
    by_month = [stream for stream in streams if stream.by_month]
    jobs = asset_jobs(streams, names, corpus=bool(settings.corpus_courts))
    scope = settings.scope
    for dockets in (stream for stream in streams if stream.name == DOCKETS):
        jobs = {**jobs, LOOK_UP_FAILED_DOCKETS: look_up_failed_dockets_job(dockets, scope, names)}
    assets = [download_asset(stream, streams, scope, months, settings, names) for stream in streams]
    checked = [Checked.of_stream(stream, months, _counted(stream, streams)) for stream in streams]
    checks = [nothing_is_dead_check(names)]
    schedules = [quota_usage_schedule(names)]
    if by_month:
        of_courts = courts_and_groups(courts, settings.grouped)
        assets.append(court_changes_asset(of_courts, courts, settings.grouped, scope, by_month, names, every=every))
        sweeps = [sweep.name for stream in by_month for sweep in stream.changes]
        checked.append(Checked(COURT_CHANGES, of_courts, sweeps, all_tables(by_month)))
        schedules.append(current_months_schedule(names, jobs, courts, months))
        schedules.append(catch_up_schedule(names, jobs, courts, settings.grouped, cron))
    if kinds := all_kinds(by_month):
        assets.append(vector_inputs_asset(months, settings, by_month, names))
        checks.append(vector_inputs_checks(months, settings.data_dir, kinds, names))
    if entries := undated_stream(streams):
        assets.append(undated_dockets_asset(undated(courts), entries, by_month, scope, names))
        if kinds := all_kinds(by_month):
            assets.append(undated_vector_inputs_asset(undated(courts), settings, by_month, names))
            checks.append(vector_inputs_checks(undated(courts), settings.data_dir, kinds, names, UNDATED_VECTOR_INPUTS))
        of_entries = [sweep.name for sweep in entries.sweeps]
        checked.append(Checked(UNDATED_DOCKETS, undated(courts), of_entries, all_tables(by_month)))
    text = [each.key for each in assets if name_of(each.key) in TEXT_ASSETS]
    kept = [vector_store_asset(settings, text, names)] if settings.vector_store and text else []
    schedules += [vector_store_schedule(names) for _ in kept]
    if settings.refresh_days:
        schedules += rolling_refresh_schedules(names, jobs, streams, settings.refresh_days)
    checks += [complete_and_current_check(each, names) for each in checked]
    bulk = [bulk_assets(settings, names), bulk_audit_asset(settings, names)] if fills_from_bulk(streams) else []
    bulk += [make(settings, names) for make in CORPUS_ASSETS if settings.corpus_courts]
    partitions = {name_of(each.key): each.partitions_def for each in assets}
    operations = [failed_dockets_asset(names), quota_usage_asset(settings, names), completeness_asset(streams, names)]
    all_assets = assets + kept + bulk + operations
    plain_jobs = [*jobs.values(), *backlog_jobs(names)]
    job_names = [each.name for each in plain_jobs] + [each.job_name for each in schedules]
    tidy = tidy_job(names, settings.run_days, job_names, [key for each in all_assets for key in each.keys])
    schedules.append(tidy_schedule(names, tidy))
    return {
        "assets": all_assets,
        "asset_checks": checks,
        "jobs": [*plain_jobs, tidy],
        "sensors": sensors(names, jobs, partitions, checked, settings),
        "schedules": schedules,
    }


def _counted(stream: Stream, streams: Sequence[Stream]) -> list[tuple[str, Members]]:
    return [(sweep.name, members) for sweep, members in countable(stream, streams)]


def _resources(settings: Settings, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return ours, with the overrides in their places: the API client takes its permits from the overridden quota."""
    postgres = PostgresResource(url=settings.postgres_url)
    redis = RedisResource(url=settings.redis_url, prefix=settings.redis_prefix)
    quota = overrides.get(QUOTA) or RedisRateLimitResource(
        redis=redis,
        postgres=postgres,
        rate_limits=settings.rate_limits,
        reserve_share=settings.reserve_share,
        shared_hour_limit=settings.shared_hour_limit,
        max_wait_seconds=settings.max_wait_seconds,
        account=settings.account,
    )
    ours = {
        QUOTA: quota,
        API: CourtListenerResource(
            base_url=settings.base_url,
            api_token=settings.api_token,
            api_token_file=settings.api_token_file,
            account=settings.account,
            rate_limit=quota,
            read_timeout_seconds=settings.read_timeout_seconds,
            response_timeout_seconds=settings.response_timeout_seconds,
        ),
        RECORDS: RecordStoreResource(postgres=postgres),
        BACKLOG: BacklogResource(
            postgres=postgres,
            redis=redis,
            retry_base_seconds=settings.retry_seconds,
            max_tries=settings.max_tries,
        ),
    }
    if unknown := set(overrides) - set(ours):
        raise SettingError(f"none of our resources is called {', '.join(sorted(unknown))}; they are {', '.join(ours)}")
    return {**ours, **overrides}
