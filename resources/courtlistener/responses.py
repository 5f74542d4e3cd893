"""What CourtListener's responses mean, and what it means that none came: data, or one of our errors.

Belongs here: pure functions, in line with the table of responses in docs/failures.md. Does not belong here: sending
(`client.py`), or what to do about an error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, responses
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import urllib3

from resources.connections.tls import refusal_of
from resources.errors import (
    ApiChanged,
    ApiError,
    AuthenticationFailed,
    BadRequest,
    ForeignHost,
    Gone,
    NotFound,
    NotSent,
    PermissionDenied,
    Throttled,
    TransientApiError,
    UntrustedServer,
)
from resources.quota.permits import ServerWindow, Window

#: Replaces the token in what a server echoes.
MASK = "********"
#: The server does not log these against the account's quota.
_NOT_COUNTED = {401, 403, 406, 429}
_REDIRECTS = {301, 302, 303, 307, 308}
#: Python reads no longer ones from a text.
_MOST_DIGITS = 4000
# No SSLError: TLS may also break after the request.
_NOT_SENT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


@dataclass(frozen=True)
class Response:
    """One complete HTTP response; `url` is the address that was asked."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def served_at(self) -> datetime:
        """The server's time of the response; ours if it gave none."""
        return _moment_of(self.headers.get("Date", "")) or datetime.now(UTC)


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
    following = body.get("next")
    if following is not None:
        _check_next(response.url, following)
    return Page(objects, has_next=following is not None, served_at=response.served_at)


def _check_next(asked: str, following: Any) -> None:
    """Raise ApiChanged unless it is an address, and ForeignHost if that is on another host. It is never followed."""
    if isinstance(following, str):
        _named_address(asked, following)
        if urlsplit(following).scheme or following.startswith("/"):
            return
    raise ApiChanged(f"The API has changed: next is {following!r:.100}, not the address of a page: {asked_for(asked)}")


def object_of(response: Response) -> dict[str, Any]:
    """Read a JSON object; raises the ApiError that fits the status, or TransientApiError if it is not JSON."""
    raise_for_status(response)
    if "json" not in response.headers.get("Content-Type", ""):
        content_type = printable(response.headers.get("Content-Type", ""))[:100]
        raise TransientApiError(f"The response is {content_type!r} instead of JSON: {asked_for(response.url)}")
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


def server_windows_of(body: Mapping[str, Any], scope: str) -> list[ServerWindow]:
    """The windows of one scope (`user`, `api_usage`) of an `api-usage` response; rows that do not fit are an error."""
    rows = body.get("current_usage")
    if not isinstance(rows, list):
        raise TransientApiError("api-usage responded without current_usage")
    try:
        return [
            ServerWindow(Window(int(row["limit"]), int(row["window_seconds"])), int(row["used"]), bool(row["blocked"]))
            for row in rows
            if row["scope"] == scope
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise TransientApiError(f"api-usage responded with a row that cannot be read: {error!r}") from None


def asked_for(url: str) -> str:
    """Return what an address requests, `/dockets/?court=scotus&id__gt=0`: without what is the same in all of them."""
    return unquote(url.partition("/api/rest/v4")[2].replace("order_by=id&", "") or url)


def raise_for_status(response: Response) -> None:
    """Raise the ApiError that a status means, unless it is 200; it says whether the server counted the request."""
    if response.status != 200:
        error = _error_of(response)
        error.counted = response.status not in _NOT_COUNTED
        raise error


def _error_of(response: Response) -> ApiError:
    status, asked = response.status, asked_for(response.url)
    if status in _REDIRECTS:
        location = _named_address(response.url, response.headers.get("Location", ""))
        return Gone(f"It is now {location:.200} ({status}): {asked}", location=location)
    for code, error in ((401, AuthenticationFailed), (403, PermissionDenied), (404, NotFound), (410, Gone)):
        if status == code:
            meaning = (error.__doc__ or "").splitlines()[0]
            found = error(f"{meaning} CourtListener says: {detail_of(response)!r}, asked for {asked}")
            if isinstance(found, (NotFound, Gone)):
                found.said_by_api = "json" in response.headers.get("Content-Type", "")
            return found
    said = f"{status} {responses.get(status, '')}".rstrip()
    detail = detail_of(response)
    if status == 429:
        seconds = retry_after_seconds(response)
        blocked = detail if seconds is None and "blocked" in detail.lower() else None
        return Throttled(f"{said} ({detail}): {asked}", retry_after_seconds=seconds, blocked=blocked)
    if status in (408, 425) or status >= 500:
        return TransientApiError(f"{said}: {asked}")
    if status == 400:
        return BadRequest(f"{said} ({detail}): {asked}. This is a defect of CourtListener assets, please report it")
    return BadRequest(f"{said} ({detail}): {asked}. No status but 200 was expected")


def error_of_no_response(url: str, error: BaseException, *, masked: str) -> ApiError:
    """Return the error for no response; it names the network's error, not those of the libraries above it.

    Such an error may quote what the server wrote instead of HTTP; `masked` is masked in it.
    """
    host = urlsplit(url).netloc
    if refusal := refusal_of(error, "REQUESTS_CA_BUNDLE"):
        return UntrustedServer(f"{host}: {refusal} Nothing was sent to it.")
    kind = NotSent if _never_sent(error) else TransientApiError
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


def detail_of(response: Response) -> str:
    """Return what the server said in its `detail`, or the beginning of its body."""
    try:
        body = json.loads(response.body)
        if isinstance(body, dict) and isinstance(body.get("detail"), str):
            return printable(str(body["detail"])[:500])
    except (ValueError, RecursionError):
        pass
    return printable(response.body[:500].decode("utf-8", "replace"))


def printable(text: str) -> str:
    """What a server said, in one line, without characters that move a terminal's cursor or color its text."""
    return "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.split()))


def retry_after_seconds(response: Response) -> float | None:
    """Return how long the server wants us to wait, None if it named no time."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    moment = _moment_of(value)  # The standard allows a date too.
    return None if moment is None else max(0.0, (moment - response.served_at).total_seconds())


def _moment_of(value: str) -> datetime | None:
    """The moment of an HTTP date, in UTC if it names no zone; None for what is none."""
    try:
        moment = parsedate_to_datetime(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # The last: of years beyond those that Python knows.
        return None


def _whole_number(digits: str) -> float:
    """The number; infinity for one that Python does not read, so that only the object that has it is unusable."""
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf


def _named_address(asked: str, target: str) -> str:
    """The address that a server names; raises ForeignHost if it is not on the host that was asked."""
    target = printable(target)
    try:
        address = urljoin(asked, target)
        if urlsplit(address)[:2] == urlsplit(asked)[:2]:
            return address
    except ValueError:  # Not an address at all, such as http://[
        pass
    host = urlsplit(asked).netloc
    raise ForeignHost(f"{host} named an address of another host, {target:.200}, not followed: {asked_for(asked)}")
