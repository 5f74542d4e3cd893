"""One process that takes permits one after another, with whichever version of the project PYTHONPATH names.

Belongs here: what every version understands, so only the project's entry to permits. Does not belong here: comparing
(`permit.py`). A script, run with `-P`: arguments are the URLs of Redis and Postgres; for each line of standard input, a
number, it takes so many permits and prints the milliseconds of each acquire and settle.
"""

from __future__ import annotations

import json
import sys
import time

from resources.dagster_resources import RedisRateLimitResource
from resources.quota import limiter as code
from resources.quota.limiter import RateLimiter
from resources.quota.permits import Window

#: Never full, so that nothing waits.
_WINDOWS = tuple(Window(1_000_000, seconds) for seconds in (60, 3600, 86_400))


def _timed(limiter: RateLimiter) -> tuple[float, float]:
    began = time.perf_counter()
    with limiter.permit():
        granted = time.perf_counter()
    return 1000 * (granted - began), 1000 * (time.perf_counter() - granted)


def main() -> None:
    redis_url, postgres_url = sys.argv[1:]
    resource = RedisRateLimitResource(redis_url=redis_url, postgres_url=postgres_url)
    limiter = resource.limiter("permit", permit_ttl_seconds=60.0, fallback_windows=_WINDOWS)
    print(json.dumps(code.__file__), flush=True)
    for line in sys.stdin:
        print(json.dumps([_timed(limiter) for _ in range(int(line))]), flush=True)


if __name__ == "__main__":
    main()
