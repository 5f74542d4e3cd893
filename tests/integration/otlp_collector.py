"""An OpenTelemetry collector that takes OTLP over HTTP and keeps what it is sent.

Belongs here: reading spans. Does not belong here: any expectation.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """One span that the collector was sent."""

    name: str
    id: bytes
    parent: bytes
    trace: bytes
    attributes: dict[str, Any]
    failed: bool

    def value(self, name: str) -> Any:
        return self.attributes.get(f"courtlistener.{name}")


@dataclass
class Collector:
    """A collector of OTLP over HTTP, and all that it was sent."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    #: Path and headers of each request; names of headers in lower case.
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Received] = field(default_factory=list)

    def receive(self, body: bytes) -> None:
        self.bodies.append(body)
        for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_plain(batch.resource.attributes))
            self.spans += [
                Received(
                    span.name,
                    span.span_id,
                    span.parent_span_id,
                    span.trace_id,
                    _plain(span.attributes),
                    span.status.code == span.status.STATUS_CODE_ERROR,
                )
                for scope in batch.scope_spans
                for span in scope.spans
            ]

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]

    def children(self, span: Received) -> list[Received]:
        return [other for other in self.spans if other.parent == span.id]


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def listening() -> Iterator[Collector]:
    """A collector on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            collector.receive(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
