"""What it means that the answer is no data: the status, who gives it, and where it points.

Belongs here: telling the API's own word from that of something in front of it: a maintenance page, a firewall, a page
to sign in. Does not belong here: data (`responses.py`), or what to do about an error (`client.py`, `server_state.py`).
"""

from __future__ import annotations

import json
import re
from http.client import responses
from urllib.parse import unquote, urljoin, urlsplit

from resources.courtlistener.answer import (
    Response,
    asked_for,
    detail_of,
    named_address,
    printable,
    retry_after_seconds,
)
from resources.errors import (
    ApiError,
    AuthenticationFailed,
    BadRequest,
    Gone,
    NoSuchReference,
    NotFound,
    PermissionDenied,
    ServerDown,
    Throttled,
    TransientApiError,
    Unanswered,
)

#: What is seen of a server that is down on purpose.
MAINTENANCE = "The server shows a page about its maintenance"
#: The server does not log these against the account's quota.
_NOT_COUNTED = {401, 403, 406, 429}
#: A proxy's own: it has passed the request on, and has not seen what became of it.
_OF_A_PROXY = {502, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_FOR_NOW = {302, 303, 307}
#: With HTML or nothing in them they are a firewall's: the API gives none of the first two, and the third as JSON.
_OF_A_FIREWALL = {202, 405, 403}
_SIGN_IN = re.compile(r"/(sign-?in|log-?in|sso)(/|$)", re.IGNORECASE)
#: What a field says that refers to another object. One with a list of choices repeats the value: that is a defect.
_NO_SUCH_CHOICE = "Select a valid choice. That choice is not one of the available choices."


def raise_for_status(response: Response) -> None:
    """Raise the ApiError that a status means, unless it is 200; it says whether the server counted the request."""
    if response.status != 200:
        error = _error_of(response)
        error.counted = response.status not in _NOT_COUNTED
        error.requests = 1
        raise error


def _error_of(response: Response) -> ApiError:
    status = response.status
    said = f"{status} {responses.get(status, '')}".rstrip()
    if in_front := _in_front_of_the_api(response):
        named = retry_after_seconds(response) or 0.0
        return ServerDown(f"{in_front} ({said}): {asked_for(response.url)}", wait_seconds=named)
    if status in _REDIRECTS:
        return _moved(response)
    if status in (401, 403, 404, 410):
        return _refused(response)
    if status == 429:
        return _throttled(response, said)
    if status in (408, 425) or status >= 500:
        kind = Unanswered if status in _OF_A_PROXY else TransientApiError
        return kind(f"{said}: {asked_for(response.url)}")
    return _bad_request(response, said)


def _in_front_of_the_api(response: Response) -> str | None:
    """What answers in place of the API, whatever is asked for; None if it is the API, or if that cannot be told."""
    status, is_json = response.status, response.is_json
    if status == 503 and retry_after_seconds(response) is not None:
        return "The server wants to be left alone for a while"
    if status >= 500 and not is_json and b"maintenance" in response.body[:20_000].lower():
        return MAINTENANCE
    if status in _OF_A_FIREWALL and not is_json:
        return "A firewall answers in place of the API"
    if status in _REDIRECTS and _leads_to_a_page(response):
        return "The server leads to a page to sign in"
    return None


def _leads_to_a_page(response: Response) -> bool:
    """Whether a redirect leads to a page for people: to sign in, wherever that is, or for now elsewhere on the host."""
    try:
        target = urlsplit(urljoin(response.url, response.headers.get("Location", "")))
    except ValueError:
        return False
    asked = urlsplit(response.url)
    elsewhere = target[:2] == asked[:2] and not target.path.startswith("/api/")
    return bool(_SIGN_IN.search(target.path)) or (elsewhere and response.status in _FOR_NOW)


def _moved(response: Response) -> Gone:
    location = named_address(response.url, response.headers.get("Location", ""))
    return Gone(f"It is now {location:.200} ({response.status}): {asked_for(response.url)}", location=location)


def _refused(response: Response) -> ApiError:
    kinds: dict[int, type[ApiError]] = {401: AuthenticationFailed, 403: PermissionDenied, 404: NotFound, 410: Gone}
    kind = kinds[response.status]
    meaning = (kind.__doc__ or "").splitlines()[0]
    error = kind(f"{meaning} CourtListener says: {detail_of(response)!r}, asked for {asked_for(response.url)}")
    if isinstance(error, (PermissionDenied, NotFound, Gone)):
        error.said_by_api = response.is_json
    return error


def _throttled(response: Response, said: str) -> Throttled:
    detail, seconds = detail_of(response), retry_after_seconds(response)
    blocked = detail if seconds is None and "blocked" in detail.lower() else None
    return Throttled(f"{said} ({detail}): {asked_for(response.url)}", retry_after_seconds=seconds, blocked=blocked)


def _bad_request(response: Response, said: str) -> ApiError:
    asked, detail = asked_for(response.url), detail_of(response)
    if missing := _missing_references(response):
        return NoSuchReference(f"CourtListener has no such {missing} ({said}): {asked}")
    if response.status == 400:
        return BadRequest(f"{said} ({detail}): {asked}. This is a defect of CourtListener assets, please report it")
    return BadRequest(f"{said} ({detail}): {asked}. No status but 200 was expected")


def _missing_references(response: Response) -> str:
    """The filters of a 400 that name an object which does not exist, if that is all that it says."""
    try:
        said = json.loads(response.body) if response.status == 400 else None
    except (ValueError, RecursionError):
        return ""
    if isinstance(said, dict) and said and all(words == [_NO_SUCH_CHOICE] for words in said.values()):
        return printable(unquote(", ".join(said)))[:200]
    return ""
