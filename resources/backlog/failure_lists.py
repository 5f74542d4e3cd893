"""The Redis lists of failed dockets: a copy of Postgres, where people and the replaced pipeline look for it.

Belongs here: which failure is in which list. Does not belong here: the life of a failure (`failures.py`), which is
decided in Postgres; what Redis loses is refilled from there.

An open failure is in exactly one list: `failed:{hour}` of the hour (UTC) in which it first failed,
`claimed:{claim}` while a run retries it, or `dead`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import redis

from resources.connections import scripts
from resources.connections.best_effort_redis import BestEffortRedis
from resources.connections.redis_keys import RedisKeys, hour_stamp
from resources.records.model import Failure

#: Lists expire, the failures do not: they are filed again.
LIST_TTL_SECONDS = 7 * 86_400


@dataclass(frozen=True, kw_only=True)
class OpenFailure(Failure):
    """A failure as Postgres keeps it; `tries` counts how often it failed, `due_at` is when it may be retried."""

    id: int
    asset: str
    partition: str
    sweep: str
    tries: int
    first_at: datetime
    last_at: datetime
    due_at: datetime
    claimed_by: str | None = None
    resolved_at: datetime | None = None
    dead_at: datetime | None = None

    @property
    def hour(self) -> str:
        """The hour in which it first failed, as in the name of its list."""
        return hour_stamp(self.first_at.astimezone(UTC))

    def entry(self) -> str:
        """Return the failure as an element of a list: JSON that begins with its id. The Lua scripts rely on that."""
        shown = {"id": self.id, **asdict(self), "message": self.message[:300]}
        for name in ("due_at", "claimed_by", "resolved_at", "dead_at"):
            del shown[name]
        return json.dumps({name: _plain(value) for name, value in shown.items()})


class FailureLists:
    """Keeps the lists equal to what Postgres knows; best effort."""

    def __init__(self, client: redis.Redis, keys: RedisKeys | None = None) -> None:
        self._redis = BestEffortRedis(client)
        self._keys = keys or RedisKeys()
        self._script = scripts.register(client, "move_failures")

    def claim(self, claim_id: str, failures: Sequence[OpenFailure]) -> None:
        """Move failures from their hours' lists to the claim's."""
        hours = sorted({self._keys.failed(failure.hour) for failure in failures})
        self._move(self._keys.claimed(claim_id), hours, failures)

    def file(self, failures: Iterable[OpenFailure], *, claim_id: str = "") -> None:
        """Move failures to their hours' lists, from the claim's (if there was a claim) or from the dead."""
        sources = [self._keys.claimed(claim_id)] if claim_id else [self._keys.dead()]
        for hour, group in groupby(sorted(failures, key=lambda one: one.hour), key=lambda one: one.hour):
            self._move(self._keys.failed(hour), sources, list(group))

    def dead_letter(self, failures: Sequence[OpenFailure]) -> None:
        """Move failures from their hours' lists to the dead."""
        hours = sorted({self._keys.failed(failure.hour) for failure in failures})
        self._move(self._keys.dead(), hours, failures)

    def resolve(self, claim_id: str, failures: Sequence[OpenFailure]) -> None:
        """Remove failures from the claim's list: they have succeeded."""
        self._move(self._keys.claimed(claim_id), [], failures, append=False)

    def lengths(self, places: Sequence[str]) -> dict[str, int]:
        """Return the length of each list; `places` as in `place_key`. Empty if Redis does not answer."""

        def ask() -> dict[str, int]:
            with self._redis.client.pipeline(transaction=False) as pipeline:
                for place in places:
                    pipeline.llen(self.place_key(place))
                return dict(zip(places, pipeline.execute(), strict=True))

        return self._redis.attempt(ask, {}) if places else {}

    def replace(self, contents: Mapping[str, Sequence[OpenFailure]]) -> None:
        """Rewrite whole lists."""

        def write() -> None:
            with self._redis.client.pipeline(transaction=True) as pipeline:
                for place, failures in contents.items():
                    key = self.place_key(place)
                    pipeline.delete(key)
                    if failures:
                        pipeline.rpush(key, *(failure.entry() for failure in failures))
                        pipeline.pexpire(key, LIST_TTL_SECONDS * 1000)
                pipeline.execute()

        self._redis.attempt(write, None)

    def place_key(self, place: str) -> str:
        """Return the key of a place as Postgres names it: `dead`, `claimed <claim id>` or `failed <hour>`."""
        kind, _, name = place.partition(" ")
        if kind == "dead":
            return self._keys.dead()
        return self._keys.claimed(name) if kind == "claimed" else self._keys.failed(name)

    def _move(
        self, destination: str, sources: Sequence[str], failures: Sequence[OpenFailure], *, append: bool = True
    ) -> None:
        if failures:
            entries = [failure.entry() for failure in failures]
            args: list[str | int] = [int(append), LIST_TTL_SECONDS * 1000, *entries]
            self._redis.attempt(lambda: self._script(keys=[destination, *sources], args=args), None)


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else value
