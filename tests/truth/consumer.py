"""Somebody who follows the change log, as a vector store does.

Belongs here: applying its entries. Does not belong here: any expectation but that the ids are then those of the files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from courtlistener_assets.chunks import log_files
from tests.truth.verdict import STREAMS, Difference, chunk_files
from tests.truth.world import Key


class Consumer:
    """Keeps the set of chunk ids by reading nothing but the change log."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._seen = 0
        self.ids: set[str] = set()
        #: What was said of each chunk, in the order in which it was read.
        self._told: dict[str, list[str]] = defaultdict(list)

    def read(self) -> None:
        """Apply the entries that are new since the last time."""
        directory = log_files.log_dir(self._data_dir)
        for number in log_files.numbers(directory):
            if number <= self._seen:
                continue
            self._seen = number
            for row in pq.read_table(log_files.numbered(directory, number)).to_pylist():
                self._told[row["chunk_id"]].append(f"{row['change']} in {row['partition']}")
                if row["change"] in ("added", "relabelled", "reembed"):
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
            yield Difference("change log", f"chunk {id[:8]} is in {partition}, but the changes said: {told}", key)
        for id in sorted(self.ids - there.keys()):
            told = ", ".join(self._told[id])
            yield Difference("change log", f"chunk {id[:8]} is in no file, but the changes said: {told}")
