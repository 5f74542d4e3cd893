"""The Redis lists of failed dockets: what is to be retried, whoever has pushed it.

Belongs here: which entry is in which list, and moving it. Does not belong here: the life of a failure (`failures.py`),
what becomes of entries of other programs (`adoption.py`), or what an entry says (`failure_entries.py`).

An open failure is in exactly one list: `failed:{hour}` of the hour (UTC) in which it first failed,
`claimed:{claim}` while a run retries it, or `dead`. What Redis loses is refilled from Postgres.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any
from uuid import uuid4

import redis
from redis.client import NEVER_DECODE
from redis.commands.core import Script

from resources.backlog.failure_entries import OpenFailure
from resources.connections import scripts
from resources.connections.best_effort_redis import BestEffortRedis
from resources.connections.redis_keys import RedisKeys

#: Lists expire, the failures do not: they are filed again.
LIST_TTL_SECONDS = 7 * 86_400
_TTL_MS = LIST_TTL_SECONDS * 1000
#: Arguments of one call of a script.
_MOST_AT_ONCE = 500

_HOUR = re.compile(r"\d{4}-\d\d-\d\d_\d\d")

Lists = dict[str, list[bytes]]


class FailureLists:
    """Keeps the lists equal to what Postgres knows; best effort, no method raises because of Redis."""

    def __init__(self, client: redis.Redis, keys: RedisKeys | None = None) -> None:
        self._redis = BestEffortRedis(client)
        self._keys = keys or RedisKeys()
        self._move_script = scripts.register(client, "move_failures")
        self._take_script = scripts.register(client, "take_failures")
        self._refill_script = scripts.register(client, "refill_failures")

    # --- our own entries ------------------------------------------------------------------------------------------

    def claim(self, claim_id: str, failures: Sequence[OpenFailure]) -> None:
        """Move failures from their hours' lists to the claim's."""
        self._move(self._keys.claimed(claim_id), self._hours(failures), failures)

    def file(self, failures: Iterable[OpenFailure], *, claim_id: str = "") -> None:
        """Move failures to their hours' lists, from the claim's (if there was a claim) or from the dead."""
        sources = [self._keys.claimed(claim_id)] if claim_id else [self._keys.dead()]
        for hour, group in groupby(sorted(failures, key=lambda one: one.hour), key=lambda one: one.hour):
            self._move(self._keys.failed(hour), sources, list(group))

    def dead_letter(self, failures: Sequence[OpenFailure], *, claim_id: str = "") -> None:
        """Move failures from their hours' lists, or from the claim's, to the dead."""
        sources = [self._keys.claimed(claim_id)] if claim_id else self._hours(failures)
        self._move(self._keys.dead(), sources, failures)

    def resolve(self, failures: Sequence[OpenFailure], *, claim_id: str = "") -> None:
        """Remove failures from the claim's list, or from the dead: they have succeeded, or nobody wants them."""
        place = self._keys.claimed(claim_id) if claim_id else self._keys.dead()
        self._move(place, [], failures, append=False)

    def refill(self, place: str, failures: Sequence[OpenFailure], *, gone: Iterable[str] = ()) -> None:
        """Let exactly these of our entries stand in a list; `gone` are the identities of those that no longer do.

        What another program has pushed stays.
        """
        gone = list(gone)
        args = [_TTL_MS, len(gone), *gone, *(failure.entry() for failure in failures)]
        self._run(self._refill_script, [self.place_key(place)], args)

    def place_key(self, place: str) -> str:
        """Return the key of a place as Postgres names it: `dead`, `claimed <claim id>` or `failed <hour>`."""
        kind, _, name = place.partition(" ")
        if kind == "dead":
            return self._keys.dead()
        return self._keys.claimed(name) if kind == "claimed" else self._keys.failed(name)

    # --- everything in the lists ----------------------------------------------------------------------------------

    def read_failed(self) -> Lists | None:
        """Return all entries of the lists of failed dockets, by hour; None if Redis does not answer.

        What stands in the place of an hour's list and is none gets another name; an entry that says so takes its place.
        """
        return self._redis.attempt(self._read_failed, None)

    def read_place(self, place: str) -> list[bytes]:
        """Return the entries of one list; none if Redis does not answer."""
        nothing: list[bytes] = []
        return self._redis.attempt(lambda: self._entries(self.place_key(place)), nothing)

    def take(self, hour: str, entries: Sequence[bytes]) -> None:
        """Move entries of other programs out of an hour's list to the taken ones, each under a new token."""
        keys = [_key(self._keys.failed(hour)), self._keys.taken()]
        for start in range(0, len(entries), _MOST_AT_ONCE):
            args: list[Any] = [_TTL_MS]
            for entry in entries[start : start + _MOST_AT_ONCE]:
                args += [uuid4().hex, entry]
            self._run(self._take_script, keys, args)

    def taken(self) -> dict[str, bytes]:
        """Return the entries that were taken and are not put away yet, by token, the first one first."""
        nothing: list[bytes] = []
        found = self._redis.attempt(lambda: self._entries(self._keys.taken()), nothing)
        pairs = (entry.partition(b" ") for entry in found)
        return {token.decode(errors="backslashreplace"): entry for token, _, entry in pairs}

    def put_away(self, token: str, entry: bytes) -> None:
        """Remove a taken entry: Postgres has it."""
        value: Any = token.encode() + b" " + entry
        self._redis.attempt(lambda: self._redis.client.lrem(self._keys.taken(), 1, value), 0)

    def _read_failed(self) -> Lists:
        return {hour: self._entries_of_hour(hour) for hour in sorted(set(self._hours_in_redis()))}

    def _hours_in_redis(self) -> Iterable[str]:
        prefix, cursor = self._keys.failed(""), 0
        while True:
            cursor, keys = self._undecoded("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", 1000)
            yield from (key.decode(errors="surrogateescape").removeprefix(prefix) for key in keys)
            if int(cursor) == 0:
                return

    def _entries_of_hour(self, hour: str) -> list[bytes]:
        key = self._keys.failed(hour)
        try:
            return self._entries(key)
        except redis.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            if not _HOUR.fullmatch(hour):
                return []  # Another program's own key, which is in nobody's way.
            return [self._set_aside(key, self._keys.unreadable(uuid4().hex[:12]))]

    def _set_aside(self, key: str, name: str) -> bytes:
        """Give what is no list another name, and leave an entry in its place that says so."""
        said = f"{key} was no list: what stood there is called {name}".encode(errors="backslashreplace")
        with self._redis.client.pipeline(transaction=True) as pipeline:
            pipeline.rename(_key(key), name)
            pipeline.pexpire(name, _TTL_MS)
            pipeline.rpush(_key(key), said)
            pipeline.execute()
        return said

    def _entries(self, key: str) -> list[bytes]:
        found: list[bytes] = self._undecoded("LRANGE", _key(key), 0, -1)
        return found

    def _undecoded(self, *command: str | int) -> Any:
        """The server's reply as it is: what other programs have written may be no text."""
        execute: Any = self._redis.client.execute_command
        return execute(*command, **{NEVER_DECODE: True})

    def _hours(self, failures: Iterable[OpenFailure]) -> list[str]:
        return sorted({self._keys.failed(failure.hour) for failure in failures})

    def _move(
        self, destination: str, sources: Sequence[str], failures: Sequence[OpenFailure], *, append: bool = True
    ) -> None:
        for start in range(0, len(failures), _MOST_AT_ONCE):
            entries = [failure.entry() for failure in failures[start : start + _MOST_AT_ONCE]]
            self._run(self._move_script, [destination, *sources], [int(append), _TTL_MS, *entries])

    def _run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> None:
        self._redis.attempt(lambda: script(keys=keys, args=args), None)


def _key(key: str) -> Any:
    """A key as the server has it, whatever bytes another program has made it of."""
    return key.encode(errors="surrogateescape")
