"""Our errors in Dagster's terms: what may be tried again, and by which of Dagster's retry mechanisms.

Belongs here: the translation at the border to Dagster. Does not belong here: what an error means
(`resources/errors.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from courtlistener_assets.logs import step
from resources.errors import CourtListenerAssetsError

#: Dagster retries a failed run unless this tag says otherwise; `allow_retries=False` stops only the retries of the op.
NO_RUN_RETRY = {"dagster/retry_on_asset_or_op_failure": "false", "dagster/max_retries": "0"}


@contextmanager
def translated(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> Iterator[None]:
    """Turn our errors into Dagster failures that tell Dagster whether to retry, and log how the step has ended.

    A retryable error leaves as itself, so that the op's retry policy and the run's retries apply. Anything else becomes
    a Failure that no retry mechanism repeats.
    """
    with step(context):
        try:
            yield
        except CourtListenerAssetsError as error:
            if error.retryable:
                raise
            context.instance.add_run_tags(context.run.run_id, NO_RUN_RETRY)
            raise dg.Failure(
                description=f"{type(error).__name__}: {error}",
                metadata={"error": type(error).__name__},
                allow_retries=False,
            ) from error
