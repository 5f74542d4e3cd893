"""Invented prose that is as hard to pack as real prose: words of a vocabulary, the common ones most often.

Belongs here: words. Does not belong here: rows (`invented.py`).
"""

from __future__ import annotations

import numpy as np

_VOCABULARY = 30_000
#: The letters by how often English has them.
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
_OFTEN = (127, 90, 82, 75, 70, 67, 63, 61, 60, 43, 40, 28, 28, 24, 22, 24, 20, 19, 10, 15, 20, 8, 2, 1, 2, 1)


def prose(words: int, seed: int) -> str:
    """Return so many words; bzip2 makes a third of them, a quarter if each page comes twice, as in opinions."""
    rng = np.random.default_rng(seed)
    letters = np.array(list(_LETTERS))
    lengths = 2 + (np.log2(np.arange(_VOCABULARY) + 2) * 0.6).astype(int) + rng.integers(0, 3, _VOCABULARY)
    drawn = "".join(rng.choice(letters, int(lengths.sum()), p=np.array(_OFTEN) / sum(_OFTEN)))
    ends = np.cumsum(lengths)
    vocabulary = np.array([drawn[end - size : end] for end, size in zip(ends, lengths, strict=True)], dtype=object)
    shares = 1 / (np.arange(_VOCABULARY) + 2.7)
    chances = np.cumsum(shares / shares.sum())
    return " ".join(vocabulary[np.minimum(np.searchsorted(chances, rng.random(words)), _VOCABULARY - 1)].tolist())
