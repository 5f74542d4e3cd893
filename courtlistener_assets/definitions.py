"""The code location: assembles everything from the settings in the environment.

The only module that reads environment variables. Secrets go to the resources as `dg.EnvVar`, which Dagster resolves in
the run and never stores.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from courtlistener_assets import logs
from courtlistener_assets.defs.assets.court_changes import court_changes_asset, court_days
from courtlistener_assets.defs.assets.downloads import download_asset
from courtlistener_assets.defs.assets.failed_dockets import failed_dockets
from courtlistener_assets.defs.assets.partitioning import court_months
from courtlistener_assets.defs.assets.quota_usage import quota_usage_asset, quota_usage_schedule
from courtlistener_assets.defs.assets.vector_inputs import vector_inputs_asset
from courtlistener_assets.defs.checks.downloads import completeness, nothing_is_dead
from courtlistener_assets.defs.checks.vector_inputs import vector_inputs_checks
from courtlistener_assets.defs.jobs import ASSET_JOBS, BACKLOG_JOBS
from courtlistener_assets.defs.schedules import schedules
from courtlistener_assets.defs.sensors import sensors
from courtlistener_assets.download.streams import STREAMS
from courtlistener_assets.settings import Settings
from resources.backlog.backlog import BacklogResource
from resources.courtlistener.client import CourtListenerResource
from resources.quota.limiter import RedisRateLimitResource
from resources.records.store import RecordStoreResource
from resources.telemetry import tracing

# Backfill policies are beta and partitions of asset checks a preview in this version of Dagster; its warnings would
# stand above the output of every command.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)


def build_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """All definitions for the settings in `environ`; raises SettingError."""
    settings = Settings.from_environ(environ)
    logs.configure(settings.log_format)
    tracing.configure(settings.otlp_endpoint)
    partitions_def = court_months(settings.courts, settings.first_month)
    days = court_days(settings.courts, datetime.now(UTC).date())
    return dg.Definitions(
        assets=[
            *(download_asset(stream, partitions_def, settings.workers) for stream in STREAMS),
            vector_inputs_asset(partitions_def, settings.data_dir),
            court_changes_asset(days),
            failed_dockets,
            quota_usage_asset(settings),
            completeness,
        ],
        asset_checks=[nothing_is_dead, vector_inputs_checks(partitions_def, settings.data_dir)],
        jobs=[*ASSET_JOBS, *BACKLOG_JOBS],
        sensors=sensors(partitions_def, days),
        schedules=[*schedules(settings.courts, partitions_def, days), quota_usage_schedule()],
        resources=_resources(settings, environ),
        executor=dg.in_process_executor,
    )


def _resources(settings: Settings, environ: Mapping[str, str]) -> dict[str, object]:
    def secret(name: str, otherwise: str) -> str:
        return dg.EnvVar(name) if environ.get(name, "").strip() else otherwise

    postgres_url = secret("POSTGRES_URL", settings.postgres_url)
    redis_url = secret("REDIS_URL", settings.redis_url)
    written = environ.get("REDIS_URL", "").strip()
    if (written or environ.get("REDIS_PASSWORD")) and settings.redis_url != written:
        # An address made of parts may hold the password: it goes the way of all secrets too.
        os.environ["REDIS_URL"] = settings.redis_url
        redis_url = dg.EnvVar("REDIS_URL")
    rate_limit = RedisRateLimitResource(
        redis_url=redis_url,
        redis_prefix=settings.redis_prefix,
        postgres_url=postgres_url,
        rate_limits=settings.rate_limits,
        reserve_share=settings.reserve_share,
        shared_hour_limit=settings.shared_hour_limit,
        max_wait_seconds=settings.max_wait_seconds,
    )
    return {
        "rate_limit": rate_limit,
        "courtlistener": CourtListenerResource(
            base_url=settings.base_url,
            api_token=secret("COURTLISTENER_API_TOKEN", ""),
            api_token_file=settings.api_token_file,
            account=settings.account or "",
            rate_limit=rate_limit,
        ),
        "records": RecordStoreResource(postgres_url=postgres_url),
        "backlog": BacklogResource(
            postgres_url=postgres_url,
            redis_url=redis_url,
            redis_prefix=settings.redis_prefix,
        ),
    }


defs = build_definitions(os.environ)
