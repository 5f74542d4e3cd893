"""Mojibake: UTF-8 that was read in another encoding (`â€™` for an apostrophe) -> the characters that it was.

Belongs here: which sequences are certain, and the sign that some are left. Does not belong here: other characters
(`characters.py`).

A sequence is certain if its bytes in that encoding are one character of UTF-8 and nobody writes it otherwise. Capitals
before a quotation mark (`CAFÉ”`) are such bytes too, and people do write them; they stay.
"""

from __future__ import annotations

import re
from typing import Final

_WINDOWS: Final = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0x100)}
#: Codes 80 to 9F as Latin-1 and as code page 1252 read them, whichever the text was last read by.
_BYTES: Final = {
    "windows": {**{chr(code): code for code in range(0x80, 0x100)}, **{sign: code for code, sign in _WINDOWS.items()}},
    "mac": {bytes([code]).decode("mac_roman"): code for code in range(0x80, 0x100)},
    "dos": {bytes([code]).decode("cp437"): code for code in range(0x80, 0x100)},
}


def _continuations(encoding: str, first: int = 0x80, without: str = "") -> str:
    signs = (sign for sign, code in _BYTES[encoding].items() if first <= code < 0xC0 and sign not in without)
    return "[" + "".join(map(re.escape, filter(None, signs))) + "]"


_QUOTES: Final = "\u2018\u2019\u201c\u201d\u2013\u2014\u2022"
_SEQUENCES: Final = (
    (
        "windows",
        re.compile(
            f"[\xe2\xef]{_continuations('windows', without=_QUOTES)}{_continuations('windows')}"
            f"|\xc3{_continuations('windows', without=_QUOTES)}|\xc2{_continuations('windows', first=0xA0)}"
        ),
    ),
    ("mac", re.compile(f"\u201a\xc4{_continuations('mac')}")),
    ("dos", re.compile(f"\u0393\xc7{_continuations('dos')}")),
)
#: One of these is in every sequence, and in few other texts.
_LEADS: Final = ("\xe2", "\xc2", "\xc3", "\xef", "\u201a", "\u0393")
_LEFT: Final = re.compile("\xe2[\u20ac\u201e]|\xc3[\xa0-\xbf]|\xc2(?=[\xa0-\xbf\\s])|\u201a\xc4|\u0393\xc7")
#: A text can have been misread more than once.
_TIMES: Final = 3


def repair_mojibake(text: str) -> str:
    """Return `text` with every certain sequence replaced by the character that it was."""
    if not may_be_mojibake(text):
        return text
    for _ in range(_TIMES):
        before = text
        for encoding, sequence in _SEQUENCES:
            text = sequence.sub(lambda match, codes=_BYTES[encoding]: _decoded(match.group(), codes), text)  # type: ignore[misc]
        if text == before:
            break
    return text


def is_mojibake(text: str) -> bool:
    """Whether a text has certain sequences."""
    return may_be_mojibake(text) and any(sequence.search(text) for _, sequence in _SEQUENCES)


def may_be_mojibake(text: str) -> bool:
    """Whether a text has any of the characters with which sequences begin."""
    return not text.isascii() and any(lead in text for lead in _LEADS)


def has_mojibake(text: str) -> bool:
    """Whether sequences are left that look like UTF-8 in another encoding and are not certain."""
    return may_be_mojibake(text) and bool(_LEFT.search(text))


def _decoded(sequence: str, codes: dict[str, int]) -> str:
    try:
        return bytes(codes[sign] for sign in sequence).decode()
    except UnicodeDecodeError:
        return sequence
