"""What each of our errors means to Dagster's retry mechanisms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from courtlistener_assets.defs.assets.download_step import is_deferrable
from courtlistener_assets.defs.steps import NO_RUN_RETRY, translated
from resources.errors import (
    AccountBlocked,
    AuthenticationFailed,
    BadRequest,
    CourtListenerAssetsError,
    ForeignHost,
    Gone,
    NotFound,
    PageRejected,
    PermissionDenied,
    QuotaDeferred,
    ResponseTooLarge,
    SettingError,
    StoreUnavailable,
    Throttled,
    TransientApiError,
)

PERMANENT = [
    AccountBlocked(),
    AuthenticationFailed(),
    BadRequest(),
    ForeignHost(),
    Gone(),
    NotFound(),
    PageRejected(),
    PermissionDenied(),
    ResponseTooLarge(),
    SettingError(),
]
TRANSIENT = [StoreUnavailable(), TransientApiError(), Throttled(retry_after_seconds=1), QuotaDeferred(wait_seconds=1)]


class Context:
    """The parts of a Dagster context that the translation touches."""

    job_name = "job"
    has_partition_key = has_partition_key_range = False

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.run_id = "run"
        self.run = SimpleNamespace(run_id="run")
        self.instance = SimpleNamespace(add_run_tags=lambda run_id, tags: self.tags.update(tags))


@pytest.mark.parametrize("error", PERMANENT, ids=lambda error: type(error).__name__)
def test_what_is_permanent_is_repeated_by_none_of_dagsters_mechanisms(error: CourtListenerAssetsError) -> None:
    context = Context()
    with pytest.raises(dg.Failure) as raised, translated(cast(Any, context)):
        raise error
    assert raised.value.allow_retries is False  # the retry policy of the op
    assert context.tags == NO_RUN_RETRY  # the retries of the run
    assert type(error).__name__ in (raised.value.description or "")


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_what_is_transient_is_left_to_them(error: CourtListenerAssetsError) -> None:
    context = Context()
    with pytest.raises(type(error)), translated(cast(Any, context)):
        raise error
    assert context.tags == {}


def test_a_server_that_stays_away_is_asked_later_once_the_ops_retries_are_used() -> None:
    assert not is_deferrable(TransientApiError(), retries_left=1)
    assert is_deferrable(TransientApiError(), retries_left=0)
    assert is_deferrable(QuotaDeferred(wait_seconds=1), retries_left=2)
    assert not any(is_deferrable(error, retries_left=0) for error in PERMANENT)
