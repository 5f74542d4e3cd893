"""A worker that makes partitions of vector inputs until somebody kills it.

Belongs here: what such a process does. Does not belong here: when it is killed, and any expectation.
"""

from __future__ import annotations

import random
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from courtlistener_assets.building.partition import Builder
from courtlistener_assets.chunks.change_log import ChangeLog
from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.chunks.table import write_partition
from courtlistener_assets.download.choice import chosen
from courtlistener_assets.download.courts import offline
from courtlistener_assets.download.streams import OPINION, STREAMS
from courtlistener_assets.download.undated import partition_of
from resources.connections.postgres import Database
from resources.errors import CourtListenerAssetsError
from resources.records.store import RecordStore
from tests.chunk_rows import rows_of


def warm_up() -> None:
    """Load what a process that others are forked from needs to load only once: tokenizer, sentences, courts, pandas."""
    row = {"id": 1, "type": "010combined", "plain_text": "The judgment is affirmed. So ordered."}
    document = Document(kind=OPINION, body=row, docket_id=1, court_id="ca9", court_name=offline()["ca9"].name)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "court" / "month" / "chunks.parquet"
        for text in ("One.", "Two."):
            write_partition(rows_of(replace(document, body={**row, "plain_text": text})), path)


warm_up()


def work(database_url: str, data: str, partitions: list[str], seed: int, begun: Any) -> None:
    """Make partitions and compact the log until the end, which comes from outside; sets `begun` before."""
    database, chance = Database(database_url), random.Random(seed)
    store = RecordStore(database, [table for stream in STREAMS for table in stream.tables])
    log = ChangeLog.at(Path(data), database)
    builder = Builder(store=store, streams=chosen(), data_dir=Path(data), options=ChunkOptions(), log=log)
    begun.set()
    while True:
        with suppress(CourtListenerAssetsError):
            log.open()
            if chance.random() < 0.1:
                log.compact(0)
            partition = partition_of(chance.choice(partitions))
            builder.build(partition)
