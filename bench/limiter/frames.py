"""`python -m bench.limiter.frames`: the call frames between `client.page()` and the EVALSHA that asks for its permit.

Belongs here: one real request on real servers, and the stack at the moment when the command is sent. Does not belong
here: how long anything takes (`cost.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import redis

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from courtlistener_assets.devkit.simulator.server import Simulator
from resources.courtlistener.client import CourtListenerClient
from resources.dagster_resources import CourtListenerResource, RedisRateLimitResource


def frames() -> list[str]:
    """Return the frames, outermost first, of a permit that a page asks for; the first page also opens connections."""
    stacks: list[list[str]] = []
    sent = redis.Redis.execute_command

    def watched(self: redis.Redis, *args: Any, **options: Any) -> Any:
        if args[0] == "EVALSHA" and (stack := _stack_below_page(sys._getframe(1))):
            stacks.append(stack)
        return sent(self, *args, **options)

    with PostgresServer() as postgres, RedisServer() as server, Simulator() as simulator:
        quota = RedisRateLimitResource(redis_url=server.url, postgres_url=postgres.url, rate_limits="1000/min")
        resource = CourtListenerResource(base_url=simulator.url, api_token="wide-token", rate_limit=quota)
        with patch.object(redis.Redis, "execute_command", watched), resource.open() as client:
            client.page("dockets", {"court": "scotus"})
            stacks.clear()
            client.page("dockets", {"court": "ca9"})
    return stacks[0]


def _stack_below_page(frame: FrameType | None) -> list[str]:
    """Return the frames from `page` down to `frame`; nothing if `page` is not among them."""
    names: list[str] = []
    while frame is not None:
        names.append(f"{frame.f_code.co_qualname}  {Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        if frame.f_code is CourtListenerClient.page.__code__:
            return names[::-1]
        frame = frame.f_back
    return []


if __name__ == "__main__":
    found = frames()
    for number, name in enumerate(found, 1):
        print(f"{number:3d}  {name}")
