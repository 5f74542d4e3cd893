"""HTTP responses in the server's dress: headers, JSON, HTML, plain text.

Belongs here: how a response looks. Does not belong here: when it is given (`application.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.throttle import Refusal, rate_text

LIST_METHODS = "GET, POST, HEAD, OPTIONS"
DETAIL_METHODS = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
READ_METHODS = "GET, HEAD, OPTIONS"


@dataclass(frozen=True)
class Request:
    """What a client asked. `path` has no query; `host` is the Host header."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    host: str = "localhost"
    body: bytes = b""

    @property
    def base_url(self) -> str:
        return f"http://{self.host}"

    @property
    def url(self) -> str:
        return f"{self.base_url}{self.path}" + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True)
class Response:
    """What the server says. `close` ends the connection after it."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    close: bool = False


def json_response(status: int, body: Any, allow: str, **headers: str) -> Response:
    """Return a response of the API proper. Keyword arguments are more headers, `retry_after="7"`."""
    text = body if isinstance(body, str) else compact_json(body)
    more = {name.replace("_", "-").title(): value for name, value in headers.items()}
    dress = {"Content-Type": "application/json", **more, "Vary": "Accept, origin, Cookie", "Allow": allow}
    return Response(status, dress, text.encode())


def compact_json(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def detail(status: int, text: str, allow: str, **headers: str) -> Response:
    """Return a response with nothing but a `detail`."""
    return json_response(status, {"detail": text}, allow, **headers)


def html(status: int, title: str) -> Response:
    """Return a page for people, such as the 404 of an address outside the API."""
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Response(status, {"Content-Type": "text/html; charset=utf-8", "Vary": "origin, Cookie"}, page.encode())


def moved(location: str, headers: dict[str, str]) -> Response:
    """Return a 301 without a body."""
    return Response(301, {**headers, "Location": location})


def internal_error() -> Response:
    """Return a 500 as the application server gives it when the API crashed: plain text, connection closed."""
    return Response(500, {"Content-Type": "text/plain; charset=utf-8"}, b"Internal Server Error", close=True)


def throttled(refusal: Refusal, allow: str) -> Response:
    """Return a refusal by the throttle."""
    seconds = refusal.retry_after_seconds
    if seconds is None:
        text = "Request was throttled. Your account is currently blocked from making API requests."
        return detail(429, text, allow)
    unit = "second" if seconds == 1 else "seconds"
    limit = f"Rate limit exceeded: {rate_text(refusal.window)}."
    text = f"Request was throttled. {limit} Expected available in {seconds} {unit}."
    return detail(429, text, allow, retry_after=str(seconds))


def injected_429(fault: Fault, allow: str) -> Response:
    """Return a refusal that was ordered."""
    if fault.retry_after_seconds is None:
        return detail(429, "Request was throttled.", allow)
    text = f"Request was throttled. Expected available in {fault.retry_after_seconds} seconds."
    return detail(429, text, allow, retry_after=str(fault.retry_after_seconds))


def struck(fault: Fault | None) -> Response | None:
    """Return the response that a fault gives instead of the real one; None where that is damaged or not sent."""
    responses = {
        "500": internal_error(),
        "502": html(502, "502 Bad Gateway"),
        "503": html(503, "503 Service Temporarily Unavailable"),
        "html": html(200, "We will be right back"),
        "empty": Response(200, {"Content-Type": "application/json"}),
    }
    return responses.get(fault.kind) if fault else None
