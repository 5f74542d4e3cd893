"""Starts of sentences, as nupunkt finds them.

Belongs here: what `sentence_starts.pyx` has in a compiled form, which a compiled build imports instead of this module;
this one says what it does. Does not belong here: which of these starts are none (`cuts.py`).
"""

from __future__ import annotations

import nupunkt


def sentence_starts(text: str) -> list[int]:
    """Where sentences begin."""
    return [start for start, _ in nupunkt.load("default").span_tokenize(text)]
