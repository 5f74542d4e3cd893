"""Log lines with fields: which run, asset, partition and docket a line speaks of.

With `COURTLISTENER_LOG_FORMAT=json` everything that this project logs in a process goes to its standard output, one
JSON object a line; with `text` nothing is changed. Either way, what people should read is in the run's log in the UI.

Belongs here: the format, and the fields that all lines of a step share. Does not belong here: what is logged; whoever
does the work says so, with the fields of its own as `extra=`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import structlog
from structlog.typing import EventDict

from courtlistener_assets.download.partitions import Selection
from resources.telemetry import tracing

TEXT, JSON = "text", "json"
StepContext = dg.OpExecutionContext | dg.AssetExecutionContext

#: For people and programs: Dagster takes these lines over into the run's log.
run_log = dg.get_dagster_logger("courtlistener")
#: For programs only, such as a line a page: not written as text.
detail_log = logging.getLogger("courtlistener_assets.detail")
detail_log.disabled = True

_DAGSTER = dg.get_dagster_logger()
_OURS = (_DAGSTER, logging.getLogger("courtlistener_assets"), logging.getLogger("resources"))


def configure(log_format: str) -> None:
    """Set the format of this process, TEXT or JSON; may be called again."""
    detail_log.disabled = log_format != JSON
    for logger in _OURS:
        logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _JsonHandler)]
        if log_format == JSON:
            # First in line: Dagster's own handler rewrites the record.
            logger.handlers.insert(0, _JsonHandler())
        if logger is not _DAGSTER:  # Whose lines must reach the handlers of Dagster.
            logger.setLevel(logging.INFO if log_format == JSON else logging.NOTSET)
            logger.propagate = log_format != JSON


@contextmanager
def step(context: StepContext) -> Iterator[None]:
    """Give every line of this thread the step's run, job and asset, and log how the step began and ended."""
    several = context.has_partition_key or context.has_partition_key_range
    started = {"event": "step_started", "partitions": len(context.partition_keys) if several else 0}
    with bound(context):
        detail_log.info("The step begins", extra=started)
        try:
            yield
        except BaseException as error:
            text = error.description if isinstance(error, dg.Failure) else str(error)
            cause = error.__cause__ if isinstance(error, dg.Failure) and error.__cause__ else error
            detail_log.error(text, extra={"event": "step_failed", "error": type(cause).__name__})
            raise
        detail_log.info("The step has ended", extra={"event": "step_succeeded"})


@contextmanager
def bound(context: StepContext, partition: Selection | None = None) -> Iterator[None]:
    """Give every line of this thread the step's run, job and asset, and the partition. Threads do not inherit them."""
    fields = {"run_id": context.run.run_id, "job": context.job_name}
    if isinstance(context, dg.AssetExecutionContext):
        fields["asset"] = context.asset_key.to_user_string()
    if partition is not None:
        fields["partition"] = str(partition)
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def bound_fields() -> dict[str, str]:
    """The fields that are given to every line of this thread."""
    return structlog.contextvars.get_contextvars()


class _JsonHandler(logging.StreamHandler[Any]):
    """Standard output, as it is when a line is written, one JSON object a line."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.add_logger_name,
                    _message_apart,
                    structlog.contextvars.merge_contextvars,
                    structlog.stdlib.ExtraAdder(),
                    _trace_ids,
                    structlog.processors.format_exc_info,
                ],
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
                ],
            )
        )

    @property
    def stream(self) -> Any:
        return sys.stdout


def _message_apart(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """structlog calls the message `event`; here `event` is a name that does not change, `message` a sentence."""
    return {**line, "event": "log", "message": line["event"]}


def _trace_ids(_logger: Any, _method: str, line: EventDict) -> EventDict:
    return {**line, **tracing.current_ids()}
