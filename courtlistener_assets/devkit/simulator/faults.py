"""Faults on demand: what goes wrong, how often, and how slow the server is.

Belongs here: the decision that a request goes wrong. Does not belong here: doing it to a socket (`server.py`).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from courtlistener_assets.devkit.simulator.pagination import PAGE_SIZE
from courtlistener_assets.devkit.simulator.shapes import Record
from resources.errors import SettingError

#: What the API itself gives; it strikes after the throttle has logged the request, so that it costs quota.
_OF_THE_API = (
    "500",  # text/plain, connection closed: the database is down
    "crash",  # 500 with a page of 32 KB
    "502",  # HTML of a proxy
    "503",
    "504",
    "html",  # HTML with status 200
    "empty",  # status 200, no body
    "cut",  # Content-Length larger than what is sent
    "timeout",  # nothing at all for `seconds`, then the connection is closed
    "drip_headers",  # the headers come a byte at a time
    "drip_chunks",  # the length of a chunk does
    "many",  # a page of `count` objects
    "nested",  # an object of `count` lists within each other
    "reset_after",  # connection reset instead of a response
    "late",  # the request reaches the API only after `seconds`, whether or not its client still waits
    "late_502",  # a proxy gives up on it at once, and it reaches the API after `seconds` all the same
    "late_504",
)
#: What something in front of the API gives: the throttle never sees the request.
IN_FRONT = (
    "maintenance",  # 503, HTML, Retry-After
    "firewall_202",  # a riddle for browsers, as HTML
    "firewall_403",  # HTML
    "firewall_405",  # a riddle for people, as HTML
    "login",  # 302 to the page on which people sign in
    "missing",  # 404, HTML: no such address
    "reset_before",  # connection reset
)
#: What strikes only requests for certain objects, in the manner that `by` names.
_SPOILING = (
    "poison",  # every page that shows one object
    "unbounded",  # every page that is not full and sets no upper bound to ids: the search runs to the end of the table
)
KINDS = (
    *_OF_THE_API,
    *IN_FRONT,
    *_SPOILING,
    "429",  # a refusal although the account has room; not logged
    "usage",  # api-usage gives its rows of the account changed by `row`
    "forbidden",  # 403 of the API: this account may not use what `path_prefix` names; not logged
)
_BOUNDS = ("id", "id__in", "id__lt", "id__lte", "id__range")


@dataclass
class Fault:
    """One thing that goes wrong.

    It strikes requests whose path starts with `path_prefix`: the next `times` of them (None: all) after `after` that it
    lets pass, each with `probability`. A `poison` strikes every response that shows object `object_id` of `endpoint`,
    an `unbounded` every open page of `endpoint`; `by` says with what. `retry_after_seconds` is for `429` and
    `maintenance`; None sends no header. `row` is what `usage` replaces in a row. `seconds` is how long a client is kept
    waiting that does not leave, or how late a request arrives.
    """

    kind: str
    path_prefix: str = "/api/rest/v4/"
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    endpoint: str = ""
    object_id: int = 0
    retry_after_seconds: int | None = 1
    by: str = "crash"
    seconds: float = 60.0
    count: int = 21
    row: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingError(f"fault {self.kind!r} is none of {', '.join(KINDS)}")
        if self.by not in _OF_THE_API:
            raise SettingError(f"a fault by {self.by!r} is none by {', '.join(_OF_THE_API)}")


class FaultPlan:
    """The faults in force. Draws come from one seeded generator."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 1) -> None:
        self._faults = list(faults)
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def draw(self, path: str) -> Fault | None:
        """Return the fault that strikes a request to `path`, if any; what spoils certain objects is not drawn."""
        with self._lock:
            for fault in self._faults:
                if fault.kind in _SPOILING or fault.times == 0 or not path.startswith(fault.path_prefix):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.probability < 1 and self._random.random() >= fault.probability:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def spoiling(
        self, endpoint: str, asked: Mapping[str, list[str]], shown: list[Record], last_id: Callable[[], int]
    ) -> Fault | None:
        """Return the fault that strikes a response that shows these objects, if any."""
        with self._lock:
            for fault in self._faults:
                # What is poisonous of an object is its text, not its id.
                if fault.kind == "poison" and asked.get("fields") != ["id"] and _shows(endpoint, shown, fault):
                    return fault
                if fault.kind == "unbounded" and fault.endpoint == endpoint and _is_open(asked, shown, last_id):
                    return fault
        return None


def _shows(endpoint: str, shown: list[Record], fault: Fault) -> bool:
    if fault.endpoint == "recap-documents" and endpoint != "recap-documents":
        shown = [document for record in shown for document in record.get("recap_documents", ())]
    elif fault.endpoint != endpoint:
        return False
    return any(record["id"] == fault.object_id for record in shown)


def _is_open(asked: Mapping[str, list[str]], shown: list[Record], last_id: Callable[[], int]) -> bool:
    """Whether the search for a full page has to run through ids that are there and are none of the list's."""
    if len(shown) >= PAGE_SIZE or "id__gt" not in asked or any(bound in asked for bound in _BOUNDS):
        return False
    return int(asked["id__gt"][-1] or 0) < last_id()


class Latency:
    """How long a response takes, and how much of that passes before the throttle sees the request."""

    def __init__(self, spec: str = "fixed:0", seed: int = 1) -> None:
        """`fixed:0.05` or `uniform:0.01,0.11`, in seconds."""
        kind, _, numbers = spec.partition(":")
        try:
            bounds = [float(number) for number in numbers.split(",")]
            self._low, self._high = bounds * 2 if kind == "fixed" else bounds
        except ValueError:
            raise SettingError(f"latency {spec!r} is not like fixed:0.05 or uniform:0.01,0.11") from None
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def draw(self) -> tuple[float, float]:
        """Return the seconds before and after the throttle."""
        with self._lock:
            share, total = self._random.random(), self._random.uniform(self._low, self._high)
        return total * share, total * (1 - share)
