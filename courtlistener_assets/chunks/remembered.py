"""Remembered counts: what was counted once need not be again.

Belongs here: which counts are kept, and how many. Does not belong here: how something is counted (`token_counts.py`).
"""

from __future__ import annotations

#: No longer part of a text is remembered.
LONGEST = 64
#: So many are remembered for good, and so many of those that came last.
_FOR_GOOD, _LATEST = 100_000, 20_000


class Remembered(dict[str, int]):
    """Counts that were found once. The first are remembered for good, and beside them the latest.

    What comes often comes early. But each document has words of its own, names above all, which come again in it.
    """

    def __init__(self) -> None:
        self._latest: dict[str, int] = {}

    def __missing__(self, part: str) -> int:
        count = self._latest.get(part)
        if count is None:
            count = self._found(part)
            if len(part) <= LONGEST:
                self._remember(part, count)
        return count

    def _found(self, part: str) -> int:
        raise NotImplementedError

    def _remember(self, part: str, count: int) -> None:
        if len(self) < _FOR_GOOD:
            self[part] = count
            return
        if len(self._latest) >= _LATEST:
            self._latest.clear()
        self._latest[part] = count
