"""The state of a run in Redis, for monitoring: counters, tasks, dockets done, errors by type.

Belongs here: the keys `pipeline`, `processed` and `task_start` of a run, and their summary. Does not belong here: what
must not be lost (it is in Postgres), or the replaced pipeline's signatures (`replaced_pipeline.py`).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import redis

from resources.backlog.failure_entries import OpenFailure
from resources.backlog.failure_lists import LIST_TTL_SECONDS
from resources.connections import scripts
from resources.connections.best_effort_redis import BestEffortRedis
from resources.connections.redis_keys import RedisKeys, hour_stamp
from resources.records.model import PageOfRecords

STATE_TTL_HOURS = 25.0
#: Of each run the last so many dockets are known, about 9 MB.
DOCKETS_KEPT = 100_000
_COUNTERS = ("processed_dockets", "failed_dockets", "api_calls", "pages", "records")
_TIMES = ("started_at", "updated_at")
_ERROR = "error:"


class PipelineState:
    """What runs have done so far, dropped `ttl_hours` after their last step; best effort, never raises.

    Without Redis, reading gives nothing and writing does nothing. `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: RedisKeys | None = None,
        *,
        ttl_hours: float = STATE_TTL_HOURS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._redis = BestEffortRedis(client)
        self._keys = keys or RedisKeys()
        self._ttl_seconds = ttl_hours * 3600
        self._clock = clock
        self._script = scripts.register(client, "update_docket_processing_state")

    def initialize_pipeline_state(self, run_id: str, **facts: str | int) -> dict[str, Any]:
        """Begin the state of a run with some facts about it; one that has begun keeps its counters and its beginning.

        Returns what `get_pipeline_state` does.
        """
        self.update(run_id, facts=facts)
        return self.get_pipeline_state(run_id)

    def update(
        self,
        run_id: str,
        *,
        processed: Iterable[int] = (),
        failed: Iterable[int | str] = (),
        errors: Mapping[str, int] | None = None,
        facts: Mapping[str, str | int] | None = None,
        filed: Sequence[OpenFailure] = (),
        **add: int,
    ) -> None:
        """Add what a run has done since the last call; its first call begins the state.

        A docket counts once as processed and once as failed, however often it comes, unless DOCKETS_KEPT others came in
        between. `errors` counts class names, `add` counters such as `api_calls`; `filed` failures enter their hour's
        list, each once.
        """
        counters = dict.fromkeys(_COUNTERS, 0) | add | {_ERROR + name: count for name, count in (errors or {}).items()}
        update = {
            "facts": {name: str(value) for name, value in (facts or {}).items()},
            "add": counters,
            "processed": [str(docket) for docket in processed],
            "failed": [str(docket) for docket in failed],
        }
        keys = [self._keys.pipeline(run_id), self._keys.processed(run_id)]
        keys += [self._keys.failed(failure.hour) for failure in filed]
        ttl_ms, list_ttl_ms = round(self._ttl_seconds * 1000), LIST_TTL_SECONDS * 1000
        args: list[str | int] = [f"{self._clock():.3f}", ttl_ms, list_ttl_ms, DOCKETS_KEPT, json.dumps(update)]
        args += [failure.entry() for failure in filed]
        self._redis.attempt(lambda: self._script(keys=keys, args=args), None)

    def note_page(
        self, run_id: str, page: PageOfRecords, filed: Sequence[OpenFailure] = (), *, api_calls: int = 0
    ) -> None:
        """Add a page that was stored, and the failures of its partition that are open in Postgres."""
        self.update(
            run_id,
            processed={record.docket_id for record in page.records if record.docket_id},
            failed=[each.docket_id or f"object {each.object_id or each.after_id}" for each in page.failures],
            errors=Counter(each.error for each in page.failures),
            filed=filed,
            api_calls=api_calls,
            pages=1,
            records=len(page.records),
        )

    def cache_task_start_time(self, run_id: str, task: str) -> float:
        """When a task of a run began, in seconds since 1970: now, or the time that was cached first."""
        key, now = self._keys.task_start(run_id, task), self._clock()

        def write() -> float:
            self._redis.client.set(key, f"{now:.3f}", nx=True, px=round(self._ttl_seconds * 1000))
            return float(cast("str | None", self._redis.client.get(key)) or now)

        return self._redis.attempt(write, now)

    def get_pipeline_state(self, run_id: str) -> dict[str, Any]:
        """What is known of a run: counters, times in seconds since 1970, facts, errors by type; empty if nothing is."""
        key = self._keys.pipeline(run_id)
        nothing: dict[str, str] = {}
        return _typed(self._redis.attempt(lambda: cast("dict[str, str]", self._redis.client.hgetall(key)), nothing))

    def summary(self, run_id: str) -> dict[str, Any]:
        """The state of a run with `throughput_dockets_per_minute`, waits included; empty if nothing is known."""
        return _summary(self.get_pipeline_state(run_id))

    def last_runs(self, count: int = 5) -> list[dict[str, Any]]:
        """Summaries of the runs that moved last, each with its `run_id`, the latest first."""
        none: list[tuple[str, dict[str, Any]]] = []
        runs = [{"run_id": run_id, **_summary(state)} for run_id, state in self._redis.attempt(self._runs, none)]
        return sorted(runs, key=lambda run: run["updated_at"], reverse=True)[:count]

    def keep_hour(self, hour: str, ttl_hours: float) -> None:
        """Let the counter of an hour's charged requests live that long from now on."""
        key = self._keys.rate_limit(hour)
        self._redis.attempt(lambda: self._redis.client.pexpire(key, round(ttl_hours * 3_600_000)), None)

    def cleanup_expired_keys(self) -> int:
        """Remove what has not moved for as long as the state lives; returns how many keys are gone.

        Redis expires our keys; this is for keys that have lost their time to live, or that the replaced pipeline left
        without one. Only keys below the prefix are examined, with SCAN, which does not block other clients.
        """
        return self._redis.attempt(lambda: self._clean(self._clock() - self._ttl_seconds), 0)

    def _clean(self, before: float) -> int:
        client, old = self._redis.client, list[str]()
        for run_id, state in self._runs():
            if state["updated_at"] < before:
                old += [self._keys.pipeline(run_id), self._keys.processed(run_id)]
        for key in client.scan_iter(match=self._keys.task_start("*", "*"), count=500):
            if float(cast("str | None", client.get(key)) or 0.0) < before:
                old.append(key)
        hour = hour_stamp(datetime.fromtimestamp(before, UTC))
        for name in (self._keys.rate_limit, self._keys.counter):
            old += [key for key in client.scan_iter(match=name("????-??-??_??"), count=500) if key < name(hour)]
        return sum(client.delete(key) for key in old)

    def _runs(self) -> list[tuple[str, dict[str, Any]]]:
        keys = list(self._redis.client.scan_iter(match=self._keys.pipeline("*"), count=500))
        with self._redis.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            states = map(_typed, pipeline.execute())
        run_ids = (key.removeprefix(self._keys.pipeline("")) for key in keys)
        return [(run_id, state) for run_id, state in zip(run_ids, states, strict=True) if state]


def _summary(state: dict[str, Any]) -> dict[str, Any]:
    if not state:
        return {}
    minutes = (state["updated_at"] - state["started_at"]) / 60
    throughput = round(state["processed_dockets"] / minutes, 2) if minutes > 0 else 0.0
    return {**state, "throughput_dockets_per_minute": throughput}


def _typed(stored: Mapping[str, str]) -> dict[str, Any]:
    if not stored:
        return {}
    errors = {name.removeprefix(_ERROR): count for name, count in stored.items() if name.startswith(_ERROR)}
    facts = {name: text for name, text in stored.items() if not name.startswith(_ERROR)}
    try:
        counters = {name: int(stored.get(name, 0)) for name in _COUNTERS}
        times = {name: float(stored[name]) for name in _TIMES}
    except (KeyError, ValueError):  # Written by the replaced pipeline, in its own form.
        return {}
    return {**facts, **counters, **times, "errors": {name: int(count) for name, count in errors.items()}}
