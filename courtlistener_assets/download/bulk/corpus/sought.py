"""What a corpus is made of: courts, or all of them, from a year on, or of all years.

Belongs here: which rows that is. Does not belong here: reading them (`download/bulk/passes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute

from courtlistener_assets.download.bulk.ids import IdSet
from courtlistener_assets.download.bulk.passes import Wanted


@dataclass(frozen=True)
class Sought(Wanted):
    """No courts: all of them. From the first year of all on, dockets without a date are wanted, too."""

    @classmethod
    def of(cls, courts: Sequence[str], first_year: int | None, status: str = "") -> Sought:
        """Courts (none: all) from a year (None: the first of all) on; only decisions of a status, if there is one."""
        return cls(frozenset(courts), date(first_year or 1, 1, 1), date.max, status)

    @property
    def first_year(self) -> int | None:
        """The first year that is wanted, None for all."""
        return None if self.first_day == date.min else self.first_day.year

    def of_courts(self, courts: pa.ChunkedArray[Any]) -> Any:
        """Which of some courts are wanted."""
        return super().of_courts(courts) if self.courts else compute.is_valid(courts)

    def filed_or_decided(self, dockets: pa.Table, decided: IdSet) -> pa.BooleanArray:
        """Which dockets were filed in the wanted years, or decided there."""
        if self.first_year is None:
            return pa.array([True] * dockets.num_rows)
        return super().filed_or_decided(dockets, decided)
