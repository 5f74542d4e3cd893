"""Redis where it is welcome but not needed: what fails is logged and left out.

Belongs here: carrying on without Redis. Does not belong here: permits, for which Redis is never optional without a
ledger that takes over (`failover.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import redis

from resources.connections.tls import refusal_of

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class BestEffortRedis:
    """A client whose failures cost a value, never an exception.

    After a failure Redis is left alone for `pause_seconds`, so that an outage does not cost a timeout a call.
    """

    def __init__(
        self, client: redis.Redis, *, pause_seconds: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.client = client
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._away_until = float("-inf")

    def attempt(self, call: Callable[[], _Result], otherwise: _Result) -> _Result:
        """The result of `call`, or `otherwise` if Redis does not answer or refuses."""
        if self._clock() < self._away_until:
            return otherwise
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            self._away_until = self._clock() + self._pause_seconds
            why = refusal_of(error, "REDIS_CA_CERTS") or error
            _log.warning("Redis does not answer, going on without it: %s", why)
            return otherwise
