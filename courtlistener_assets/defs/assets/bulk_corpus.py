"""The assets of a corpus: rows of a dump as Parquet by court and year, and the chunks of their text, without Postgres.

Belongs here: what Dagster is told. Does not belong here: plans (`operations/corpus.py`), making chunks
(`operations/corpus_chunks.py`).
"""

import os
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from courtlistener_assets.chunks.chunking import CHUNKER_VERSION
from courtlistener_assets.chunks.files import shown
from courtlistener_assets.chunks.report import cost
from courtlistener_assets.chunks.table import SCHEMA
from courtlistener_assets.defs.assets.bulk import dumps
from courtlistener_assets.defs.assets.chunk_config import CutConfig
from courtlistener_assets.defs.assets.download_config import StepConfig
from courtlistener_assets.defs.assets.tables import parquet_columns
from courtlistener_assets.defs.materializations import content_version
from courtlistener_assets.defs.names import BULK_CORPUS, CORPUS_VECTOR_INPUTS, OWNERS, Names
from courtlistener_assets.defs.steps import RETRY_SECONDS, translated
from courtlistener_assets.download.bulk.corpus.dataset import FORMAT, Corpus
from courtlistener_assets.logs import run_log
from courtlistener_assets.operations.corpus import carry_out, described, plan
from courtlistener_assets.operations.corpus_chunks import DATASET, Outcome, build_all
from courtlistener_assets.operations.corpus_command import teller
from courtlistener_assets.settings import Settings, year_of
from courtlistener_assets.text.cleaning import CLEANER_VERSION
from resources.errors import DumpMissing, UnusableRecord

#: Seconds between two lines about how far it is.
_TELL_SECONDS = 15.0
#: What is counted of the files, as a report says it and as the UI shows it.
_COUNTS = {
    "documents": "documents",
    "without_text": "documents_without_text",
    "duplicates": "duplicate_documents",
    "chunks": "chunks",
    "tokens": "tokens",
}
_CHANGES = ("added", "removed", "unchanged", "relabelled", "reembed")
#: No more documents that could not be read are shown; the log and the files name all.
_MOST_SHOWN = 20


class CorpusConfig(StepConfig):
    """What of a dump is wanted; by default what is configured."""

    courts: list[str] = Field(default_factory=list, description="Courts such as ca9, or all; empty: as configured.")
    first_year: str = Field(default="", description="The first year, such as 2015; empty: the configured one.")


class CorpusChunkConfig(CutConfig):
    """How text is cut and marked, and by how many processes."""

    processes: int = Field(default=0, ge=0, description="Files made at once, each in a process; 0: one a processor.")


def bulk_corpus_asset(settings: Settings, names: Names) -> dg.AssetsDefinition:
    """Make the asset; its files go below COURTLISTENER_CORPUS_DIR."""

    @dg.asset(
        key=names.key(BULK_CORPUS),
        description="The dockets, decisions and opinions of COURTLISTENER_CORPUS_COURTS in CourtListener's bulk files "
        "of a date, as Parquet by court and year. It costs no request and needs no database.",
        partitions_def=dumps(names),
        group_name="bulk",
        owners=OWNERS,
        kinds={"parquet", "csv"},
        tags={"source": "courtlistener_bulk"},
        code_version=str(FORMAT),
    )
    def bulk_corpus(context: dg.AssetExecutionContext, config: CorpusConfig) -> dg.MaterializeResult[Any]:
        with translated(context, retries=len(RETRY_SECONDS)):
            planned = plan(
                settings,
                courts=config.courts,
                first_year=year_of(config.first_year),
                day=date.fromisoformat(context.partition_key),
            )
            for line in described(planned):
                run_log.info(line, extra={"event": "corpus_planned"})
            corpus = carry_out(planned, teller(run_log.info, _TELL_SECONDS, planned.bytes_a_second))
            return dg.MaterializeResult(
                data_version=content_version(corpus.name, corpus.manifest["rows"], corpus.size),
                metadata={
                    **{f"{table}_rows": count for table, count in corpus.manifest["rows"].items()},
                    "directory": dg.MetadataValue.path(str(corpus.root.absolute())),
                    "bytes_written": corpus.size,
                    "as_of": dg.MetadataValue.timestamp(planned.dump.watermark),
                    "bytes_read": planned.bytes_all,
                    "requests": 0,
                },
            )

    return bulk_corpus


def corpus_vector_inputs_asset(settings: Settings, names: Names) -> dg.AssetsDefinition:
    """Make the asset; its files go below COURTLISTENER_DATA_DIR."""

    @dg.asset(
        key=names.key(CORPUS_VECTOR_INPUTS),
        description="The text of the opinions of bulk_corpus in clean chunks, with the columns and the ids of "
        "vector_inputs: one Parquet file a court and year. There is no change log.",
        partitions_def=dumps(names),
        deps=[names.key(BULK_CORPUS)],
        group_name="bulk",
        owners=OWNERS,
        kinds={"parquet"},
        tags={"source": "courtlistener_bulk"},
        metadata=parquet_columns(SCHEMA),
        code_version=f"cleaner-{CLEANER_VERSION}-chunker-{CHUNKER_VERSION}",
    )
    def corpus_vector_inputs(context: dg.AssetExecutionContext, config: CorpusChunkConfig) -> dg.MaterializeResult[Any]:
        with translated(context, retries=len(RETRY_SECONDS)):
            corpus = Corpus.latest(settings.corpus_dir)
            if corpus.day.isoformat() != context.partition_key:
                raise DumpMissing(
                    f"the corpus in {settings.corpus_dir} is that of {corpus.day}: take its partition, or make the "
                    f"asset {BULK_CORPUS} of {context.partition_key} first"
                )
            told = teller(run_log.info, _TELL_SECONDS)
            processes = config.processes or os.cpu_count() or 1
            outcome = build_all(corpus, settings.data_dir, config.options, processes, told)
            if outcome.errors:
                raise UnusableRecord(f"{len(outcome.errors)} files could not be made: {_some(outcome.errors.items())}")
            return dg.MaterializeResult(
                metadata=_metadata(outcome, settings, config.price_per_million_tokens),
                data_version=content_version(corpus.name, config.options, outcome.counts),
            )

    return corpus_vector_inputs


def _metadata(outcome: Outcome, settings: Settings, price: float) -> dict[str, Any]:
    tokens = outcome.sum("tokens")
    return {
        "files": len(outcome.built),
        "files_made_now": sum(built.diff is not None for built in outcome.built.values()),
        **{shown: outcome.sum(name) for name, shown in _COUNTS.items()},
        **{f"{name}_chunks": outcome.changed(name) for name in _CHANGES},
        "directory": dg.MetadataValue.path(shown(settings.data_dir / DATASET)),
        "cost_of_all": f"{cost(tokens, price)} at USD {price} a million tokens",
        "failed_documents": len(outcome.failed),
    } | ({"why_documents_failed": _some(outcome.failed)} if outcome.failed else {})


def _some(reasons: Any) -> str:
    """The first of some things with what was wrong with them, in words."""
    return "; ".join(f"{what}: {why}" for what, why in list(reasons)[:_MOST_SHOWN])


#: What makes each of the assets of a corpus.
CORPUS_ASSETS = (bulk_corpus_asset, corpus_vector_inputs_asset)
