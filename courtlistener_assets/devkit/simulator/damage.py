"""What a fault gives instead of the real response.

Belongs here: such responses. Does not belong here: when a fault strikes (`faults.py`), doing it to a socket
(`server.py`).
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

from courtlistener_assets.devkit.simulator.faults import Fault
from courtlistener_assets.devkit.simulator.responses import (
    READ_METHODS,
    Request,
    Response,
    compact_json,
    crash,
    html,
    internal_error,
    json_response,
    moved,
    site_page,
)

_HOLDING = ("timeout", "drip_headers", "drip_chunks")
_PAGE = '{"count":null,"next":null,"previous":null,"results":[%s]}'


def in_front(request: Request, fault: Fault | None) -> Response | None:
    """Return what something in front of the API answers, which never hears of the request; None if nothing does."""
    match fault.kind if fault else None:
        case "maintenance":
            return _maintenance(fault.retry_after_seconds if fault else None)
        case "firewall_202":
            script = '<script src="/challenge.js"></script><noscript>JavaScript is needed.</noscript>'
            return _with(html(202, "Checking your browser", script), {"x-amzn-waf-action": "challenge"})
        case "firewall_403":
            return _with(html(403, "403 Forbidden", "<p>Request blocked.</p>"), {"X-Cache": "Error from cloudfront"})
        case "firewall_405":
            content = "<p>Confirm that you are human.</p>"
            return _with(html(405, "Human Verification", content), {"x-amzn-waf-action": "captcha"})
        case "login":
            target = f"{request.base_url}/sign-in/?next={request.path}"
            return replace(moved(target, {"Content-Type": "text/html; charset=utf-8"}), status=302)
        case "missing":
            return site_page(404, "Page not found")
        case "reset_before":
            return Response(0, {})
    return None


def struck(fault: Fault | None) -> Response | None:
    """Return what the API gives once the request is admitted; None where that is damaged on its way, or is not sent."""
    return _by(fault.kind, fault) if fault else None


def spoiled(fault: Fault) -> Response:
    """Return what comes instead of a page that an object spoils."""
    return _by(fault.by, fault) or crash()


def crowded(response: Response, fault: Fault | None) -> Response:
    """Return a page with its objects again and again, until there are as many as a fault wants."""
    if fault is None or fault.kind != "many" or response.status != 200:
        return response
    body = json.loads(response.body)
    objects = body.get("results") or [{"id": 1}]
    body["results"] = list(itertools.islice(itertools.cycle(objects), fault.count))
    return replace(response, body=compact_json(body).encode())


def misreported(response: Response, fault: Fault | None) -> Response:
    """Return api-usage with the rows of the account as a fault wants them."""
    if fault is None or fault.kind != "usage" or response.status != 200:
        return response
    body = json.loads(response.body)
    body["current_usage"] = [row | fault.row if row["scope"] == "user" else row for row in body["current_usage"]]
    return replace(response, body=compact_json(body).encode())


def _by(manner: str, fault: Fault) -> Response | None:
    if manner in _HOLDING:
        page = json_response(200, _PAGE % "", READ_METHODS)
        return replace(page, status=0 if manner == "timeout" else 200, close=True, held_by=replace(fault, kind=manner))
    match manner:
        case "500":
            return internal_error()
        case "crash":
            return crash()
        case "502" | "late_502":
            return html(502, "502 Bad Gateway")
        case "503":
            return html(503, "503 Service Temporarily Unavailable")
        case "504" | "late_504":
            return html(504, "504 Gateway Time-out")
        case "html":
            return html(200, "We will be right back")
        case "empty":
            return Response(200, {"Content-Type": "application/json"})
        case "nested":
            lists = "[" * fault.count + "]" * fault.count
            return json_response(200, _PAGE % f'{{"id":1,"x":{lists}}}', READ_METHODS)
    return None


def _maintenance(seconds: int | None) -> Response:
    page = html(503, "CourtListener is down for maintenance", "<p>We will be back soon.</p>")
    return page if seconds is None else _with(page, {"Retry-After": str(seconds)})


def _with(response: Response, headers: dict[str, str]) -> Response:
    return replace(response, headers=response.headers | headers)
