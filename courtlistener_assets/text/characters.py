"""Characters: makes any string safe to parse, store and embed, without changing what a reader sees.

Belongs here: control characters, lone surrogates, entities that were escaped twice, invisible characters, and the
signs that letters were lost. Does not belong here: lines, blocks and markup.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from itertools import islice
from typing import Final

from courtlistener_assets.text.marks import CONTROLS
from courtlistener_assets.text.mojibake import is_mojibake, repair_mojibake
from courtlistener_assets.text.patterns import by_first_letter
from courtlistener_assets.text.scans import EndsWithF, has_any, in_small_letters, unusual_characters

_NEWLINES: Final = "\r\x0b\u2028\u2029"
_SPACES: Final = "\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
#: However often it was escaped.
_ENTITY: Final = re.compile(r"&(?:amp;)*((?:[A-Za-z][A-Za-z0-9]{1,24}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});)")
#: The same as HTML reads it in running text: a number or an old name needs no semicolon.
_REFERENCE: Final = re.compile(r"&((?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});?)")
#: Quotes and dashes of Windows code page 1252 that were read as Latin-1: there, these codes are controls.
_CP1252: Final = {chr(code): sign for code in range(0x80, 0xA0) if (sign := bytes([code]).decode("cp1252", "ignore"))}
#: Where this many signs of them follow the first one in so many characters, publishers indent by spaces.
_MANY, _LOOK = 20, 4_000
#: Everything that `repair` looks for.
_SUSPECT: Final = re.compile(
    rf"[\x00-\x08\x0b\r\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2028\u2029\u2060{_SPACES}\ud800-\udfff\ufeff\ufffe\uffff{CONTROLS}]"
)
#: So many kinds of them are replaced one by one.
_FEW_SIGNS: Final = 8
#: A soft hyphen, with the line end that it explains.
_SOFT_HYPHEN: Final = re.compile(r"\u00ad(?:[ \t]*(?:\r\n?|\n)[ \t]*)?")

# PDF extraction drops the glyphs fi, fl, ff, ffi and ffl of some fonts. These remains are no English words.
# fmt: off
_LOST_LIGATURE: Final = frozenset({
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
_LOST_ENDS: Final = EndsWithF({re.sub(r".*?(.?f[^f]+)$", r"\1", word) for word in _LOST_LIGATURE})
_LAST_WORD: Final = re.compile(r"[a-z]*$")
#: More characters than the longest of them has.
_LONGEST_LOST: Final = 24
#: Ends of words that are no words: what stands on the second line of a word that was cut.
# fmt: off
_FRAGMENTS: Final = (
    "ble", "bly", "cation", "ceeding", "ceedings", "cern", "cerned", "cerning", "cerns", "cessive", "cient",
    "ciently", "cision", "clude", "cluded", "cludes", "cluding", "clusion", "clusions", "cuit", "cumstances",
    "curity", "dants", "dence", "dicated", "dicial", "dictment", "fendant", "fendants", "ficient", "fied",
    "forcement", "gation", "gations", "ification", "ination", "ing", "ingly", "ities", "ity", "judice", "lation",
    "ment", "ments", "mony", "ness", "nied", "pellant", "pellants", "pellee", "ployee", "ployees", "ployment",
    "quired", "quirement", "risdiction", "sary", "sented", "sidered", "sion", "sional", "sions", "sive", "tain",
    "tained", "tention", "tentions", "tial", "tially", "ticular", "tiff", "tiffs", "tion", "tional", "tionally",
    "tions", "tive", "tively", "trict", "ture", "tution", "tutional", "victed", "viction", "vided",
)
# fmt: on
_FRAGMENT: Final = re.compile(f" (?<=[a-z] )(?:{by_first_letter(_FRAGMENTS)})(?![a-z])")
#: One of these is in every text with several of the others.
_FREQUENT_FRAGMENTS: Final = (b" tion", b" ments ")
#: Fewer hits than this can be misprints, as can one in so many letters.
_FRAGMENT_HITS: Final = 4
_LETTERS_A_FRAGMENT: Final = 8_000
#: Fewer hits than this can be misprints.
_LIGATURE_HITS: Final = 3


def repair(text: str) -> str:
    """Return `text` without characters that XML, Postgres, Arrow or UTF-8 refuse, with plain line ends.

    Lone surrogates become U+FFFD. Invisible characters go: C0 and C1 controls, zero-width spaces, byte order marks. A
    soft hyphen goes together with the line end that it explains. Spaces of a typesetter's widths are plain spaces.
    Characters that were certainly read in a wrong encoding are read again. Tabs and form feeds stay.
    """
    if "\r" in text and "\r\r" not in text:
        text = text.replace("\r\n", "\n")  # most often that is all
    unusual = unusual_characters(text)
    if is_mojibake(unusual):  # as none of its characters is ASCII
        text = repair_mojibake(text)
        unusual = unusual_characters(text)
    signs = set("".join(_SUSPECT.findall(unusual)))
    if "\xad" in signs:
        text = _SOFT_HYPHEN.sub("", text)
    if "\r" in signs:
        text = text.replace("\r\n", "\n")
    if len(signs) > _FEW_SIGNS:
        return _SUSPECT.sub(lambda match: _instead_of(match.group()), text)
    for sign in signs:  # much faster than to look at each character
        text = text.replace(sign, _instead_of(sign))
    return text


def _instead_of(sign: str) -> str:
    if 0xD800 <= ord(sign) <= 0xDFFF:
        return "\ufffd"
    if sign in _NEWLINES:
        return "\n"
    return " " if sign in _SPACES else _CP1252.get(sign, "")


def decode_entities(text: str) -> str:
    """Decode entities that are still in a text after parsing, however often they were escaped (`&amp;amp;sect;`)."""
    return _with_decoded(_ENTITY, text)


def decode_references(text: str) -> str:
    """Decode the references of markup as a browser does, then what was escaped twice. Soft hyphens go."""
    if "&" not in text:
        return text
    first = text.find("&")
    if text.count("&", first, first + _LOOK) > _MANY:
        text = text.replace("&nbsp;", "\xa0").replace("&#160;", "\xa0")
    text = decode_entities(_with_decoded(_REFERENCE, text))
    return _SOFT_HYPHEN.sub("", text) if "\xad" in text else text


def _with_decoded(reference: re.Pattern[str], text: str) -> str:
    """The text with its references decoded: they are few, and their sign is found much faster than a pattern."""
    at = text.find("&")
    pieces: list[str] = []
    end = 0
    while at >= 0:
        match = reference.match(text, at)
        if match:
            pieces += (text[end:at], _decoded("&" + match[1]))
            end = match.end()
        at = text.find("&", end if match else at + 1)
    return "".join([*pieces, text[end:]]) if pieces else text


@lru_cache(maxsize=2_048)
def _decoded(reference: str) -> str:
    if reference in ("&shy;", "&#173;", "&#xad;", "&#xAD;"):
        return "\xad"
    return repair(html.unescape(reference))


def lost_hyphens(text: str) -> bool:
    """Whether words that the page's lines had cut are still cut ("con cern"): the PDF's text has no hyphens there."""
    if not has_any(text, _FREQUENT_FRAGMENTS):
        return False
    needed = max(_FRAGMENT_HITS, len(text) // _LETTERS_A_FRAGMENT)
    return next(islice(_FRAGMENT.finditer(text), needed - 1, None), None) is not None


def lost_ligatures(text: str) -> bool:
    """Whether the text has lost letters to a font's ligatures ("the ffth offcer"). They are not guessed back."""
    if len(_LOST_ENDS.places(text)) < _LIGATURE_HITS:
        return False
    text = in_small_letters(text)
    ends = [text[max(0, place - _LONGEST_LOST) : place] for place in _LOST_ENDS.places(text)]
    words = (last.group() for end in ends if (last := _LAST_WORD.search(end)))
    return sum(map(_LOST_LIGATURE.__contains__, words)) >= _LIGATURE_HITS
