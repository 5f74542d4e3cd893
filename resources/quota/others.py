"""Who else uses the account: how much of each window is ours, when CourtListener counts what we did not send.

Belongs here: deciding, from what was counted and what is remembered. Does not belong here: counting our own permits,
and putting the result in force (`windows.py`).

The others may be an installation like this one that shares nothing with us but the account. Two such must neither cause
each other's 429s nor crowd each other out, whoever came first. So each leaves free what the other was seen to use, but
takes no less than half; if a window is full, it leaves twice as much, since whoever finds it full is not seen in any
count. After a 429 each takes half at most for a while, and half of that after each further one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from resources.quota.permits import ServerWindow

_SECOND_US = 1_000_000
#: Others that use short windows only are remembered at least so long.
MEMORY_US = 600 * _SECOND_US
#: After so many of the shortest window without another 429 one is forgotten; not sooner or later than these.
_CAUTION_WINDOWS, _CAUTION_US = 10, (60 * _SECOND_US, 600 * _SECOND_US)
_MOST_REFUSALS = 4


@dataclass(frozen=True)
class Others:
    """What is remembered of others, as the account's row in Postgres has it; times are Unix microseconds of its clock.

    By the seconds of a window, `seen` is what they used of it at the last reading, `most` at any since they were first
    seen, and `full_us` when it was last found full. `refusals` counts the 429s that came while they were there, less
    one for each while since `refused_us`. From `free_us` on they may leave us more than there is now; 0: no more than
    our share.
    """

    seen_us: int = 0
    refusals: int = 0
    refused_us: int = 0
    free_us: int = 0
    seen: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    full_us: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Others:
        return cls(**stored)

    @property
    def present(self) -> bool:
        """Whether others are taken to use the account, since they were seen at the last reading or not long before."""
        return self.seen_us > 0

    def after(self, windows: Sequence[ServerWindow], owns: Sequence[int], now_us: int, *, refused: bool) -> Others:
        """What is known after a reading, in which `owns` of the requests may be ours; `refused` after a 429."""
        rows = [(_name(row), row, max(0, row.used - own)) for row, own in zip(windows, owns, strict=True)]
        seen = {name: count for name, _, count in rows}
        if not any(seen.values()):
            return replace(self, seen=seen, free_us=0) if now_us - self.seen_us <= MEMORY_US else Others()
        full_us = {name: now_us if count and row.used >= _nearly(row.window.limit) else self.full_us.get(name, 0)
                   for name, row, count in rows}  # fmt: skip
        caution_us = min(max(_CAUTION_WINDOWS * windows[0].window.seconds * _SECOND_US, _CAUTION_US[0]), _CAUTION_US[1])
        refusals = max(0, self.refusals - (now_us - self.refused_us) // caution_us)
        known = Others(
            seen_us=now_us,
            refusals=min(refusals + 1, _MOST_REFUSALS) if refused else refusals,
            refused_us=now_us if refused else self.refused_us,
            seen=seen,
            most={name: max(count, self.most.get(name, 0)) for name, count in seen.items()},
            full_us=full_us,
        )
        short = [now_us + _reset_us(row) for (_, row, _), own in zip(rows, owns, strict=True)
                 if known.free(row, own) < known.share(row, now_us, shortest=row is windows[0])]  # fmt: skip
        return replace(known, free_us=min(short, default=0))

    def share(self, row: ServerWindow, now_us: int, *, shortest: bool) -> int:
        """How many permits of a window are ours, however many of them the others still use."""
        limit, name = row.window.limit, _name(row)
        contested = now_us - self.full_us.get(name, 0) < max(row.window.seconds * _SECOND_US, MEMORY_US)
        share = max(limit - self.most.get(name, 0) * (2 if contested else 1), limit // 2)
        if self.refusals:
            share = min(share, limit // (2**self.refusals if shortest else 2))
        return max(1, share)

    def free(self, row: ServerWindow, own: int) -> int:
        """How many permits of a window we can have now, the `own` that we have included.

        At least one more than that: until a full window has room, everybody is held.
        """
        return max(row.window.limit - self.seen.get(_name(row), 0), own + 1)

    def room(self, row: ServerWindow, own: int, now_us: int, *, shortest: bool) -> int:
        """How many permits a window may hold for us, until there is another reading."""
        return min(self.share(row, now_us, shortest=shortest), self.free(row, own))

    @property
    def pause_seconds(self) -> float:
        """How long to hold after a 429 at least, twice as long after each: nobody knows yet of whom is only refused."""
        return 2.0**self.refusals if self.present else 0.0


def held_seconds(windows: Sequence[ServerWindow], others: Others) -> float:
    """How long no request can be admitted: until every window that is full, and not by us alone, has room again."""
    full = [row for row in windows if row.used >= row.window.limit and others.seen.get(_name(row), 0)]
    return max((_reset_us(row) / _SECOND_US for row in full), default=0.0)


def _nearly(limit: int) -> int:
    """Where a window counts as full: who is kept out of it stays just below, and so does whoever fills it."""
    return limit - limit // 25


def _name(row: ServerWindow) -> str:
    return str(row.window.seconds)


def _reset_us(row: ServerWindow) -> int:
    """How long the oldest of the counted requests still counts; a guess if the server did not say."""
    seconds = min(60.0, row.window.seconds) if row.reset_seconds is None else row.reset_seconds
    return round(seconds * _SECOND_US)
