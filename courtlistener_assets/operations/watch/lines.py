"""What `courtlistener watch` prints where no terminal is: a plain line now and then.

Belongs here: the words, and when there is something to say. Does not belong here: bars (`screen.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from courtlistener_assets.operations.status import room_in_words
from courtlistener_assets.operations.terminal import printable
from courtlistener_assets.operations.watch.view import Bar, Trouble, View
from resources.quota.eta import in_words

#: Where something has changed it is said after so many seconds, else after so many.
_CHANGED_SECONDS, _SAME_SECONDS = 30.0, 600.0


class Lines:
    """Says what is new; a line may be written to any file."""

    def __init__(self) -> None:
        self._said_at: datetime | None = None
        self._said: list[str] = []
        self._known: set[tuple[datetime, str]] = set()

    def of(self, view: View) -> list[str]:
        """Return the lines to print now; what failed is said at once."""
        new = [each for each in reversed(view.troubles) if (each.at, each.what) not in self._known]
        self._known |= {(each.at, each.what) for each in new}
        lines = [f"{each.at:%H:%M:%S} {in_one_line(each)}" for each in new]
        said, since = summary(view), (view.at - self._said_at).total_seconds() if self._said_at else _SAME_SECONDS
        if since >= (_CHANGED_SECONDS if said != self._said else _SAME_SECONDS):
            lines += [f"{view.at:%H:%M:%S} {line}" for line in said]
            self._said, self._said_at = said, view.at
        return lines


def in_one_line(trouble: Trouble) -> str:
    """What failed and why, without line breaks and what a terminal would obey."""
    return printable(f"Failed: {trouble.what}: {trouble.why}")[:400] + (" (given up)" if trouble.given_up else "")


def summary(view: View) -> list[str]:
    """A line for each backfill, or for all downloads if none runs, and what was not to be read."""
    downloads, runs = view.downloads, view.runs
    lines = [printable(problem) for problem in view.problems]
    for each in runs.backfills if runs else ():
        left = f"; {each.left}" if each.left else ""
        lines.append(f"Backfill {each.id}: {_counts(each.bars)}{left}")
    if not (runs and runs.backfills):
        left = f"; {downloads.left}" if downloads.left and downloads.left.requests else ""
        lines.append(f"Downloads: {_counts(downloads.bars)}{left}")
    account = downloads.account
    if account and lines:
        full = ", ".join(f"{each.used} of {each.limit} in {in_words(each.seconds)}" for each in account.windows)
        lines[-1] += f"; quota {full}, room {room_in_words(account.room_in_seconds)}"
    return lines


def _counts(bars: Sequence[Bar]) -> str:
    return ", ".join(f"{each.asset} {each.green}/{each.asked}" for each in bars) or "nothing"
