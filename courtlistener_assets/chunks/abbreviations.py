"""Abbreviations: whether a full stop ends a sentence or a shortened word.

Belongs here: the words that legal writing shortens, and what must follow for the sentence to go on. Does not belong
here: where the sentences of a text end (`cuts.py`, which asks this about each place that may be one).

To miss the end of a sentence costs a chunk a few words; to see one inside a citation tears it. So a full stop after a
shortened word ends a sentence only where a word follows with which sentences begin.
"""

from __future__ import annotations

import re

#: Never the last word of a sentence.
_BEFORE_WORDS = """
    amend amends app art arts bankr capt cf ch civ cl col cong crim dr ed evid ex exh exhs exs fed fig figs gen
    hon lt messrs mr mrs ms nn no nos par para paras pp prof pt pts reg regs rep rev sec secs sess sgt stat
    stats subd subds supp tit vol vols
"""
_BEFORE_SOMETHING = frozenset(_BEFORE_WORDS.split())
#: The same, written small.
_SMALL = frozenset(("v", "vs", "cf", "e.g", "i.e", "viz", "nos", "pp", "cl", "subd"))
#: Words that citations shorten: reporters, courts, parties, states, months, kinds of rules and books.
_SHORTENED_WORDS = """
    a aff affd ala alaska am ams ann apart ariz ark assn assoc asst atl atty aug auth ave bd bhd bldg blvd bros bull bus
    c cal cas cir cl cls cmty co colo comm commn commr comms comp conf conn consol const constr contl coop
    corp corr ct ctr ctrs cts cty ctys d dec def defs del dep dept depts det dev dig dist distrib div dkt doc
    docs e ecf econ educ elec emp empt eng engg enters envtl eq equal equip est exch exec f feb fin fla found
    frt ga gen govt grp guar haw hist hosp hous hr i ill inc ind indem indep indus info ins inst instn intl
    inv j jan jr jud juris jurs kan ky l la lab law legis liab llc lp ltd m mach machs mag maint mar mass md
    me mech med mem mfg mfr mgmt mich minn misc miss mkt mktg mo mont mortg mun mut n nat natl neb nev nov o
    oct okla op org p pa pac par pers petr pharm phil pl plan pls polit ppty prac pres priv prob proc prod
    prods prop prot pshp pub publg q r rd ref rehab rel res resp rest ret rev rptr rr ry s sav sch scis sec
    secs sept serv servs soc spec sr st stan summ sup super supt sur surg sys tax tchr tech tel tenn tex tr transp
    treas trib twp u unempl unif univ util va vet vill vt w wash wis wyo y yale
"""
_SHORTENED = _BEFORE_SOMETHING | frozenset(_SHORTENED_WORDS.split())
#: Shortened words that follow names, which may be shortened in a way that is in no list.
_AFTER_NAMES = frozenset(("assn", "assocs", "bros", "co", "corp", "inc", "ltd", "mfg", "ry"))
_COMPANIES = frozenset(("LLC", "LLP", "LP", "PLLC"))
#: No sentence begins with these.
_INNER = frozenset(("cir", "ct", "dept", "dist", "div", "supp"))
#: Whatever follows these belongs to them.
_ALWAYS = frozenset(("cf", "v", "vs", "dr", "mr", "mrs", "ms", "messrs", "prof", "e.g", "i.e", "viz"))
#: A word that ends as only shortened ones and some names do: `Hgts`, `Merchs`.
_CLIPPED = re.compile(r"[A-Z][a-z]{0,3}[b-df-hj-np-tv-xz]{3}")
#: Characters in which the last word is looked for, what may stand behind its full stop, and what before it.
_LONGEST = 40
_CLOSING = " \n\t\"'”\u2019)]"
_OPENING = re.compile(r"[(\[“\"\u2018—\u2013/]")
#: What a sentence goes on with after a shortened word.
_CONTINUED = re.compile(r"[%§¶]|\d|\((?:\d|[a-z]\)|[A-Z][\w.]*\s\d|[Cc]iting|[Qq]uoting|en banc)")
_WORD = re.compile(r"[\"'“\u2018(\[]*([^\W\d_]+)(\.?)")
_STARTERS_WORDS = """
    a accordingly after all also although among an and another any appellant appellants appellee appellees as
    assuming at because before both but by congress consequently counsel court courts defendant defendants
    despite did does during each either even every few finally first following for from further furthermore
    given had has have having he hence her here his how however i if in indeed instead is it its just last
    lastly later like likewise many meanwhile moreover most my neither nevertheless next no nobody none
    nonetheless nor not nothing now of often on once one only or other others our out over petitioner
    petitioners plaintiff plaintiffs rather regardless respondent respondents second see several she similarly
    since so some still such that the their then there thereafter therefore these they third this those though
    three through throughout thus to today together two under unless unlike until upon was we were what
    whatever when where whereas whether which while who whose why with within without yes yet you your
"""
_STARTERS = frozenset(_STARTERS_WORDS.split())


def goes_on(before: str, after: str) -> bool:
    """Whether a sentence goes on after the full stop at the end of `before`, with the words of `after`.

    Only the last word of the one and the first of the other are looked at.
    """
    word, after = _shortened_word(before), after.lstrip()
    if not word or not after:
        return False
    if after[0].islower() or after[0] in "&,;:)]":
        return True
    first = _WORD.match(after)
    if word.lower() in _ALWAYS or (first and _is_inner(first, word)):
        return True
    if not _is_shortened(word):
        return False
    if _CONTINUED.match(after):
        return True
    return first is not None and (bool(first[2]) or first[1].lower() not in _STARTERS)


def breaks_off(text: str) -> bool:
    """Whether a text ends with a shortened word that never is the last of a sentence: `Fed.`, `No.`, `Dr.`, `v.`"""
    word = _shortened_word(text)
    last = word.rpartition(".")[2]
    return word in _SMALL or (last[:1].isupper() and last.lower() in _BEFORE_SOMETHING)


def _shortened_word(text: str) -> str:
    """What stands before the full stop at the end of a text, back to white space or an opening mark, such as `R.Civ.P`.

    Empty if the text ends otherwise.
    """
    bare = text[-_LONGEST:].rstrip(_CLOSING)
    if not bare.endswith("."):
        return ""
    word = bare.rsplit(None, 1)[-1][:-1]
    return word if word.isalpha() else _OPENING.split(word)[-1]


def _is_inner(first: re.Match[str], before: str) -> bool:
    """Whether a word goes on with a name or a citation."""
    if first[2] and first[1].lower() in _INNER:
        return True
    named = first[1] in _COMPANIES or (bool(first[2]) and first[1].lower() in _AFTER_NAMES)
    return named and before[0].isupper()


def _is_shortened(word: str) -> bool:
    """Whether a word before a full stop is shortened: initials, `R.Civ.P`, `F.2d`, `Int'l`, or one of the list."""
    if not word[0].isupper():
        return word in _SMALL
    if "." in word or len(word) == 1:
        return True
    bare = word.replace("'", "").replace("\u2019", "").lower()
    return bare in _SHORTENED or bool(_CLIPPED.fullmatch(word))
