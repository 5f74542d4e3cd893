"""Somebody who keeps vectors and follows the change log as docs/vector-inputs.md says.

Belongs here: what such a consumer does. Does not belong here: any expectation but that its vectors are those of the
dataset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from courtlistener_assets.chunks.news import News, changes_since, whole_state
from resources.errors import TooLate


@dataclass
class Vectors:
    """What stands for a vector of each chunk: the header that it was made with. `began_anew` counts late readings."""

    data: Path
    seen: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    began_anew: int = 0

    def read(self) -> None:
        """Do what there is to do."""
        try:
            with changes_since(self.data, self.seen) as news:
                self.apply(news)
        except TooLate:
            self.began_anew += 1
            with whole_state(self.data) as news:
                self.apply(news)

    def apply(self, news: News) -> None:
        if news.whole:
            self.headers = {id: header for id, header in self.headers.items() if news.is_there(id)}
        for ids in news.to_delete():
            for id in ids:
                self.headers.pop(id, None)
        for batch in news.to_relabel(["context_header"]):
            for row in batch.to_pylist():
                self.headers.setdefault(row["chunk_id"], row["context_header"])
        for batch in news.to_embed(["context_header"]):
            for row in batch.to_pylist():
                self.headers[row["chunk_id"]] = row["context_header"]
        self.seen = news.sequence


def headers_of_dataset(data: Path) -> dict[str, str]:
    """What the vectors of the dataset stand for."""
    found: dict[str, str] = {}
    for file in (data / "vector_inputs").glob("*/*/chunks.parquet"):
        for row in pq.ParquetFile(file).read(["chunk_id", "context_header"]).to_pylist():
            found[row["chunk_id"]] = row["context_header"]
    return found
