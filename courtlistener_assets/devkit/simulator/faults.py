"""Faults on demand: what goes wrong, how often, and how slow the server is.

Belongs here: the decision that a request goes wrong. Does not belong here: doing it to a socket (`server.py`).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from courtlistener_assets.devkit.simulator.shapes import Record
from resources.errors import SettingError

#: What can happen. All but two strike after the throttle has logged the request, so that it costs quota.
KINDS = (
    "500",  # text/plain, connection closed: the database is down
    "crash",  # 500 with a page of 32 KB
    "502",  # HTML of a proxy
    "503",
    "html",  # HTML with status 200
    "empty",  # status 200, no body
    "cut",  # Content-Length larger than what is sent
    "reset_after",  # connection reset instead of a response
    "reset_before",  # connection reset before the request reaches the throttle
    "429",  # a refusal although the account has room; not logged
    "poison",  # "crash" for every page that shows one object
)


@dataclass
class Fault:
    """One thing that goes wrong.

    It strikes requests whose path starts with `path_prefix`: the next `times` of them (None: all), each with
    `probability`. A `poison` strikes every response that shows object `object_id` of `endpoint`.
    `retry_after_seconds` is for `429`; None sends no header.
    """

    kind: str
    path_prefix: str = "/api/rest/v4/"
    times: int | None = None
    probability: float = 1.0
    endpoint: str = ""
    object_id: int = 0
    retry_after_seconds: int | None = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingError(f"fault {self.kind!r} is none of {', '.join(KINDS)}")


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
        """Return the fault that strikes a request to `path`, if any; poison is not drawn."""
        with self._lock:
            for fault in self._faults:
                if fault.kind == "poison" or fault.times == 0 or not path.startswith(fault.path_prefix):
                    continue
                if fault.probability < 1 and self._random.random() >= fault.probability:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def poisoned(self, endpoint: str, shown: list[Record]) -> bool:
        """Return whether a response that shows these objects falls over."""
        with self._lock:
            bad = {(one.endpoint, one.object_id) for one in self._faults if one.kind == "poison"}
        nested = (document for record in shown for document in record.get("recap_documents", ()))
        return any((endpoint, record["id"]) in bad for record in shown) or any(
            ("recap-documents", document["id"]) in bad for document in nested
        )


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
