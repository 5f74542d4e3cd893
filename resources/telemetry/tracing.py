"""Traces of what runs do, for an OpenTelemetry collector at `OTEL_EXPORTER_OTLP_ENDPOINT`.

Every walk over a sweep is a trace of its own: `sweep`, below it a `page` each, below that `permit`, `request` and
`store`. Without an endpoint nothing is imported and nothing is recorded. The SDK reads the other standard variables
(`OTEL_*`) itself.

Belongs here: opening spans, and getting them to the collector without holding up a run. Does not belong here: what is
worth a span; whoever does the work says so.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources.errors import CourtListenerAssetsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as RecordedSpan
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, str | int | float | bool]

#: How long the ends of a process's steps wait, in all, for a collector that does not answer.
PATIENCE_SECONDS = 2.0
_SERVICE_NAME = "courtlistener-assets"
_MOST_CHARACTERS = 500
_MISSING = "the SDK is missing. Install courtlistener-assets with the extra `otel`, or unset the variable."


class Span:
    """One span; where nothing is traced, nothing."""

    def __init__(self, recorded: RecordedSpan | None = None) -> None:
        self._recorded = recorded

    @property
    def recording(self) -> bool:
        """Whether attributes are of any use; ask before computing expensive ones."""
        return self._recorded is not None and self._recorded.is_recording()

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        if self._recorded is not None:
            self._recorded.set_attributes(attributes)

    def fail(self, kind: str, message: str = "") -> None:
        """Mark the span as failed, with the kind of error: a class or a status code."""
        if self._recorded is not None:
            from opentelemetry.trace import StatusCode

            self._recorded.set_attribute("error.type", kind)
            self._recorded.set_status(StatusCode.ERROR, message[:_MOST_CHARACTERS] or kind)


_NO_SPAN: AbstractContextManager[Span] = nullcontext(Span())


def configure(endpoint: str | None) -> None:
    """Say whether there is a collector; the SDK reads its address from the environment when the first trace begins."""
    global _endpoint, _export
    with _lock:
        if endpoint == _endpoint:
            return
        former, _export, _endpoint = _export, None, endpoint
    if former is not None:
        former.close()


def trace(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Begin a trace of its own, whatever trace the caller may be in."""
    export = _opened()
    if export is None:
        return _NO_SPAN
    from opentelemetry.context import Context

    return _recorded_span(export.tracer, name, attributes, context=Context())


def span(name: str, attributes: Attributes | None = None, *, outgoing: bool = False) -> AbstractContextManager[Span]:
    """A span of the trace that the caller is in, if it is in one; `outgoing` for a request to another server."""
    export = _export
    if export is None:
        return _NO_SPAN
    from opentelemetry.trace import SpanKind, get_current_span

    if not get_current_span().is_recording():
        return _NO_SPAN
    kind = SpanKind.CLIENT if outgoing else SpanKind.INTERNAL
    return _recorded_span(export.tracer, name, attributes or {}, kind=kind)


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of the span that the caller is in, as hexadecimal digits; empty outside a trace."""
    if _export is None:
        return {}
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}


def flush() -> None:
    """Send what has been recorded; returns when that is done, or when there is no patience left."""
    if _export is not None:
        _export.flush()


@contextmanager
def _recorded_span(tracer: Tracer, name: str, attributes: Attributes, **options: Any) -> Iterator[Span]:
    # The SDK would record every exception with its traceback and message, which may hold more than a trace should.
    options |= {"record_exception": False, "set_status_on_exception": False}
    with tracer.start_as_current_span(name, attributes=dict(attributes), **options) as recorded:
        span = Span(recorded)
        try:
            yield span
        except BaseException as error:
            span.fail(type(error).__name__, str(error) if isinstance(error, CourtListenerAssetsError) else "")
            raise


class _Export:
    """The way to the collector. Spans are sent in batches by a thread; when its queue is full, they are dropped."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer(_SERVICE_NAME)
        self._patience_seconds = PATIENCE_SECONDS

    def flush(self) -> None:
        if not self._patience_seconds:
            return
        # In a thread, since the SDK's own flush takes no heed of a time limit.
        flushing = threading.Thread(target=self.provider.force_flush, name="flush-traces", daemon=True)
        flushing.start()
        flushing.join(self._patience_seconds)
        if flushing.is_alive():
            self._patience_seconds = 0.0

    def close(self) -> None:
        threading.Thread(target=self.provider.shutdown, name="close-traces", daemon=True).start()


_lock = threading.Lock()
_endpoint: str | None = None
_export: _Export | None = None


def _opened() -> _Export | None:
    """The way to the collector, made when it is first needed, in the process that needs it."""
    global _export, _endpoint
    if _endpoint is None:
        return None
    with _lock:
        if _export is None and _endpoint is not None:
            try:
                _export = _Export(_provider())
            except Exception as error:  # Whatever is wrong with the traces, the work goes on.
                _endpoint = None
                reason = _MISSING if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
                dg.get_dagster_logger().warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: %s", reason)
        return _export


def _provider() -> TracerProvider:
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
