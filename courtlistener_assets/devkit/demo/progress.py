"""What the demo shows: a live bar on a terminal, a line a step elsewhere, and the table at the end.

Belongs here: everything that is printed. Does not belong here: where the figures come from (`figures.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

_LABELS = {
    "dockets": "Dockets",
    "clusters": "Decisions",
    "opinions": "Opinions",
    "docket_entries": "Docket entries",
    "recap_documents": "Documents",
    "chunks": "Chunks",
    "requests": "Requests sent",
    "fewest_requests": "  fewest possible for all of it",
    "requests_per_docket": "Requests a docket",
    "refused": "Requests refused",
    "quota_waited_seconds": "Waited for quota, seconds (all workers)",
    "seconds": "Seconds in all",
}


class DemoProgress:
    """The progress of the demo's processes."""

    def __init__(self, console: Console, bar: Progress | None, total: int) -> None:
        self._console = console
        self._bar = bar
        self._total = total
        self._ended = 0
        self._task = bar.add_task("starting", total=total) if bar else None

    def requests(self, admitted: int, refused: int) -> None:
        """Show how many requests the server has answered and refused so far."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=f"{admitted} requests, {refused} refused")

    def ended(self, title: str) -> None:
        """Show that one more step has ended."""
        self._ended += 1
        self._console.print(f"[{self._ended}/{self._total}] {title}", markup=False, highlight=False)
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task)


@contextmanager
def progress(console: Console, total: int) -> Iterator[DemoProgress]:
    """Show progress over `total` steps while the block runs."""
    if not console.is_terminal:
        yield DemoProgress(console, None, total)
        return
    columns = (
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield DemoProgress(console, bar, total)


def table(figures: Mapping[str, Any]) -> Table:
    """The figures as a table, in the order in which they are explained."""
    shown = Table(title="What is there now, and what it cost", show_header=False)
    shown.add_column()
    shown.add_column(justify="right")
    for name, label in _LABELS.items():
        value = figures[name]
        shown.add_row(label, f"{value:,}" if isinstance(value, int) else f"{value:,.2f}")
    return shown
