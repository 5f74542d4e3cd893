"""`python -m bench.limiter.regions`: permits in regions that are far from Redis and Postgres; prints the tables of
docs/guide/regions.md, in about five minutes.

Belongs here: which distances, how many workers, the figures. Does not belong here: expectations
(`tests/integration/test_regions.py`), or what a permit costs at home (`permit.py`).
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.limiter.forwarder import Forwarder
from bench.limiter.judge import Limit, merged, refused, used_share
from bench.limiter.peers import ours
from bench.limiter.workers import Acquire, WorkerLog, run, uniform
from bench.report import table
from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from resources.connections.postgres import Database

DISTANCES_MS = (0, 10, 100)
WORKERS = (1, 4, 16)
#: Never full, so that nothing waits but for the servers.
ROOMY: tuple[Limit, ...] = ((1_000_000, 60),)
#: As tight as can be with whole seconds, so that every permit waits for a place.
TIGHT: tuple[Limit, ...] = ((40, 1), (200, 8))
#: The first second is for connections.
_WARM_UP_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True)
class Home:
    """The region of both servers, of which Postgres has our tables, and ways there."""

    redis_url: str
    postgres_url: str

    @contextlib.contextmanager
    def from_afar(self, *, redis_ms: int, postgres_ms: int) -> Iterator[tuple[str, str]]:
        """The URLs of both servers for workers to which a round trip takes so many milliseconds longer."""
        with contextlib.ExitStack() as stack:
            urls = []
            for url, distance in ((self.redis_url, redis_ms), (self.postgres_url, postgres_ms)):
                port = urlsplit(url).port
                door = Forwarder(port, delay_seconds=distance / 2000)
                stack.callback(door.close)
                urls.append(url.replace(f":{port}", f":{door.port}"))
            yield urls[0], urls[1]


@contextlib.contextmanager
def home() -> Iterator[Home]:
    """Both servers, of which Postgres waits for the disk."""
    with RedisServer() as redis, PostgresServer(durable=True) as postgres:
        database = Database(postgres.url)
        database.migrate()
        database.close()
        yield Home(redis.url, postgres.url)


def rate(there: Home, *, workers: int, redis_ms: int, postgres_ms: int) -> dict[str, Any]:
    """How many permits workers take that are all equally far away and send nothing, from when each has had one."""
    account = f"{workers}-{redis_ms}-{postgres_ms}"
    # A worker that begins takes several round trips under a lock, one worker after the other.
    seconds = 10.0 + workers * (redis_ms + postgres_ms) / 1000 * 12
    start = time.monotonic()
    with there.from_afar(redis_ms=redis_ms, postgres_ms=postgres_ms) as urls:
        logs = run(
            lambda _: ours(*urls, account, ROOMY),
            workers=workers,
            seconds=seconds,
            latency=uniform(0.0, 0.0),
            patience_seconds=_PATIENCE_SECONDS,
        )
    began = max(log.grants[0] for log in logs) + _WARM_UP_SECONDS
    ended = min(log.grants[-1] for log in logs)
    times = [[at for at in log.grants if began <= at <= ended] for log in logs]
    gaps = [b - a for own in times for a, b in itertools.pairwise(own)]
    return {
        "workers": workers,
        "permits a second": round(sum(map(len, times)) / (ended - began), 1),
        "ms from one permit of a worker to its next, median": round(1000 * statistics.median(gaps), 1),
        "s until all had one": round(began - _WARM_UP_SECONDS - start, 1),
        "by Postgres": sum(holder == "postgres" for log in logs for holder in log.holders),
        "errors": sum(len(log.errors) for log in logs),
    }


def shared(there: Home, *, near: int, far: int, distance_ms: int, seconds: float) -> dict[str, Any]:
    """How workers of two regions share a tight quota that they always want more of, and what the server refuses."""
    with there.from_afar(redis_ms=distance_ms, postgres_ms=distance_ms) as urls:

        def connect(number: int) -> Acquire:
            return ours(*(urls if number >= near else (there.redis_url, there.postgres_url)), "shared", TIGHT)

        logs = run(
            connect,
            workers=near + far,
            seconds=seconds,
            latency=uniform(0.01, 0.11),
            patience_seconds=_PATIENCE_SECONDS,
        )
    arrivals = merged(log.arrivals for log in logs)
    return {
        "requests": len(arrivals),
        "refused": refused(arrivals, TIGHT),
        "near": _requests(logs[:near]),
        "far": _requests(logs[near:]),
        "errors": sum(len(log.errors) for log in logs),
        "arrivals": arrivals,
    }


def _requests(logs: Sequence[WorkerLog]) -> int:
    return sum(len(log.arrivals) for log in logs)


def main() -> None:
    """Measure and print."""
    rows, far = [], DISTANCES_MS[1:]
    with home() as there:
        for redis_ms, postgres_ms in [(0, 0), *((ms, 0) for ms in far), *((ms, ms) for ms in far)]:
            for workers in WORKERS:
                found = rate(there, workers=workers, redis_ms=redis_ms, postgres_ms=postgres_ms)
                rows.append({"Redis": f"+{redis_ms} ms", "Postgres": f"+{postgres_ms} ms", **found})
                print(rows[-1], flush=True)
        seconds = 33.3
        both = shared(there, near=4, far=4, distance_ms=100, seconds=seconds)
    print(table(tuple(rows[0]), [tuple(map(str, row.values())) for row in rows]))
    used = used_share(both.pop("arrivals"), TIGHT, seconds - 1.0)
    print({**both, "used_share": round(used, 4)})


if __name__ == "__main__":
    main()
