"""Somebody who follows the change files, as a vector store does.

Belongs here: applying change files. Does not belong here: any expectation but that the ids are then those of the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.truth.verdict import STREAMS, Difference, chunk_files, partition_of
from tests.truth.world import Key


class Consumer:
    """Keeps the set of chunk ids by reading nothing but the change files, in an order that chance decides."""

    def __init__(self, data_dir: Path, shuffle: Callable[[list[Any]], None]) -> None:
        self._data_dir, self._shuffle = data_dir, shuffle
        self._seen: dict[Path, int] = {}
        self.ids: set[str] = set()
        #: What was said of each chunk, in the order in which it was read.
        self._told: dict[str, list[str]] = defaultdict(list)

    def read(self) -> None:
        """Apply the change files that are new since the last time."""
        paths = sorted(self._data_dir.rglob("_chunks.changes.parquet"))
        new = [path for path in paths if self._seen.get(path) != path.stat().st_mtime_ns]
        self._shuffle(new)
        for path in new:
            self._seen[path] = path.stat().st_mtime_ns
            partition = partition_of(path)
            for row in pq.read_table(path, partitioning=None).to_pylist():
                self._told[row["chunk_id"]].append(f"{row['change']} in {partition}")
                if row["change"] in ("added", "updated"):
                    self.ids.add(row["chunk_id"])
                elif row["change"] == "removed":
                    self.ids.discard(row["chunk_id"])

    def differences(self) -> Iterator[Difference]:
        """Chunks of the files that the consumer does not have, and the other way round."""
        there: dict[str, tuple[Key, str]] = {}
        for partition, path in chunk_files(self._data_dir).items():
            ids = pq.read_table(path, columns=["chunk_id", "doc_type", "document_id"], partitioning=None).to_pylist()
            for row in ids:
                there[row["chunk_id"]] = (Key(STREAMS[row["doc_type"]], row["document_id"]), partition)
        for id in sorted(there.keys() - self.ids):
            key, partition = there[id]
            told = ", ".join(self._told[id])
            yield Difference("change files", f"chunk {id[:8]} is in {partition}, but the changes said: {told}", key)
        for id in sorted(self.ids - there.keys()):
            told = ", ".join(self._told[id])
            yield Difference("change files", f"chunk {id[:8]} is in no file, but the changes said: {told}")
