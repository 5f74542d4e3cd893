"""One HTTP response as it came, and the words that a server's texts are quoted in.

Belongs here: reading headers and bodies that say nothing about objects. Does not belong here: what a response means
(`responses.py` for data, `refusals.py` for everything else).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urljoin, urlsplit

from resources.errors import ForeignHost

#: The server has no more of a list that is paged by number.
MOST_NUMBERED_PAGES = 100


@dataclass(frozen=True)
class Response:
    """One complete HTTP response; `url` is the address that was asked."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether it says to be JSON, as all that the API itself gives does."""
        return "json" in self.headers.get("Content-Type", "")

    @property
    def served_at(self) -> datetime:
        """The server's time of the response; ours if it gave none."""
        return _moment_of(self.headers.get("Date", "")) or datetime.now(UTC)


def asked_for(url: str) -> str:
    """Return what an address requests, `/dockets/?court=scotus&id__gt=0`: without what is the same in all of them."""
    return unquote(url.partition("/api/rest/v4")[2].replace("order_by=id&", "") or url)


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


def named_address(asked: str, target: str) -> str:
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
