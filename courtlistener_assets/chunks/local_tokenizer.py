"""Local tokenizers: a model's own `tokenizer.json` -> exact token counts, offline.

Belongs here: reading such a file with the package tokenizers, which is optional, and saying what is wrong with it. Does
not belong here: the default (`token_counts.py`), how the counts of a text's parts add up (`token_ruler.py`).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from courtlistener_assets.chunks.token_counts import DEFAULT, Tokenizer
from resources.errors import SettingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Encoder


class LocalTokenizer:
    """Counts with a file that was saved by the package tokenizers, special tokens included.

    What the file says about padding and about the longest input is for training and does not count. Safe to use from
    several threads.
    """

    def __init__(self, encoder: Encoder, name: str) -> None:
        encoder.no_padding()
        encoder.no_truncation()
        self._encoder = encoder
        self.name = name

    def count(self, text: str) -> int:
        """The number of tokens that the model gets for `text`."""
        return len(self._encoder.encode(text))


def find_tokenizer(name: str) -> Tokenizer:
    """The tokenizer called `cl100k_base`, or that of the file with this path.

    Its name is the file's with a digest of the content, which is the same on every machine. Raises SettingError if
    there is no such file, it holds no tokenizer, or the package tokenizers is not installed.
    """
    if name == DEFAULT.name:
        return DEFAULT
    path = Path(name)
    try:
        changed = path.stat().st_mtime_ns
        return _read(path, changed)
    except OSError as error:
        raise SettingError(
            f"tokenizer is {name!r}, which is neither {DEFAULT.name} nor a file that can be read: {error.strerror}"
        ) from None


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> LocalTokenizer:
    """Read a file, once for each time that it was `changed`."""
    content = path.read_bytes()
    try:
        from tokenizers import Tokenizer as Encoder
    except ImportError:
        raise SettingError(
            f"tokenizer is {str(path)!r}; that needs the package tokenizers, which is not installed"
        ) from None
    try:
        encoder = Encoder.from_str(content.decode())
        tokenizer = LocalTokenizer(encoder, f"{path.name}:{hashlib.sha256(content).hexdigest()[:12]}")
        usable = tokenizer.count("The court") > tokenizer.count("")
    except Exception as error:  # The package raises nothing more particular.
        raise SettingError(f"tokenizer is {str(path)!r}, which holds no tokenizer: {error}") from None
    if not usable:
        raise SettingError(f"tokenizer is {str(path)!r}, which finds no tokens in a text")
    return tokenizer
