"""The state of a run in Redis, for whoever watches a pipeline: counters, tasks, dockets done.

Belongs here: the keys `pipeline`, `processed` and `task_start` of a run. Does not belong here: anything that must not
be lost; checkpoints and failures are in Postgres, and a download goes on when Redis is away.

The method names are those of the pipeline that this project replaces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, cast

import redis

from resources.backlog.failure_lists import LIST_TTL_SECONDS, OpenFailure
from resources.connections import scripts
from resources.connections.best_effort_redis import BestEffortRedis
from resources.connections.redis_keys import RedisKeys, hour_stamp

STATE_TTL_SECONDS = 2 * 86_400
#: Of each run the last so many dockets are known, about 9 MB.
DOCKETS_KEPT = 100_000
_COUNTERS = ("processed_dockets", "failed_dockets", "pages", "records")
_MOMENTS = ("started_at", "updated_at")


class PipelineState:
    """What runs have done so far. Without Redis, reading gives nothing and writing does nothing.

    `clock` gives seconds since 1970.
    """

    def __init__(
        self, client: redis.Redis, keys: RedisKeys | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._redis = BestEffortRedis(client)
        self._keys = keys or RedisKeys()
        self._clock = clock
        self._update = scripts.register(client, "update_docket_processing_state")

    def initialize_pipeline_state(self, run_id: str, **facts: str | int) -> dict[str, Any]:
        """Begin the state of a run with some facts about it, or go on with it; returns what `get_pipeline_state` does.

        A run that is restarted keeps its counters and the time when it began.
        """
        key = self._keys.pipeline(run_id)

        def write() -> None:
            with self._redis.client.pipeline(transaction=True) as pipeline:
                pipeline.hsetnx(key, "started_at", f"{self._clock():.3f}")
                for counter in _COUNTERS:
                    pipeline.hsetnx(key, counter, "0")
                if facts:
                    pipeline.hset(key, mapping={name: str(value) for name, value in facts.items()})
                pipeline.pexpire(key, STATE_TTL_SECONDS * 1000)
                pipeline.execute()

        self._redis.attempt(write, None)
        return self.get_pipeline_state(run_id)

    def cache_task_start_time(self, run_id: str, task: str) -> float:
        """When a task of a run began, in seconds since 1970: now, or the time that was cached first."""
        key, now = self._keys.task_start(run_id, task), self._clock()

        def write() -> float:
            self._redis.client.set(key, f"{now:.3f}", nx=True, ex=STATE_TTL_SECONDS)
            return float(cast("str | None", self._redis.client.get(key)) or now)

        return self._redis.attempt(write, now)

    def update_docket_processing_state(
        self,
        run_id: str,
        docket_ids: Sequence[int],
        failures: Sequence[OpenFailure] = (),
        *,
        pages: int = 1,
        records: int = 0,
    ) -> None:
        """A page was stored: count it, note its dockets as processed, and put its failures into their hour's list.

        A docket that comes again is not counted again, unless DOCKETS_KEPT others came in between; a failure that is in
        its list already is not put there twice.
        """
        now = self._clock()
        hours = [
            (hour, list(group))
            for hour, group in groupby(sorted(failures, key=lambda one: one.hour), key=lambda one: one.hour)
        ]
        for position, (hour, group) in enumerate(hours or [(_hour_stamp_of(now), [])]):
            dockets = sorted(set(docket_ids)) if position == 0 else []
            args: list[str | int] = [f"{now:.3f}", STATE_TTL_SECONDS * 1000, LIST_TTL_SECONDS * 1000]
            args += [pages, records] if position == 0 else [0, 0]
            args += [DOCKETS_KEPT, len(dockets), *dockets, *(failure.entry() for failure in group)]
            keys = [self._keys.pipeline(run_id), self._keys.processed(run_id), self._keys.failed(hour)]
            self._redis.attempt(lambda keys=keys, args=args: self._update(keys=keys, args=args), None)  # type: ignore[misc]

    def get_pipeline_state(self, run_id: str) -> dict[str, Any]:
        """What is known of a run, with numbers as numbers; empty if nothing is."""
        key = self._keys.pipeline(run_id)
        nothing: dict[str, str] = {}
        return _typed(self._redis.attempt(lambda: cast("dict[str, str]", self._redis.client.hgetall(key)), nothing))

    def is_processed(self, run_id: str, docket_id: int) -> bool:
        """Whether a run has stored a page with this docket, among the last DOCKETS_KEPT."""
        key = self._keys.processed(run_id)
        return self._redis.attempt(lambda: self._redis.client.zscore(key, str(docket_id)) is not None, False)

    def cleanup_expired_keys(self, *, older_than_seconds: float = STATE_TTL_SECONDS) -> int:
        """Remove the state of runs that have not moved for so long; returns how many keys are gone.

        Redis removes these keys by itself; this is for keys that have lost their time to live, or must go sooner. Only
        keys below the prefix are looked at, with SCAN, which holds nobody up.
        """
        return self._redis.attempt(lambda: self._clean(self._clock() - older_than_seconds), 0)

    def _clean(self, before: float) -> int:
        client, removed = self._redis.client, 0
        for key in client.scan_iter(match=self._keys.pipeline("*"), count=500):
            updated = _typed(cast("dict[str, str]", client.hgetall(key)))
            if float(updated.get("updated_at", updated.get("started_at", 0.0))) < before:
                run_id = key.removeprefix(self._keys.pipeline(""))
                removed += client.delete(key, self._keys.processed(run_id))
        for key in client.scan_iter(match=self._keys.task_start("*", "*"), count=500):
            if float(cast("str | None", client.get(key)) or 0.0) < before:
                removed += client.delete(key)
        return removed


def _hour_stamp_of(seconds: float) -> str:
    return hour_stamp(datetime.fromtimestamp(seconds, UTC))


def _typed(stored: Mapping[str, str]) -> dict[str, Any]:
    def value(name: str, text: str) -> Any:
        if name in _COUNTERS:
            return int(text)
        return float(text) if name in _MOMENTS else text

    return {name: value(name, text) for name, text in stored.items()}
