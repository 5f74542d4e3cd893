"""The change log of vector inputs in Postgres: its numbers, which file it describes, entries that have no file yet.

Belongs here: SQL. Does not belong here: what an entry says and the files of the log (`courtlistener_assets/chunks`).

An entry and the version of the file that it is about are committed together, and entries get their numbers in the order
of their commits. So what was committed is the truth, and the files of the log are copies of it, which any worker can
write, as often as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from resources.connections.postgres import Connection, Database

#: How long a worker waits for another one that replaces the file of the same partition.
_TURN_SECONDS = 900


@dataclass(frozen=True)
class Turn:
    """The right to replace a partition's file. `version` is that of the file which the log describes, if any.

    What is done by `connection` counts with it.
    """

    version: str | None
    connection: Connection
    _key: dict[str, Any]

    def commit(self, version: str, entries: Iterable[bytes]) -> None:
        """The file has this version now; the entries lead to it. All of it counts when the turn ends, or nothing."""
        for entry in entries:
            self.connection.execute(_ADD, {**self._key, "entry": entry})
        self.connection.execute(_DESCRIBE, {**self._key, "version": version})


class ChunkLog:
    """The log of the files at `place`, which all workers have to name alike."""

    def __init__(self, database: Database, place: str) -> None:
        self._database = database
        self._place = {"place": place}

    def last(self) -> int:
        """The last number that the log has given. If there is no log yet, it is begun."""
        with self._database.transaction() as connection:
            connection.execute(_BEGIN, self._place)
            [(last,)] = connection.execute(_LAST, self._place).fetchall()
        return int(last)

    def skip(self, last_file: int) -> int:
        """Give a number behind all others, and behind this one, to no entry: nobody who follows can pass it.

        It is behind those, too, that were given before a backup was restored (`_NOW`).
        """
        with self._database.transaction() as connection:
            [(number,)] = connection.execute(_SKIP, {**self._place, "last": last_file}).fetchall()
        return int(number)

    def version(self, partition: str) -> str | None:
        """The version of a partition's file that the log describes, None if it describes none."""
        rows = self._database.rows(_VERSION, {**self._place, "partition": partition})
        return rows[0][0] if rows else None

    @contextmanager
    def turn(self, partition: str) -> Iterator[Turn]:
        """Wait until no other worker replaces the file of a partition; commits at the end. Raises StoreUnavailable."""
        key = {**self._place, "partition": partition}
        with self._database.transaction(patient=True) as connection:  # The file is read and uploaded in between.
            connection.execute(
                f"SET LOCAL lock_timeout = '{_TURN_SECONDS} s'; SET LOCAL synchronous_commit = on".encode()
            )
            connection.execute(_KNOW, key)
            [(version,)] = connection.execute(_LOCK, key).fetchall()
            yield Turn(version, connection, key)

    def unwritten(self) -> Iterator[tuple[int, bytes]]:
        """The entries that have no file yet, in their order, one in memory at a time."""
        after = -1
        while rows := self._database.rows(_UNWRITTEN, {**self._place, "after": after}):
            [(after, entry)] = rows
            yield after, bytes(entry)

    def written(self, sequence: int) -> None:
        """Note that an entry's file is there, and so are those before it."""
        with self._database.transaction() as connection:
            connection.execute(
                f"UPDATE courtlistener.chunk_changes SET entry = NULL {_HERE} AND sequence = %(sequence)s",
                {**self._place, "sequence": sequence},
            )

    def of_partition(self, partition: str) -> list[int]:
        """The numbers of the entries about a partition since the log was last compacted."""
        rows = self._database.rows(_OF_PARTITION, {**self._place, "partition": partition})
        return [int(sequence) for (sequence,) in rows]

    def older_than(self, days: float) -> int:
        """The number of the last entry that is older, 0 if none is."""
        [(sequence,)] = self._database.rows(_OLDER, {**self._place, "days": days})
        return int(sequence)

    def forget(self, up_to: int) -> None:
        """Forget entries that the compacted state has."""
        with self._database.transaction() as connection:
            connection.execute(
                f"DELETE FROM courtlistener.chunk_changes {_HERE} AND sequence <= %(up_to)s",
                {**self._place, "up_to": up_to},
            )

    @contextmanager
    def alone(self, work: str) -> Iterator[bool]:
        """Whether no other worker does this work between here and the end, as far as Postgres can know."""
        with self._database.transaction(patient=True) as connection:
            lock = {"name": f"courtlistener {work} {self._place['place']}"}
            [(free,)] = connection.execute(
                "SELECT pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0))", lock
            ).fetchall()
            yield bool(free)


_HERE = "WHERE place = %(place)s"
# Logs begin at the time, in seconds: there are fewer entries than seconds, so that no number of a log that is no more,
# which a consumer may still have, is one of another log.
_NOW = "extract(epoch FROM clock_timestamp())::bigint"
_BEGIN = f"INSERT INTO courtlistener.chunk_logs VALUES (%(place)s, {_NOW}) ON CONFLICT DO NOTHING"
_LAST = f"SELECT last_sequence FROM courtlistener.chunk_logs {_HERE}"
_SKIP = f"""
INSERT INTO courtlistener.chunk_logs AS known VALUES (%(place)s, greatest(%(last)s, {_NOW}) + 1)
ON CONFLICT (place) DO UPDATE SET last_sequence = greatest(known.last_sequence, %(last)s, {_NOW}) + 1
RETURNING last_sequence
"""
_NEXT = f"""
INSERT INTO courtlistener.chunk_logs AS known VALUES (%(place)s, {_NOW})
ON CONFLICT (place) DO UPDATE SET last_sequence = known.last_sequence + 1 RETURNING last_sequence
"""
_KNOW = (
    "INSERT INTO courtlistener.chunk_files (place, partition) VALUES (%(place)s, %(partition)s) ON CONFLICT DO NOTHING"
)
_VERSION = f"SELECT version FROM courtlistener.chunk_files {_HERE} AND partition = %(partition)s"
_LOCK = f"{_VERSION} FOR UPDATE"
_DESCRIBE = f"UPDATE courtlistener.chunk_files SET version = %(version)s {_HERE} AND partition = %(partition)s"
_ADD = f"""
WITH next AS ({_NEXT})
INSERT INTO courtlistener.chunk_changes (place, sequence, partition, entry)
SELECT %(place)s, last_sequence, %(partition)s, %(entry)s::bytea FROM next
"""
_UNWRITTEN = f"""
SELECT sequence, entry FROM courtlistener.chunk_changes {_HERE} AND entry IS NOT NULL AND sequence > %(after)s
ORDER BY sequence LIMIT 1
"""
_OF_PARTITION = f"""
SELECT sequence FROM courtlistener.chunk_changes {_HERE} AND partition = %(partition)s ORDER BY sequence
"""
_OLDER = f"""
SELECT coalesce(max(sequence), 0) FROM courtlistener.chunk_changes
{_HERE} AND changed_at < now() - make_interval(secs => %(days)s * 86400)
"""
