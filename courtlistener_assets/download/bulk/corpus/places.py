"""Where a row of the corpus goes: its court and year, and its place among the others there, as one sorted number.

Belongs here: that number, and what is remembered to make it. Does not belong here: sorting by it (`merge.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as compute

from courtlistener_assets.chunks.files import Location
from courtlistener_assets.download.bulk.ids import ids_of
from courtlistener_assets.download.bulk.tables import CLUSTERS, DOCKETS, OPINIONS
from courtlistener_assets.download.bulk.work import Workshop
from resources.errors import DumpChanged

Numbers = npt.NDArray[Any]
Place = TypeVar("Place", bound=Location)

#: What may be the name of a directory.
_COURT = re.compile(r"[\w-]{1,100}")
#: Ids of one page, as in `ids.py`.
_PAGE = 1 << 20
#: A year has four digits; 0 stands for no date.
_YEARS = 10_000
#: Room for 6,700 courts, and for ids a thousand times as large as the largest of today.
_OWNER_BITS = 37
_MOST_COURTS = (1 << (63 - _OWNER_BITS)) // _YEARS
#: What readers of Hive's layout take for NULL.
NO_YEAR = "__HIVE_DEFAULT_PARTITION__"
#: The columns of each table by which its rows are sorted in a partition; the last one is unique.
ORDER = {DOCKETS.name: ("id", "id"), CLUSTERS.name: ("id", "id"), OPINIONS.name: ("cluster_id", "id")}


class IdMap:
    """A small number for each id, 0 where nobody has set one: as many bytes for each id up to the largest as it has."""

    def __init__(self, kind: type[np.unsignedinteger[Any]]) -> None:
        self._kind = kind
        self._pages: dict[int, Numbers] = {}

    def set(self, ids: Numbers, values: Numbers) -> None:
        """Set the numbers of ids."""
        pages = ids // _PAGE
        for page in np.unique(pages):
            those = pages == page
            held = self._pages.setdefault(int(page), np.zeros(_PAGE, dtype=self._kind))
            held[ids[those] % _PAGE] = values[those]

    def get(self, ids: Numbers) -> Numbers:
        """The numbers of ids."""
        found, pages = np.zeros(len(ids), dtype=np.int64), ids // _PAGE
        for page in np.unique(pages):
            held = self._pages.get(int(page))
            if held is not None:
                those = pages == page
                found[those] = held[ids[those] % _PAGE]
        return found


@dataclass(frozen=True)
class Partition:
    """A court and a year, None for what has no date."""

    court: str
    year: int | None

    def folder(self, root: Place) -> Place:
        """Its directory below that of a table, in Hive's layout."""
        folder: Any = root / f"court={self.court}" / f"year={NO_YEAR if self.year is None else self.year}"
        return folder  # type: ignore[no-any-return]

    @classmethod
    def of_folder(cls, folder: Location) -> Partition:
        """The partition whose directory this is; raises ValueError if it is none."""
        [court], [year] = (
            name.split(f"{key}=")[1:] for name, key in ((folder.parent.name, "court"), (folder.name, "year"))
        )
        return cls(court, None if year == NO_YEAR else int(year))

    def __str__(self) -> str:
        return f"{self.court}|{self.year or 'undated'}"


class Places:
    """The places of all kept rows; made from the kept dockets and decisions, which are read twice."""

    def __init__(self, work: Workshop) -> None:
        courts: set[Any] = set()
        for rows in work.columns(DOCKETS.name, ["court_id"]):
            courts.update(compute.unique(rows.column("court_id")).to_pylist())
        self.courts = sorted(courts)
        if wrong := [court for court in self.courts if not _COURT.fullmatch(court)]:
            raise DumpChanged(f"dockets: {wrong[0]!r} is not the id of a court such as ca9")
        if len(self.courts) >= _MOST_COURTS:
            raise DumpChanged(f"dockets: there are {len(self.courts):,} courts, more than {_MOST_COURTS:,}")
        of_dockets = IdMap(np.uint16)
        for rows in work.columns(DOCKETS.name, ["id", "court_id"]):
            of_dockets.set(ids_of(rows.column("id")), self._courts(rows) + 1)
        self._of_clusters = IdMap(np.uint32)
        for rows in work.columns(CLUSTERS.name, ["id", "docket_id", "date_filed"]):
            court = of_dockets.get(ids_of(rows.column("docket_id"))) - 1
            self._of_clusters.set(ids_of(rows.column("id")), court * _YEARS + _years(rows.column("date_filed")) + 1)

    def of(self, file: str, rows: pa.Table) -> tuple[Numbers, Numbers]:
        """The sorted number of each row, and its id, which decides among equal ones."""
        owner, own = (ids_of(rows.column(name)) for name in ORDER[file])
        if file == DOCKETS.name:
            codes = self._courts(rows) * _YEARS + _years(rows.column("date_filed"))
        else:
            codes = self._of_clusters.get(owner) - 1
        if len(owner) and int(owner.max()) >= 1 << _OWNER_BITS:
            raise DumpChanged(f"{file}: {int(owner.max())} is no id")
        return codes << _OWNER_BITS | owner, own

    def partition(self, key: int) -> Partition:
        """The partition of a row with this number."""
        court, year = divmod(code_of(key), _YEARS)
        return Partition(self.courts[court], year or None)

    def _courts(self, rows: pa.Table) -> Numbers:
        found = compute.index_in(rows.column("court_id"), pa.array(self.courts, pa.string()))
        return found.to_numpy().astype(np.int64)


def code_of(key: int) -> int:
    """The part of a row's number that says its court and year."""
    return key >> _OWNER_BITS


def first_key(code: int) -> int:
    """The least number that a row of this court and year may have."""
    return code << _OWNER_BITS


def codes_of(keys: Numbers) -> Numbers:
    """The same part of several numbers."""
    return keys >> _OWNER_BITS


def _years(days: pa.ChunkedArray[Any]) -> Numbers:
    """The years of dates that are text; 0 for NULL."""
    try:
        years = compute.utf8_slice_codeunits(days, 0, 4).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DumpChanged(f"date_filed is no date: {str(error)[:200]}") from None
    return years.fill_null(pa.scalar(0)).to_numpy()


def all_years(folders: Sequence[Location]) -> list[Partition]:
    """The partitions of some directories of the dataset, sorted."""
    return sorted(map(Partition.of_folder, folders), key=lambda each: (each.court, each.year or 0))
