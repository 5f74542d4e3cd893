"""What a round needs of a backfill: workers that can be killed at any moment, and a way to its end.

Belongs here: what `rounds.py` and `storm.py` may ask of it. Does not belong here: how one works (`sweepers.py`,
`dagster_runs.py`).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Addresses:
    """Where everything is."""

    base_url: str
    postgres_url: str
    redis_url: str
    rate_limits: str
    token: str


class Backfill(AbstractContextManager["Backfill"], ABC):
    """Workers that download partitions; they work within the `with` block and are killed when it ends."""

    #: The account's quota, and how long the server takes: the storm must find the workers at work.
    rates: ClassVar[str]
    latency: ClassVar[str]
    #: Workers at once, and pages that one of them may have in flight when it dies.
    workers: ClassVar[int]
    pages_in_flight: ClassVar[int]
    #: Beyond this, something hangs.
    deadline_seconds: ClassVar[float]

    def __init__(self, addresses: Addresses, partitions: Sequence[str]) -> None:
        self.addresses, self.partitions = addresses, partitions
        self.counts: Counter[str] = Counter()

    @abstractmethod
    def kill_one(self, rng: random.Random) -> bool:
        """Kill a worker with SIGKILL; returns whether one was there that had begun its work."""

    @abstractmethod
    def look_after(self) -> bool:
        """Start again what died; returns whether anybody is at work."""

    @abstractmethod
    def finish(self) -> None:
        """After the storm, as if every delay had passed: retry and go on until nothing is left to do."""
