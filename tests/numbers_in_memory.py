"""The numbers of a change log without Postgres, for tests of one process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.files import Location
from resources.records.chunk_log import ChunkLog
from resources.records.chunk_texts import ChunkTexts


@dataclass
class MemoryNumbers:
    """What `ChunkLog` does, but that nothing is ever rolled back."""

    number: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    entries: dict[int, tuple[str, bytes | None]] = field(default_factory=dict)

    def last(self) -> int:
        return self.number

    def skip(self, last_file: int) -> int:
        self.number = max(self.number, last_file) + 1
        return self.number

    def version(self, partition: str) -> str | None:
        return self.versions.get(partition)

    @contextmanager
    def turn(self, partition: str) -> Iterator[Any]:
        yield MemoryTurn(self, partition)

    def unwritten(self) -> Iterator[tuple[int, bytes]]:
        for sequence, (_, entry) in sorted(self.entries.items()):
            if entry is not None:
                yield sequence, entry

    def written(self, sequence: int) -> None:
        self.entries[sequence] = (self.entries[sequence][0], None)

    def of_partition(self, partition: str) -> list[int]:
        return sorted(sequence for sequence, (there, _) in self.entries.items() if there == partition)

    def older_than(self, days: float) -> int:
        return self.number if days == 0 else 0

    def forget(self, up_to: int) -> None:
        self.entries = {sequence: entry for sequence, entry in self.entries.items() if sequence > up_to}

    @contextmanager
    def alone(self, work: str) -> Iterator[bool]:
        yield True


@dataclass
class MemoryTurn:
    numbers: MemoryNumbers
    partition: str

    @property
    def version(self) -> str | None:
        return self.numbers.version(self.partition)

    def commit(self, version: str, entries: Iterable[bytes]) -> None:
        for entry in entries:
            self.numbers.number += 1
            self.numbers.entries[self.numbers.number] = (self.partition, entry)
        self.numbers.versions[self.partition] = version


def log_in_memory(data_dir: Location) -> ChangeLog:
    """A change log for tests of one process."""
    return ChangeLog(cast(ChunkLog, MemoryNumbers()), cast(ChunkTexts, None), data_dir)
