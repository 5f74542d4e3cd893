"""Looking again and again, and showing what was seen until Ctrl-C.

Belongs here: how often, and to what kind of output. Does not belong here: what is looked at (`reading.py`), how it
looks (`screen.py`, `lines.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from courtlistener_assets.operations.watch.lines import Lines
from courtlistener_assets.operations.watch.screen import screen
from courtlistener_assets.operations.watch.view import View, as_json

#: At least so long between two looks, and so many times as long as a look takes: watching is at most 5 % of a server.
EVERY_SECONDS, _REST = 2.0, 20.0
Look = Callable[[], View]
Wait = Callable[[float], None]


def pause_after(look_seconds: float) -> float:
    """Seconds until the next look after one that took so long."""
    return max(EVERY_SECONDS, _REST * look_seconds)


def watch(
    look: Look,
    console: Console,
    *,
    json: bool = False,
    once: bool = False,
    wait: Wait = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> View:
    """Show views until KeyboardInterrupt, or whatever `wait` raises; with `once` a single one, which it returns.

    On a terminal it is drawn anew in its place; elsewhere plain lines are printed, with `json` an object a line.
    """
    if not console.is_terminal or json or once:
        return _print(look, console, json=json, once=once, wait=wait, clock=clock)
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            begun = clock()
            live.update(screen(look()), refresh=True)
            wait(pause_after(clock() - begun))


def _print(look: Look, console: Console, *, json: bool, once: bool, wait: Wait, clock: Callable[[], float]) -> View:
    lines = Lines()
    while True:
        begun, view = clock(), look()
        if json:
            console.out(as_json(view), highlight=False)
        elif once and console.is_terminal:
            console.print(screen(view))
        else:
            for line in lines.of(view):
                console.out(line, highlight=False)
        if once:
            return view
        wait(pause_after(clock() - begun))
