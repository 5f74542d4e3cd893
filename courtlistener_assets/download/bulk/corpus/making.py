"""The making of a corpus: its steps in their order, each of which goes on where it was stopped.

Rows are kept by the passes of a bootstrap, get their types and what is joined to them, are sorted by court and year in
files, merged, and written.

Belongs here: that order, and what is remembered between. Does not belong here: how a step works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from courtlistener_assets.download.bulk.bootstrap import TABLES as FILES
from courtlistener_assets.download.bulk.bootstrap import Reached
from courtlistener_assets.download.bulk.corpus.columns import TABLES
from courtlistener_assets.download.bulk.corpus.dataset import Building, file_of, write_partitions
from courtlistener_assets.download.bulk.corpus.merge import PLACE, in_order, merge_down, merged, run_at, write_run
from courtlistener_assets.download.bulk.corpus.places import Places, first_key
from courtlistener_assets.download.bulk.corpus.typed import Typed
from courtlistener_assets.download.bulk.ids import IdSet
from courtlistener_assets.download.bulk.passes import Passes, Wanted
from courtlistener_assets.download.bulk.source import BulkSource, Dump
from courtlistener_assets.download.bulk.tables import CLUSTERS, DOCKETS, OPINIONS
from courtlistener_assets.download.bulk.work import Progress, Workshop


@dataclass
class Making:
    """Makes one corpus; `told` hears how far it is. It can be run again. `omit`: columns to leave out, by file."""

    source: BulkSource
    dump: Dump
    wanted: Wanted
    work: Workshop
    building: Building
    threads: int = 2
    told: Callable[[Reached], None] = lambda reached: None
    omit: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def run(self) -> dict[str, int]:
        """Do what was not done yet; returns the rows of each table. Raises DumpError."""
        if not self.work.progress(_READ).done:
            Passes(self.source, self.dump, self.wanted, self.work, self.threads, told=self._tell_read).run()
            self.work.keep(_READ, Progress(done=True))
        self.building.begin()
        places = Places(self.work)
        for file in TABLES:
            if not self.work.progress(_sort(file)).done:
                self._sort(file, places)
        return {table: self._write(file, table, places) for file, table in TABLES.items()}

    def seen(self) -> dict[str, int]:
        """How many rows of each table are in the bulk files; what lacks its parent there is not in the corpus."""
        return {table: self.work.progress(file).seen for file, table in TABLES.items()}

    def _sort(self, file: str, places: Places) -> None:
        """Make a sorted run of each file of rows; opinions that are in one are removed, since they are the most."""
        choose = self._filed_or_decided() if file == DOCKETS.name else None
        typed, parts = Typed(self.work), self.work.progress(file).parts
        for number in range(parts):
            run = run_at(self._runs(file), 0, number)
            if not run.exists():
                rows = self._rows(file, number)
                write_run([self._placed(file, choose(rows) if choose else rows, typed, places)], run)
                pa.default_memory_pool().release_unused()
            if file == OPINIONS.name:
                self.work.remove_part(file, number)
            self.told(Reached(f"{TABLES[file]}, sorting", number + 1, number + 1, parts))
        self.work.keep(_sort(file), Progress(parts=parts, done=True))

    def _rows(self, file: str, number: int) -> pa.Table:
        """A file of rows, of which a few are unpacked at a time."""
        with self.work.part(file, number) as part:
            return pa.Table.from_batches(part.iter_batches(_ROWS_AT_ONCE, use_threads=False), part.schema_arrow)

    def _placed(self, file: str, rows: pa.Table, typed: Typed, places: Places) -> pa.Table:
        keys, _ = places.of(file, rows)
        table = typed.table(file, rows)
        table = table.drop_columns([name for name in self.omit.get(file, ()) if name in table.column_names])
        return in_order(table.append_column(PLACE, pa.array(keys, pa.int64())))

    def _filed_or_decided(self) -> Callable[[pa.Table], pa.Table]:
        """Of the dockets of all years, those that were filed in the wanted ones, or decided there."""
        decided = IdSet()
        for rows in self.work.columns(CLUSTERS.name, ["docket_id"]):
            decided.add(rows.column("docket_id"))

        def choose(rows: pa.Table) -> pa.Table:
            return rows.filter(self.wanted.filed_or_decided(rows, decided))

        return choose

    def _write(self, file: str, table: str, places: Places) -> int:
        """Merge the runs of a table, and write its partitions from the first one that is not there on."""
        parts, step = self.work.progress(file).parts, f"write {table}"
        before = self.work.progress(step)
        if before.done or not parts:
            return before.kept
        runs = merge_down(self._runs(file), parts)
        kept, most = before.kept, self.work.progress(file).kept

        def path_of(code: int) -> Path:
            return file_of(self.building.root, table, places.partition(first_key(code)))

        # `parts` of this step is the code of the first partition that is not written.
        for code, rows in write_partitions(merged(runs, first_key(before.parts)), path_of):
            kept += rows
            self.work.keep(step, Progress(parts=code + 1, kept=kept))
            self.told(Reached(f"{table}, writing", kept, kept, most))
        self.work.keep(step, replace(self.work.progress(step), kept=kept, done=True))
        return kept

    def _runs(self, file: str) -> Path:
        return self.work.folder / f"{file}.sorted"

    def _tell_read(self, table: str, packed: int, progress: Progress) -> None:
        read = [name for name in FILES if name != table and self.work.progress(name).done]
        done, left = self.dump.size(read) + packed, self.dump.size([table]) - packed
        self.told(Reached(table, progress.kept, done, self.dump.size(FILES), left))


_READ = "read all"
#: Of a file that is read again.
_ROWS_AT_ONCE = 500


def _sort(file: str) -> str:
    return f"sort {file}"
