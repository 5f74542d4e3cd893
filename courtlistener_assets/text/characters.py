"""Characters: makes any string safe to parse, store and embed, without changing what a reader sees.

Belongs here: control characters, lone surrogates, entities that were escaped twice, invisible characters, and the
signs that letters were lost. Does not belong here: lines, blocks and markup.
"""

from __future__ import annotations

import html
import re

from courtlistener_assets.text.marks import CONTROLS

_NEWLINES = re.compile(r"\r\n?|[\x0b\u2028\u2029]")
_INVISIBLE = re.compile(rf"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u2060\ufeff\ufffe\uffff{CONTROLS}]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,24}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
#: Quotes and dashes of Windows code page 1252 that were read as Latin-1: there, these codes are controls.
_CP1252 = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
_ESCAPED = re.compile(r"&(?:amp;)+")
#: Everything that `repair` looks for, so that clean text is read only once.
_SUSPECT = re.compile(
    rf"[\x00-\x08\x0b\r\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2028\u2029\u2060\ud800-\udfff\ufeff\ufffe\uffff{CONTROLS}]"
)
_SOFT_HYPHEN = re.compile(r"\u00ad[ \t]*\n[ \t]*|\u00ad")

# PDF extraction drops the glyphs fi, fl, ff, ffi and ffl of some fonts. These remains are no English words.
# fmt: off
_LOST_LIGATURE = frozenset({
    "affrm", "affrmed", "afrm", "afrmed", "beneft", "benefts", "certifcate", "clarifed", "classifed", "confict",
    "conficts", "confrm", "confrmed", "confrms", "defned", "defnes", "defnition", "difcult", "diffcult", "effcient",
    "ffteen", "ffth", "ffty", "fnal", "fnally", "fnance", "fnancial", "fnd", "fnding", "fndings", "fnds", "frst",
    "fxed", "identifed", "identifes", "infuence", "insuffcient", "justifed", "modifed", "notifed", "ofce", "ofcer",
    "ofcers", "offce", "offcer", "offcers", "offces", "offcial", "offcials", "qualifed", "refect", "refects",
    "satisfed", "satisfes", "signifcant", "signifcantly", "specifc", "specifcally", "suffce", "suffcient",
    "suffciently",
})
# fmt: on
#: How they end, from their last f and the letter before it on: few other words do.
_LOST_ENDS = re.compile(
    "f(?:"
    + "|".join(sorted({re.sub(r".*?(.?f)([^f]+)$", r"\2(?<=\1\2)", word) for word in _LOST_LIGATURE}))
    + ")(?![a-z])"
)
_WORD = re.compile(r"[a-z]{3,}")
#: Fewer hits than this can be misprints.
_LIGATURE_HITS = 3


def repair(text: str) -> str:
    """Return `text` without characters that XML, Postgres, Arrow or UTF-8 refuse, with plain line ends.

    Lone surrogates become U+FFFD. Invisible characters go: C0 and C1 controls, zero-width spaces, byte order marks. A
    soft hyphen goes together with the line end that it explains. Tabs and form feeds stay.
    """
    if not _SUSPECT.search(text):
        return text
    if text.isascii():
        return _INVISIBLE.sub("", _NEWLINES.sub("\n", text))
    text = _SURROGATE.sub("\ufffd", _NEWLINES.sub("\n", text))
    text = text.translate(_CP1252) if any(chr(code) in text for code in _CP1252) else text
    return _SOFT_HYPHEN.sub("", _INVISIBLE.sub("", text))


def decode_entities(text: str) -> str:
    """Decode entities that are still in a text after parsing, however often they were escaped (`&amp;amp;sect;`)."""
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda match: repair(html.unescape(match.group())), _ESCAPED.sub("&", text))


def lost_ligatures(text: str) -> bool:
    """Whether the text has lost letters to a font's ligatures ("the ffth offcer"). They are not guessed back."""
    lowered = text.lower()
    if len(_LOST_ENDS.findall(lowered)) < _LIGATURE_HITS:
        return False
    return sum(map(_LOST_LIGATURE.__contains__, _WORD.findall(lowered))) >= _LIGATURE_HITS
