"""The opinions of a partition of a corpus, with what is needed of their decisions and dockets.

All are sorted alike, so that they are read side by side, a few at a time.

Belongs here: rows as `RecordStore.documents` gives them. Does not belong here: making chunks of them
(`operations/corpus_chunks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from courtlistener_assets.download.bulk.corpus.columns import TABLES
from courtlistener_assets.download.bulk.corpus.dataset import Corpus
from courtlistener_assets.download.bulk.corpus.places import Partition
from courtlistener_assets.download.bulk.tables import CLUSTERS, DOCKETS, OPINIONS
from courtlistener_assets.text.cleaning import OPINION_FIELDS

#: Of opinions, what their columns and their text are made of; of the others, what an opinion takes from them.
_OF_OPINIONS = (
    *("id", "cluster_id", "date_modified", "type", "sha1", "author_id", "author_str", "extracted_by_ocr"),
    *("absolute_url", *OPINION_FIELDS),
)
_OF_CLUSTERS = ("id", "docket_id", "date_filed", "case_name", "precedential_status", "citations")
_OF_DOCKETS = ("id", "case_name", "docket_number")
#: So many decisions are looked up at once, and so many opinions are read at once.
_CLUSTERS_AT_ONCE, _OPINIONS_AT_ONCE = 5_000, 50


def opinions_of(corpus: Corpus, partition: Partition, kind: str) -> Iterator[dict[str, Any]]:
    """The opinions of a partition, decision after decision, as documents of this kind."""
    clusters = _clusters(corpus, partition)
    cluster = next(clusters, None)
    with pq.ParquetFile(corpus.file(TABLES[OPINIONS.name], partition), pre_buffer=False) as file:
        for batch in file.iter_batches(_OPINIONS_AT_ONCE, columns=list(_OF_OPINIONS), use_threads=False):
            for row in batch.to_pylist():
                while cluster and cluster["id"] < row["cluster_id"]:
                    cluster = next(clusters, None)
                own = cluster if cluster and cluster["id"] == row["cluster_id"] else {}
                yield {
                    "kind": kind,
                    "id": row["id"],
                    "docket_id": own.get("docket_id"),
                    "cluster_id": row["cluster_id"],
                    "date_filed": None,
                    "dated": own.get("date_filed"),
                    "body": _body(row),
                    "cluster": own,
                    "docket": own.get("docket"),
                }


def _clusters(corpus: Corpus, partition: Partition) -> Iterator[dict[str, Any]]:
    """The decisions of a partition, each with its docket."""
    with pq.ParquetFile(corpus.file(TABLES[CLUSTERS.name], partition), pre_buffer=False) as file:
        rows = (
            row
            for batch in file.iter_batches(_CLUSTERS_AT_ONCE, columns=list(_OF_CLUSTERS), use_threads=False)
            for row in batch.to_pylist()
        )
        while some := list(islice(rows, _CLUSTERS_AT_ONCE)):
            dockets = _dockets(corpus, partition.court, [row["docket_id"] for row in some])
            yield from ({**row, "docket": dockets.get(row["docket_id"])} for row in some)


def _dockets(corpus: Corpus, court: str, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Some dockets of a court, of whatever year."""
    import pyarrow.dataset as ds  # It loads pandas: a third of a second for each process that has no corpus to read.

    files = ds.dataset(corpus.table(TABLES[DOCKETS.name]) / f"court={court}", format="parquet", partitioning=None)
    scanner = files.scanner(
        columns=list(_OF_DOCKETS),
        filter=ds.field("id").isin(sorted(set(ids))),
        batch_readahead=1,
        fragment_readahead=1,
        use_threads=False,
    )
    return {row["id"]: row for batch in scanner.to_batches() for row in batch.to_pylist()}


def _body(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the API's object has its values."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
