"""Redis where it is welcome but not needed: what fails is logged and left out.

Belongs here: carrying on without Redis. Does not belong here: permits, for which Redis is never optional without a
ledger that takes over (`failover.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import redis
from circuitbreaker import CircuitBreaker

from resources.connections.tls import refusal_of

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_FAILURES = (redis.RedisError, OSError)
_PAUSE_SECONDS = 5


class BestEffortRedis:
    """A client whose failures cost a value, never an exception.

    After a failure Redis is not asked for a while, so that an outage does not cost a timeout a call.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._breaker = CircuitBreaker(1, _PAUSE_SECONDS, expected_exception=_FAILURES)

    def attempt(self, call: Callable[[], _Result], otherwise: _Result) -> _Result:
        """Return the result of `call`, or `otherwise` if Redis does not answer or refuses."""
        if self._breaker.opened:
            return otherwise
        try:
            with self._breaker:
                return call()
        except _FAILURES as error:
            _log.warning("Redis does not answer, skipping it: %s", refusal_of(error, "REDIS_CA_CERTS") or error)
            return otherwise
