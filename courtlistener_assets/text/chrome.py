"""Site chrome: the parts of a court's web page that are not the opinion -> marks of kind `boilerplate`.

Belongs here: menus, notices and footers that no element names (those that one does are in `tags.py`). Does not belong
here: what a publisher wrote about the opinion, which is kept.

Only short blocks before the first and behind the last long paragraph are looked at, and advertisement notices between.
"""

from __future__ import annotations

import re
from typing import Final

from courtlistener_assets.text.marks import LINK, LINK_END, Marks, visible

#: Elements that only a whole page has.
_PAGE: Final = re.compile(r"</?(?=[bfhins])(?:html|body|nav|footer|header|form|input|script)\b", re.IGNORECASE)
_LINKED: Final = re.compile(f"{LINK}[^{LINK}{LINK_END}]*{LINK_END}")
_BETWEEN: Final = re.compile("[|\u00b7\u2022\u00bb\u203a>\n\t]+|(?<=\ufdda)[ /,-]*(?=\ufdd9)")
_NOTICE: Final = re.compile(
    r"(?:- ?)?(?:advertisements?|sponsored(?: links?| content)?"
    r"|(?:article|story|text) continues below[\w ]{0,20})(?: ?-)?",
    re.IGNORECASE,
)
#: What only a web page says.
_PHRASES: Final = re.compile(
    r"(?:skip|jump) (?:to|past|over) [\w ]{1,30}|printer[- ]friendly[\w ]{0,20}|print (?:this|page)[\w ]{0,20}"
    r"|e-?mail (?:this|page|us|link)[\w ]{0,20}|share this[\w ]{0,20}"
    r"|(?:back|go|return) to (?:the )?(?:top|list|home)[\w ]{0,20}"
    r"|top of (?:page|index|form)|site ?map|(?:contact|about) (?:us|the courts?)|privacy (?:policy|statement|notice)"
    r"|terms (?:of|and) (?:use|service|conditions)|log ?(?:in|out)|sign (?:in|up|out)|toggle [\w ]{1,20}|rss(?: feed)?"
    r"|copyright\b.{0,120}|(?:\u00a9|\(c\)) ?(?:copyright )?\d{4}.{0,100}|.{0,60}all rights reserved\.?"
    r"|powered by .{1,60}|citationizer.{0,80}|oscn found document:.{1,100}"
    r"|(?:comments|questions|e-?mail)[\w ]{0,20}(?: to)?:? ?\S+@\S+|webmaster.{0,60}"
    r"|url: ?https?://\S+|(?:page |site )?(?:last )?(?:updated|modified|revised)(?: on)?:.{1,60}"
    r"|(?:please )?enable javascript.{0,100}|(?:this site|we) uses? cookies.{0,120}",
    re.IGNORECASE,
)
#: What menus say, among other things of the kind.
_WORDS: Final = re.compile(
    r"home(?:page)?|search|contact|privacy|disclaimers?|accessibility|subscribe|register|menu|close|help|faqs?|tweet|top"
    r"|print(?: only)?|e-?mail|share|(?:previous|next) (?:case|page|opinion)|citationize|this point in index"
    r"|cite|name|level|none found\.?|view case"
    r"|cit(?:ed|ing) cases?|download(?: pdf)?|courts?|forms?|opinions?|news|careers|directory|calendars?|self[- ]help",
    re.IGNORECASE,
)
_EDGE: Final = 2_000
_PROSE_LENGTH: Final = 200
_LINK_LENGTH: Final = 40
_RUN: Final = 3
_PARTY: Final = re.compile(r"\bv(?:s)?\.? |\b(?:In re|Matter of|Ex parte)\b|\d{4}")


def is_page(markup: str) -> bool:
    """Whether markup is a whole page, rather than an opinion that a publisher has taken out of one."""
    return bool(_PAGE.search(markup[:_EDGE]) or _PAGE.search(markup[-_EDGE:]))


def without_chrome(blocks: list[str], marks: Marks) -> list[str]:
    """Move menus and notices to marks; take the signs of links out of all blocks."""
    long = [index for index, block in enumerate(blocks) if len(block) >= _PROSE_LENGTH and not _is_chrome(block)]
    first, last = (long[0], long[-1]) if long else (len(blocks), -1)
    result, run = [], 0
    for index, block in enumerate(blocks):
        bare = without_links(block).strip()
        outside = index < first or index > last
        if outside and _is_chrome(block):
            run = run if run > index else _end_of_run(blocks, index)
        notice = _NOTICE.fullmatch(visible(bare)) or (outside and _PHRASES.fullmatch(visible(bare)))
        chrome = notice or index < run
        result.append(marks.mark("boilerplate", " ".join(bare.split())) if chrome and bare == visible(bare) else bare)
    return [block for block in result if block]


def without_links(text: str) -> str:
    return text.replace(LINK, "").replace(LINK_END, "") if LINK in text or LINK_END in text else text


def _end_of_run(blocks: list[str], first: int) -> int:
    """The index behind the menu that begins at `first`; `first` if it has too few entries for one."""
    entries, index = 0, first
    while index < len(blocks) and _is_chrome(blocks[index]):
        entries += len(_segments(blocks[index]))
        index += 1
    return index if entries >= _RUN else first


def _segments(block: str) -> list[str]:
    return [part.strip() for part in _BETWEEN.split(visible(block)) if part and without_links(part).strip()]


def _is_chrome(block: str) -> bool:
    """Whether a block has nothing but short links and phrases of menus."""
    segments = _segments(block)
    return bool(segments) and all(map(_is_entry, segments))


def _is_entry(segment: str) -> bool:
    text = without_links(segment)
    if _PHRASES.fullmatch(text.strip()) or _WORDS.fullmatch(text.strip()):
        return True
    return len(text) <= _LINK_LENGTH and bool(_LINKED.fullmatch(segment)) and not _PARTY.search(text)
