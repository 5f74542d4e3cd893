"""Tags: markup -> texts and tags in turn, and what each tag means.

Belongs here: where a tag begins and ends, also in broken markup, and the role of an element by its name, classes and
other attributes. Does not belong here: what the roles do to the text (`markup.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from courtlistener_assets.text.characters import decode_references
from courtlistener_assets.text.marks import BLOCK, CELL, JOIN, LINE, LINK, LINK_END
from courtlistener_assets.text.markup_scans import split_at_tags

#: The elements whose content no reader sees.
_HIDDEN: Final = frozenset(["head", "title", "script", "style", "template", "noscript", "iframe", "object", "svg"])
_EMPTY: Final = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"])
# fmt: off
_BLOCKS: Final = frozenset({
    "address", "article", "aside", "attorneys", "author", "blockquote", "block_quote", "body", "caption", "center",
    "citation_line", "concurrence", "correction", "court", "date", "dd", "decisiondate", "disposition", "dissent",
    "div", "dl", "docketnumber", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "headnotes", "history", "hr", "html", "judges", "li", "main", "nav", "ol", "opinion",
    "opinion_text", "option", "otherdate", "p", "page", "parties", "posture", "pre", "section", "select", "summary",
    "syllabus", "table", "ul",
})
# fmt: on
_FOOTNOTES: Final = frozenset(["footnote", "footnote_body"])
_PAGE_TAGS: Final = frozenset(["page-number", "page_number", "pagenumber", "page-label"])
_PAGE_CLASSES: Final = frozenset(["page-label", "page-number", "star-pagination", "starpage", "pagenum", "page_number"])
_NOTE_TAGS: Final = frozenset(["footnotemark", "footnote_reference", "footnote_number"])
_NOTE_CLASSES: Final = frozenset(["footnote", "footnotemark", "footnote-ref", "footnote-reference", "fnref", "fn-ref"])
_NOTE_BLOCK_CLASSES: Final = frozenset(
    ["footnote", "footnote-body", "footnotebody", "msofootnotetext", "msoendnotetext", "endnote"]
)
_NOTE_BLOCKS: Final = frozenset(["div", "li", "p", "aside", "section"])
_NOTE_BLOCK_ROLES: Final = frozenset(["doc-footnote", "doc-endnote"])
_NOTE_ID: Final = re.compile(r"(?:_?ftn|_?edn|fn|foot-?note|end-?note|cite_note)[-_:]?(\d{1,3})", re.IGNORECASE)
_CHROME_TAGS: Final = frozenset(["nav", "footer", "select", "button"])
# fmt: off
_CHROME_CLASSES: Final = frozenset({
    "ad", "ads", "advert", "advertisement", "adsbygoogle", "breadcrumb", "breadcrumbs", "cookie-banner",
    "cookie-notice", "footer", "global-footer", "global-header", "jumpback", "main-menu", "menu", "mobile-menu", 
    "nav", "navbar", "navigation", "noprint", "no-print", "pagination", "page-footer", "share", "sharing",
    "side-bar", "sidebar", "site-footer", "site-header", "site-nav", "sitefooter", "siteheader", "skip-link",
    "skiplink", "skipnav", "skip-nav", "skip-to-content", "social", "social-media", "toolbar", "topnav", "utility-nav",
})
# fmt: on
_CHROME_ROLES: Final = frozenset(["navigation", "banner", "contentinfo", "search", "menu", "menubar", "complementary"])
_CHROME_ELEMENTS: Final = frozenset(
    ["a", "aside", "div", "footer", "header", "ins", "li", "ol", "p", "section", "span", "ul"]
)

_PLAIN: Final = frozenset(["inline", "block", "line"])
_ROLES: Final = {"br": "line", "tr": "row", "td": "cell", "th": "cell", "sup": "sup", "pre": "pre", "table": "table"}

_NAME: Final = re.compile(r"<(/?)\s*([^\s/>]+)")
_ATTRIBUTE: Final = re.compile(r"""\s(class|id|role|href|label)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_ANY_ATTRIBUTE: Final = re.compile(_ATTRIBUTE.pattern, re.IGNORECASE)
#: What is left of a tag whose quotation mark was never closed: its text stands behind the declarations of a style.
_BROKEN: Final = re.compile(
    r"""<[A-Za-z][\w:-]{0,40}(?:\s+[\w:-]{1,40}\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>]+))*"""
    r"""\s+[\w:-]{1,40}\s*=\s*["'](?:\s*[\w-]{1,40}\s*:[^;<>]{0,200};)*"""
)
#: Longer tags (with a picture in them) are not worth keeping.
TAG_SIZE: Final = 1_000
_CDATA: Final = "<![CDATA["


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag. `text` is what replaces it in the stream; a `single` element has no end tag."""

    name: str
    role: str
    text: str
    ends: bool = False
    single: bool = False
    label: str = ""
    #: Whether an element becomes nothing but its text, wherever it ends.
    plain: bool = True


def pieces_of(markup: str) -> list[str]:
    """Split markup: the even pieces are text, the odd ones are tags, comments and declarations."""
    if _CDATA in markup:
        markup = markup.replace(_CDATA, "").replace("]]>", "")
    return split_at_tags(markup)


def without_broken_tags(text: str) -> str:
    """Remove from a text (of no other tags) those tags whose quotation mark was never closed, keeping what follows."""
    return _BROKEN.sub("", text) if "<" in text else text


def read_tag(source: str, *, links: bool) -> Tag:
    """What a tag means, read from its source. Only with `links`, those of links leave their signs in the stream."""
    named = _NAME.match(source)
    if not named or source[1] in "!?":
        return Tag("", "inline", "")
    name = named[2].lower()
    if named[1]:
        return _end_tag(name, links)
    found = _attributes(source) if "=" in source else {}
    own = found.get("id", "").lower()
    return _start_tag(
        "img" if name == "image" else name,
        found.get("class", "").lower(),
        found.get("role", "").lower(),
        own if own in _CHROME_CLASSES or _NOTE_ID.fullmatch(own) else "",
        found.get("href", "")[:1],
        found.get("label", "") if name in _FOOTNOTES else "",
        name in _EMPTY or source.endswith("/>"),
        links,
    )


#: The same for tags without and with links, of fewer than `TAG_SIZE` characters: they are few and alike.
known_tag = {links: lru_cache(maxsize=8_192)(partial(read_tag, links=links)) for links in (False, True)}


def _attributes(source: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, double, quoted, bare in (_ATTRIBUTE if source.islower() else _ANY_ATTRIBUTE).findall(source):
        found.setdefault(name.lower(), decode_references(double or quoted or bare))
    return found


@lru_cache(maxsize=1_024)
def _end_tag(name: str, links: bool) -> Tag:
    text = {"author": JOIN, "a": LINK_END if links else ""}.get(name, BLOCK if name in _BLOCKS else "")
    return Tag(name, "inline", text, ends=True)


@lru_cache(maxsize=4_096)
def _start_tag(
    name: str, classes: str, says: str, own_id: str, href: str, label: str, single: bool, links: bool
) -> Tag:
    """The tag of an element with these attributes: of `id` and `href`, only what tells what the element is."""
    class_names = frozenset(classes.split())
    role = _role(name, class_names, says, own_id, href)
    text = {"line": LINE, "row": LINE, "cell": CELL}.get(role, "")
    if name in _BLOCKS and role not in ("page", "note", "run"):
        text = BLOCK if "inline" not in class_names else ""
    elif links and name == "a" and role == "inline" and href:
        text = LINK
    numbered = _NOTE_ID.fullmatch(own_id) if role == "footnote" else None
    label = label or (numbered[1] if numbered else "")
    return Tag(name, role, text, single=single, label=label, plain=role in _PLAIN)


def _role(name: str, classes: frozenset[str], says: str, own_id: str, href: str) -> str:
    if name in _HIDDEN:
        return "hidden"
    if name in _PAGE_TAGS or classes & _PAGE_CLASSES:
        return "page"
    if name in _FOOTNOTES or (name in _NOTE_BLOCKS and _is_note(classes, says, own_id)):
        return "footnote"
    if (
        name in _CHROME_TAGS
        or "jumpback" in classes
        or (name in _CHROME_ELEMENTS and _is_chrome(classes, says, own_id))
    ):
        return "boilerplate"
    if name in _NOTE_TAGS or (name in ("a", "sup", "span") and (classes & _NOTE_CLASSES or says == "doc-noteref")):
        return "note"
    if name == "span" and "num" in classes:
        return "paragraph_number"
    if name == "a" and href == "#":
        return "link"
    if name in _ROLES:
        return _ROLES[name]
    if name not in _BLOCKS:
        return "inline"
    return "run" if "inline" in classes else "block"


def _is_note(classes: frozenset[str], says: str, own_id: str) -> bool:
    return bool(classes & _NOTE_BLOCK_CLASSES) or says in _NOTE_BLOCK_ROLES or bool(_NOTE_ID.fullmatch(own_id))


def _is_chrome(classes: frozenset[str], says: str, own_id: str) -> bool:
    return bool(classes & _CHROME_CLASSES) or own_id in _CHROME_CLASSES or says in _CHROME_ROLES
