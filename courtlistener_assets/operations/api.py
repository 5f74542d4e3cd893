"""CourtListener's API for commands, under the same permits as all runs.

Belongs here: the resource from settings. Does not belong here: what is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from courtlistener_assets.settings import Settings
from resources.courtlistener.token import account_of

if TYPE_CHECKING:
    from resources.dagster_resources import CourtListenerResource


def courtlistener(settings: Settings, *, max_wait_seconds: float) -> CourtListenerResource:
    """Return the API for settings with a token; `max_wait_seconds` is the longest wait for a permit."""
    # It loads Dagster: a second that commands need not pay which may find that there is nothing to ask.
    from resources.dagster_resources import (
        CourtListenerResource,
        PostgresResource,
        RedisRateLimitResource,
        RedisResource,
    )

    return CourtListenerResource(
        base_url=settings.base_url,
        api_token=settings.token,
        account=settings.account or account_of(settings.token),
        rate_limit=RedisRateLimitResource(
            redis=RedisResource(url=settings.redis_url, prefix=settings.redis_prefix),
            postgres=PostgresResource(url=settings.postgres_url),
            rate_limits=settings.rate_limits,
            max_wait_seconds=max_wait_seconds,
        ),
    )
