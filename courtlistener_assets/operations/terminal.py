"""Text of others on a terminal: what a server, another program or a person wrote is shown, and obeyed by nobody.

Belongs here: taking the meaning out of it, for `rich` and for the terminal. Does not belong here: what is shown.
"""

from __future__ import annotations

from rich.text import Text


def printable(text: str) -> str:
    """A text on one line without what moves a cursor, changes colours or rings a bell."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def plain(text: str, style: str = "") -> Text:
    """The same for `rich`, which would take `[/red]` in a string for markup."""
    return Text(printable(text), style)
