"""What CourtListener's responses mean, and what it means that none came: data, or one of our errors.

Belongs here: pure functions, in line with the table of responses in docs/failures.md. Does not belong here: other
statuses than 200 (`refusals.py`), sending (`client.py`), or what to do about an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import urllib3

from resources.connections.tls import refusal_of
from resources.courtlistener.answer import Response, asked_for, named_address, printable
from resources.courtlistener.refusals import raise_for_status
from resources.errors import (
    ApiChanged,
    ApiError,
    NotSent,
    ResponseTooLarge,
    TransientApiError,
    Unanswered,
    UntrustedServer,
)
from resources.quota.permits import LONGEST_WINDOW_SECONDS, MOST_REQUESTS, Reading, ServerWindow, Window

#: Replaces the token in what a server echoes.
MASK = "********"
#: The server gives no more objects on a page, whatever is asked for.
MOST_OBJECTS = 20
#: A page of twenty long documents has less than a million commas and brackets.
_MOST_VALUES = 4_000_000
#: Python reads no longer ones from a text.
_MOST_DIGITS = 4000
# No SSLError: TLS may also break after the request.
_NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


@dataclass(frozen=True)
class Page:
    """One page of a list: at most 20 objects, and whether there are more behind them."""

    objects: list[Any]
    has_next: bool
    served_at: datetime


def page_of(response: Response) -> Page:
    """Read a page of a list; raises what `object_of` raises, and ForeignHost or ApiChanged for what `next` is."""
    body = object_of(response)
    objects = body.get("results")
    if not isinstance(objects, list):
        raise TransientApiError(f"The response has no list of results: {asked_for(response.url)}")
    if len(objects) > MOST_OBJECTS:
        raise ApiChanged(
            f"The API has changed: a page has {len(objects)} objects, not {MOST_OBJECTS}: {asked_for(response.url)}"
        )
    following = body.get("next")
    if following is not None:
        _check_next(response.url, following)
    return Page(objects, has_next=following is not None, served_at=response.served_at)


def _check_next(asked: str, following: Any) -> None:
    """Raise ApiChanged unless it is an address, and ForeignHost if that is on another host. It is never followed."""
    if isinstance(following, str):
        named_address(asked, following)
        if urlsplit(following).scheme or following.startswith("/"):
            return
    raise ApiChanged(f"The API has changed: next is {following!r:.100}, not the address of a page: {asked_for(asked)}")


def object_of(response: Response) -> dict[str, Any]:
    """Read a JSON object; raises the ApiError that fits the status, or TransientApiError if it is not JSON."""
    raise_for_status(response)
    if not response.is_json:
        content_type = printable(response.headers.get("Content-Type", ""))[:100]
        raise TransientApiError(f"The response is {content_type!r} instead of JSON: {asked_for(response.url)}")
    # Before they are made: millions of small objects take many times the memory of their text.
    if len(response.body) > _MOST_VALUES and sum(map(response.body.count, (b",", b"{", b"["))) > _MOST_VALUES:
        raise ResponseTooLarge(f"The response has more than {_MOST_VALUES} values: {asked_for(response.url)}")
    try:
        body = json.loads(response.body, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:  # Invalid UTF-8 is a ValueError; what is nested too deep is not.
        raise TransientApiError(f"The response is broken JSON ({error}): {asked_for(response.url)}") from None
    if not isinstance(body, dict):
        raise TransientApiError(f"The response is JSON that is not an object: {asked_for(response.url)}")
    return body


def count_of(response: Response) -> int:
    """Return how many objects a list requested with `count=on` has; raises what `object_of` raises."""
    count = object_of(response).get("count")
    if type(count) is not int or not 0 <= count < 2**63:
        raise TransientApiError(f"The response has no count: {asked_for(response.url)}")
    return count


def reading_of(body: Mapping[str, Any], scope: str, served_at: datetime) -> Reading:
    """What an `api-usage` response, given at `served_at`, says of one scope (`user`, `api_usage`).

    Rows that cannot be used are left out, each with a reason. Raises TransientApiError if there are no rows at all.
    """
    rows = body.get("current_usage")
    if not isinstance(rows, list):
        raise TransientApiError("api-usage responded without current_usage")
    windows, faults = [], []
    for row in rows:
        if isinstance(row, dict) and row.get("scope") != scope:
            continue
        if fault := _fault_of_usage(row):
            faults.append(f"{fault}: {printable(repr(row))[:300]}")
            continue
        window = Window(row["limit"], row["window_seconds"])
        reset_seconds = _reset_seconds(row.get("reset_at"), served_at, window)
        windows.append(ServerWindow(window, row["used"], bool(row["blocked"]) or not window.limit, reset_seconds))
    return Reading(tuple(windows), tuple(faults))


def _fault_of_usage(row: Any) -> str:
    """Why a row of api-usage cannot be used, or nothing."""
    if not isinstance(row, dict):
        return "it is no object"
    bounds = {"limit": (0, MOST_REQUESTS), "window_seconds": (1, LONGEST_WINDOW_SECONDS), "used": (0, MOST_REQUESTS)}
    for name, (low, high) in bounds.items():
        if type(row.get(name)) is not int or not low <= row[name] <= high:
            return f"{name} is not a number from {low} to {high}"
    return "" if isinstance(row.get("blocked"), bool) else "blocked is neither true nor false"


def _reset_seconds(reset_at: Any, served_at: datetime, window: Window) -> float | None:
    try:
        seconds = (datetime.fromisoformat(reset_at) - served_at).total_seconds()
    except (TypeError, ValueError, OverflowError):  # Also a moment without a zone.
        return None
    return min(max(0.0, seconds), float(window.seconds))


def error_of_no_response(url: str, error: BaseException, *, masked: str, begun: bool = False) -> ApiError:
    """Return the error for no response; it names the network's error, not those of the libraries above it.

    With `begun`, its status and headers had come: the server has counted the request by then, if it ever does. Such
    an error may quote what the server wrote instead of HTTP; `masked` is masked in it.
    """
    host = urlsplit(url).netloc
    if refusal := refusal_of(error, "REQUESTS_CA_BUNDLE"):
        return UntrustedServer(f"{host}: {refusal} Nothing was sent to it.")
    kind = TransientApiError if begun else NotSent if _never_sent(error) else Unanswered
    below = error.__cause__ or error.__context__
    while isinstance(below, (OSError, HTTPException, urllib3.exceptions.HTTPError)):
        error, below = below, below.__cause__ or below.__context__
    return kind(f"{host} did not answer, {repr(error).replace(masked, MASK):.200}: {asked_for(url)}")


def _never_sent(error: BaseException | None) -> bool:
    """Whether no connection was made, so that the server cannot have counted the request."""
    while error is not None:
        if isinstance(error, _NOT_SENT):
            return True
        reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        error = reason if isinstance(reason, BaseException) else None
    return False


def _whole_number(digits: str) -> float:
    """The number; infinity for one that Python does not read, so that only the object that has it is unusable."""
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf
