"""Sets of ids that take no more memory the more they hold: one bit for each id up to the largest.

Belongs here: the set. Does not belong here: which ids are wanted (`passes.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Ids of one page of bits. The server numbers objects one after the other, so that few pages are hardly used.
_PAGE = 1 << 20
_LARGEST = 1 << 40


class IdSet:
    """A set of positive ids: 125 kB for each million that there may be, whether they are in it or not."""

    def __init__(self) -> None:
        self._pages: dict[int, npt.NDArray[np.uint8]] = {}
        self._changed: set[int] = set()

    def add(self, ids: pa.ChunkedArray[Any]) -> None:
        """Put in ids that are text or numbers; NULL is left out. Raises ValueError for what is no id."""
        numbers = ids_of(ids.drop_null())
        for page, inner in _by_page(numbers):
            bits = self._pages.get(page)
            if bits is None:
                bits = self._pages[page] = np.zeros(_PAGE // 8, dtype=np.uint8)
            np.bitwise_or.at(bits, inner >> 3, (1 << (inner & 7)).astype(np.uint8))
            self._changed.add(page)

    def mask(self, ids: pa.ChunkedArray[Any]) -> pa.BooleanArray:
        """Which of these are in it; NULL is not. Raises ValueError for what is no id."""
        return pa.array(self.holds(ids_of(ids)))

    def holds(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these ids are in it."""
        found = np.zeros(len(numbers), dtype=np.bool_)
        for page in np.unique(numbers // _PAGE):
            bits = self._pages.get(int(page))
            if bits is not None:
                there = numbers // _PAGE == page
                inner = numbers[there] % _PAGE
                found[there] = (bits[inner >> 3] >> (inner & 7).astype(np.uint8)) & 1
        return found

    def changes(self) -> Iterator[tuple[int, bytes]]:
        """The pages of bits that have changed since this was last called, by their numbers."""
        changed, self._changed = sorted(self._changed), set()
        return ((page, self._pages[page].tobytes()) for page in changed)

    def restore(self, page: int, bits: bytes) -> None:
        """Put in a page that `changes` gave."""
        self._pages[page] = np.frombuffer(bits, dtype=np.uint8).copy()

    def __len__(self) -> int:
        return sum(int(np.bitwise_count(bits).sum()) for bits in self._pages.values())


def ids_of(ids: pa.ChunkedArray[Any]) -> npt.NDArray[np.int64]:
    """Ids as numbers, 0 for NULL; raises ValueError for what is none."""
    try:
        numbers: npt.NDArray[np.int64] = ids.cast(pa.int64()).fill_null(pa.scalar(0)).to_numpy()
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from None
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < _LARGEST:
        raise ValueError(f"{int(numbers.max())} is no id")
    return numbers


def _by_page(numbers: npt.NDArray[np.int64]) -> list[tuple[int, npt.NDArray[np.int64]]]:
    pages = numbers // _PAGE
    return [(int(page), numbers[pages == page] % _PAGE) for page in np.unique(pages)]
