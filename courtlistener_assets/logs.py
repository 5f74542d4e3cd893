"""Log lines with fields: which run, asset, partition and docket a line speaks of.

With `COURTLISTENER_LOG_FORMAT=json` everything that this project logs in a process goes to its standard output, one
JSON object a line; with `text` nothing is changed. Either way, what people should read is in the run's log in the UI.

Belongs here: the loggers and the format. Does not belong here: what is logged, with which `extra=` fields, or the
fields that all lines of a step share (`defs/steps.py`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict

from resources import __name__ as RESOURCES
from resources.telemetry import tracing

TEXT, JSON = "text", "json"

_DAGSTER = logging.getLogger("dagster.builtin")
#: For people and programs: Dagster takes these lines over into the run's log, as those of any child of its logger.
run_log = _DAGSTER.getChild("courtlistener")
run_log.setLevel(logging.DEBUG)  # Else the root logger would drop what is no warning.
#: For programs only, such as a line a page: not written as text.
detail_log = logging.getLogger("courtlistener_assets.detail")
detail_log.disabled = True

_OURS = (_DAGSTER, logging.getLogger("courtlistener_assets"), logging.getLogger(RESOURCES))


def listed(fields: Mapping[str, Any]) -> str:
    """Return fields as people read them: `records 44, pages 4, quota left (50 per 3600 s 12)`; empty ones left out."""
    said = []
    for name, value in fields.items():
        shown = f"({listed(value)})" if isinstance(value, Mapping) else f"{value:,}" if type(value) is int else value
        if value not in ({}, [], "", None):
            said.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(said)


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
