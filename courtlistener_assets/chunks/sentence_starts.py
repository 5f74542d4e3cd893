"""Starts of sentences, as nupunkt finds them.

Belongs here: what `sentence_starts.pyx` has in a compiled form, which a compiled build imports instead of this module;
this one says what it does. Does not belong here: which of these starts are none (`cuts.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import nupunkt


def sentence_starts(
    text: str, begin: int, end: int, low: int, high: int, may_be: Callable[[int], bool]
) -> Iterator[int]:
    """Where sentences of `text[begin:end]` begin, if at `begin <= low < place <= high`, the last first.

    Only those of which `may_be` is true: it is asked before nupunkt where that takes longer.
    """
    spans = nupunkt.load("default").span_tokenize(text[begin:end])
    starts = [begin + start for start, _ in spans if low < begin + start <= high]
    return filter(may_be, reversed(starts))
