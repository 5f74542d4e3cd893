"""What the demo shows: a live bar on a terminal, a line a quarter elsewhere, and the table at the end.

Belongs here: everything that is printed. Does not belong here: where the figures come from (`figures.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from courtlistener_assets.devkit.demo.figures import STREAMS
from courtlistener_assets.devkit.demo.plan import BULK_COURTS

_LABELS = {
    **{stream: stream.replace("_", " ").capitalize() for stream in STREAMS},
    "chunks": "Chunks",
    "requests": "Requests sent",
    "fewest_requests": "  fewest possible for all of it",
    "requests_per_docket": "Requests a docket",
    "refused": "Requests refused",
    "quota_waited_seconds": "Waited for quota, seconds (all workers)",
    "seconds": "Seconds in all",
}


@contextmanager
def progress(console: Console, fewest_requests: int) -> Iterator[Callable[[int, int], None]]:
    """Show progress while the block runs; it tells how many requests were admitted and refused so far."""
    if not console.is_terminal:
        yield _lines(console, fewest_requests)
        return
    columns = (SpinnerColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=fewest_requests)

        def update(admitted: int, refused: int) -> None:
            bar.update(task, completed=admitted, description=_counted(admitted, fewest_requests, refused))
            if admitted >= fewest_requests and len(bar.task_ids) == 1:
                # The first bar is full and stands still.
                bar.add_task("preparing the text", total=None)

        yield update


def _lines(console: Console, fewest_requests: int) -> Callable[[int, int], None]:
    quarters = 0

    def update(admitted: int, refused: int) -> None:
        nonlocal quarters
        if 4 * admitted >= (quarters + 1) * fewest_requests > 0:
            quarters = 4 * admitted // fewest_requests
            console.print(_counted(admitted, fewest_requests, refused), highlight=False)

    return update


def _counted(admitted: int, fewest_requests: int, refused: int) -> str:
    return f"{admitted} of {fewest_requests} requests, {refused} refused"


def table(figures: Mapping[str, Any]) -> Table:
    """Return the figures as a table, in the order in which they are explained."""
    shown = Table(title="What is stored now, and what it cost", show_header=False)
    shown.add_column()
    shown.add_column(justify="right")
    for name, label in _LABELS.items():
        value = figures[name]
        shown.add_row(label, f"{value:,}" if isinstance(value, int) else f"{value:,.2f}")
    return shown


_COSTS = {
    "months": "Months",
    "objects": "Dockets, decisions and opinions",
    "requests": "Requests sent for them",
    "seconds": "Seconds",
}


def costs_table(figures: Mapping[str, Any]) -> Table:
    """Return what both halves of the months have cost, side by side; filings, which no bulk file has, left out."""
    shown = Table(title="Half of the months from bulk files, half over the API")
    shown.add_column()
    for heading in (f"bulk files ({', '.join(BULK_COURTS)})", "API"):
        shown.add_column(heading, justify="right")
    for name, label in _COSTS.items():
        values = [figures[half][name] for half in ("bulk", "api")]
        shown.add_row(label, *(f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" for value in values))
    return shown
