"""HTTP responses in the server's dress: headers, JSON, HTML, plain text.

Belongs here: how a response looks. Does not belong here: when it is given (`application.py`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from xml.sax.saxutils import escape

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
    """What the server says. `close` ends the connection after it.

    `held_by` is the fault that keeps the client waiting for it.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    close: bool = False
    held_by: Fault | None = None


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


def forbidden(allow: str) -> Response:
    """Return the API's own refusal of what an account may not use."""
    return detail(403, "You do not have permission to perform this action.", allow)


def html(status: int, title: str, content: str = "") -> Response:
    """Return a page for people, as short as those of a proxy."""
    head = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
    page = f"{head}<body><h1>{title}</h1>{content}</body></html>\n"
    return Response(status, {"Content-Type": "text/html; charset=utf-8", "Vary": "origin, Cookie"}, page.encode())


@functools.cache
def site_page(status: int, title: str) -> Response:
    """Return a page of the site with all its menus, about 32 KB, as for an address that does not exist."""
    menu = "".join(f'<li><a href="/help/{number:04d}/" class="menu-item">About</a></li>\n' for number in range(570))
    return html(status, title, f"<ul>{menu}</ul>")


def crash() -> Response:
    """Return the 500 of a request that the API itself could not stand."""
    return site_page(500, "Server Error (500)")


def rendered(response: Response, form: str | None) -> Response:
    """Return JSON in the form that the client asked for: `json`, `api` (a page for people) or `xml`."""
    if form not in ("api", "xml") or response.headers.get("Content-Type") != "application/json":
        return response
    body = json.loads(response.body)
    if form == "api":
        content = f"<pre>{escape(json.dumps(body, indent=4, ensure_ascii=False))}</pre>"
        page = html(response.status, "Django REST framework", content)
        return replace(page, headers=response.headers | page.headers | {"Vary": "Accept, Cookie, origin"})
    if "results" in body:
        # Pages cannot be written as XML: the server's own renderer falls over.
        return crash()
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<root>{_xml(body)}</root>'
    headers = response.headers | {"Content-Type": "application/xml; charset=utf-8"}
    return replace(response, headers=headers, body=text.encode())


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(one)}</{name}>" for name, one in value.items())
    if isinstance(value, list):
        return "".join(f"<list-item>{_xml(one)}</list-item>" for one in value)
    return "" if value is None else escape(str(value))


def moved(location: str, headers: dict[str, str]) -> Response:
    """Return a 301 without a body."""
    return Response(301, {**headers, "Location": location})


def internal_error() -> Response:
    """Return a 500 as the application server gives it when not even an error page is left: plain text, then silence."""
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
