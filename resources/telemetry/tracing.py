"""Traces of what runs do, for an OpenTelemetry collector at `OTEL_EXPORTER_OTLP_ENDPOINT`.

Every walk over a sweep is a trace of its own: `sweep`, below it a `page` each, below that `permit`, `request` and
`store`. Without an endpoint the spans are OpenTelemetry's own that record nothing, and the SDK is not imported. The SDK
reads the other standard variables (`OTEL_*`) itself.

Belongs here: opening spans, and getting them to the collector without holding up a run. Does not belong here: what is
worth a span; the code that does the work says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    NoOpTracer,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
)

from resources.errors import CourtListenerAssetsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

#: Dagster takes what this logger says over into the run's log.
_run_log = logging.getLogger("dagster.builtin.courtlistener")
Attributes = Mapping[str, str | int | float | bool]

#: How long the ends of a process's steps wait, in all, for a collector that does not answer.
PATIENCE_SECONDS = 2.0
_SERVICE_NAME = "courtlistener-assets"
_MOST_CHARACTERS = 500
_MISSING = "the SDK is missing. Install courtlistener-assets with the extra `otel`, or unset the variable."

_lock = threading.Lock()
_endpoint: str | None = None
_provider: TracerProvider | None = None
_tracer: Tracer = NoOpTracer()
_patience_seconds = PATIENCE_SECONDS


def configure(endpoint: str | None) -> None:
    """Say whether there is a collector; the SDK reads its address from the environment when the first trace begins."""
    global _endpoint, _provider, _tracer, _patience_seconds
    with _lock:
        if endpoint == _endpoint:
            return
        former, _provider, _tracer = _provider, None, NoOpTracer()
        _endpoint, _patience_seconds = endpoint, PATIENCE_SECONDS
    if former is not None:
        threading.Thread(target=former.shutdown, name="close-traces", daemon=True).start()


def trace(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Begin a trace of its own, whatever trace the caller may be in."""
    _open()
    return _started(name, attributes, context=Context())


def span(name: str, attributes: Attributes | None = None, *, outgoing: bool = False) -> AbstractContextManager[Span]:
    """A span of the trace that the caller is in, if it is in one; `outgoing` for a request to another server."""
    if not get_current_span().is_recording():
        return nullcontext(INVALID_SPAN)
    return _started(name, attributes or {}, kind=SpanKind.CLIENT if outgoing else SpanKind.INTERNAL)


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the span that the caller is in, as hexadecimal digits; empty outside a trace."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}


def flush() -> None:
    """Send what has been recorded; returns when that is done, or when the time for it is used up."""
    global _patience_seconds
    if _provider is None or not _patience_seconds:
        return
    # In a thread, since the SDK's own flush takes no heed of a time limit.
    flushing = threading.Thread(target=_provider.force_flush, name="flush-traces", daemon=True)
    flushing.start()
    flushing.join(_patience_seconds)
    if flushing.is_alive():
        _patience_seconds = 0.0


@contextmanager
def _started(name: str, attributes: Attributes, **options: Any) -> Iterator[Span]:
    # The SDK would record every exception with its traceback and message, which may hold more than a trace should.
    options |= {"record_exception": False, "set_status_on_exception": False}
    with _tracer.start_as_current_span(name, attributes=attributes, **options) as span:
        try:
            yield span
        except BaseException as error:
            kind = type(error).__name__
            message = str(error) if isinstance(error, CourtListenerAssetsError) else kind
            span.set_attribute("error.type", kind)
            span.set_status(StatusCode.ERROR, message[:_MOST_CHARACTERS])
            raise


def _open() -> None:
    """Connect to the collector, when first needed, in the process that needs it."""
    global _endpoint, _provider, _tracer
    with _lock:
        if _endpoint is None or _provider is not None:
            return
        try:
            _provider = _exporting()
            _tracer = _provider.get_tracer(_SERVICE_NAME)
        except Exception as error:  # A run must not fail because of its traces.
            _endpoint = None
            reason = _MISSING if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            _run_log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: %s", reason)


def _exporting() -> TracerProvider:
    """Sends spans in batches, from a thread; when its queue is full, they are dropped."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()  # With OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, if they are set.
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _SERVICE_NAME}))
    # At the end of the process the SDK would wait for a collector that does not answer.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
