"""What CourtListener's answers mean: from a status, headers and a body to data or to one of our errors.

Belongs here: pure functions, in line with the table of answers in docs/failures.md. Does not belong here: sending
(`client.py`), or what to do about an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from resources.errors import (
    AuthenticationFailed,
    BadRequest,
    ForeignHost,
    Gone,
    NotFound,
    PermissionDenied,
    Throttled,
    TransientApiError,
)
from resources.quota.permits import Outcome, ServerWindow, Window

#: The server does not log these against the account's quota.
_NOT_COUNTED = {401, 403, 406, 429}
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class Response:
    """One complete HTTP answer; `url` is the address that was asked."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def outcome(self) -> Outcome:
        """Whether the server counted the request against the quota."""
        return Outcome.NOT_COUNTED if self.status in _NOT_COUNTED else Outcome.COUNTED

    @property
    def served_at(self) -> datetime:
        """The server's time of the answer; ours if it gave none."""
        try:
            return parsedate_to_datetime(self.headers.get("Date", "")).astimezone(UTC)
        except ValueError:
            return datetime.now(UTC)


@dataclass(frozen=True)
class Page:
    """One page of a list: at most 20 objects, and whether there are more behind them."""

    objects: list[Any]
    has_next: bool
    served_at: datetime


def page_of(answer: Response) -> Page:
    """Read a page of a list; raises what `object_of` raises, and ForeignHost if `next` leads elsewhere."""
    body = object_of(answer)
    objects = body.get("results")
    if not isinstance(objects, list):
        raise TransientApiError(f"The answer is without a list of results: {asked_for(answer.url)}")
    following = body.get("next")
    if following is not None:
        _check_host(answer.url, str(following))
    return Page(objects, has_next=following is not None, served_at=answer.served_at)


def object_of(answer: Response) -> dict[str, Any]:
    """Read a JSON object; raises the ApiError that fits the status, or TransientApiError if it is not JSON."""
    _raise_for_status(answer)
    if "json" not in answer.headers.get("Content-Type", ""):
        content_type = answer.headers.get("Content-Type")
        raise TransientApiError(f"The answer is {content_type!r} instead of JSON: {asked_for(answer.url)}")
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError) as error:  # Invalid UTF-8 is a ValueError; what is nested too deep is not.
        raise TransientApiError(f"The answer is broken JSON ({error}): {asked_for(answer.url)}") from None
    if not isinstance(body, dict):
        raise TransientApiError(f"The answer is JSON that is not an object: {asked_for(answer.url)}")
    return body


def server_windows_of(body: Mapping[str, Any], scope: str) -> list[ServerWindow]:
    """The windows of one scope (`user`, `api_usage`) of an `api-usage` answer; rows that do not fit are an error."""
    rows = body.get("current_usage")
    if not isinstance(rows, list):
        raise TransientApiError("api-usage answered without current_usage")
    try:
        return [
            ServerWindow(Window(int(row["limit"]), int(row["window_seconds"])), int(row["used"]), bool(row["blocked"]))
            for row in rows
            if row["scope"] == scope
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise TransientApiError(f"api-usage answered with a row that cannot be read: {error!r}") from None


def asked_for(url: str) -> str:
    """What an address asks for, `/dockets/?court=scotus&id__gt=0`: without what is the same in all of them."""
    return unquote(url.partition("/api/rest/v4")[2].replace("order_by=id&", "") or url)


def _raise_for_status(answer: Response) -> None:
    status, asked = answer.status, asked_for(answer.url)
    if status in _REDIRECTS:
        location = urljoin(answer.url, answer.headers.get("Location", ""))
        _check_host(answer.url, location)
        raise Gone(f"It is now {location} ({status}): {asked}", location=location)
    for code, error in ((401, AuthenticationFailed), (403, PermissionDenied), (404, NotFound), (410, Gone)):
        if status == code:
            meaning = (error.__doc__ or "").splitlines()[0]
            raise error(f"{meaning} CourtListener says: {detail_of(answer)!r}, asked for {asked}")
    said = f"{status} {responses.get(status, '')}".rstrip()
    if status == 429:
        raise Throttled(f"{said} ({detail_of(answer)}): {asked}", retry_after_seconds=retry_after_seconds(answer))
    if status in (408, 425) or status >= 500:
        raise TransientApiError(f"{said}: {asked}")
    if status == 400:
        raise BadRequest(
            f"{said} ({detail_of(answer)}): {asked}. This is a defect of CourtListener assets, please report it"
        )
    if status != 200:
        raise BadRequest(f"{said} ({detail_of(answer)}): {asked}. No other answer than 200 was expected")


def detail_of(answer: Response) -> str:
    """What the server said in its `detail`, or the beginning of whatever it said."""
    try:
        body = json.loads(answer.body)
        if isinstance(body, dict) and isinstance(body.get("detail"), str):
            return str(body["detail"])[:500]
    except (ValueError, RecursionError):
        pass
    return answer.body[:500].decode("utf-8", "replace")


def retry_after_seconds(answer: Response) -> float | None:
    """How long the server asked to wait, None if it named no time."""
    value = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:  # The standard allows a date too.
        return max(0.0, (parsedate_to_datetime(value) - answer.served_at).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _check_host(asked: str, target: str) -> None:
    if urlsplit(urljoin(asked, target))[:2] != urlsplit(asked)[:2]:
        host = urlsplit(asked).netloc
        raise ForeignHost(f"{host} named an address of another host, {target:.200}, not followed: {asked_for(asked)}")
