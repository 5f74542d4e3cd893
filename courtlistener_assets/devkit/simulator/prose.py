"""Legal prose made up from a small grammar: sentences that a chunker can be tried on.

Belongs here: words, sentences, paragraphs. Does not belong here: the formats they are served in (`markup.py`).
Everything comes from the generator that is passed in, so that the same seed gives the same text everywhere.
"""

from __future__ import annotations

import random

_SURNAMES = ("Alvarez", "Bauer", "Castañeda", "Delgado", "Eriksson", "Fitzgerald", "Grünwald", "Hollis", "Ibarra",
             "Jansen", "Kowalski", "Laurent", "Márquez", "Nakamura", "O'Brien", "Pâquet", "Quigley", "Rosenthal",
             "Sørensen", "Tran", "Ueda", "Vasquez", "Whitfield", "Yilmaz", "Zamora")  # fmt: skip
_COMPANIES = ("Northfield Savings Bank", "Harbor Freight Lines, Inc.", "Meridian Health Plan", "Café Rivera LLC",
              "Tri-County Water District", "United States", "Commissioner of Internal Revenue", "Atlas Casualty Co.",
              "City of San José", "Department of Labor")  # fmt: skip
_REPORTERS = ("410 U.S. 113", "467 U.S. 837", "550 U.S. 544", "556 U.S. 662", "512 F.3d 1187", "129 F.3d 143",
              "98 F.4th 320", "301 F. Supp. 2d 499", "144 S. Ct. 2244", "2023 WL 4567891")  # fmt: skip
_STATUTES = ("28 U.S.C. § 1331", "42 U.S.C. § 1983", "5 U.S.C. § 706(2)(A)", "Fed. R. Civ. P. 12(b)(6)",
             "Fed. R. Civ. P. 56(a)", "Fed. R. App. P. 4(a)(1)", "18 U.S.C. §§ 1961–1968",
             "29 C.F.R. § 541.100")  # fmt: skip
_PARTIES = ("the plaintiff", "the defendant", "the petitioner", "the respondent", "the agency", "the debtor",
            "the insurer", "the district court", "the magistrate judge", "the Secretary")  # fmt: skip
_VERBS = ("argued", "conceded", "maintained", "found", "concluded", "contended", "held", "represented", "acknowledged")
_CLAIMS = ("the notice was defective on its face", "no genuine dispute of material fact remained",
           "the limitations period had run before the complaint was filed", "the statute does not reach such conduct",
           "the contract was unambiguous", "the search exceeded the scope of the warrant",
           "jurisdiction was lacking under the well-pleaded complaint rule", "the rule was arbitrary and capricious",
           "the evidence, viewed as a whole, was insufficient",
           "its naïve reading of the clause could not be squared with the text")  # fmt: skip
_REASONS = ("because the record is silent on the point", "although the parties had agreed otherwise",
            "as ¶ 14 of the amended complaint makes plain", "notwithstanding the earlier stipulation",
            "for the reasons given in Part II", "even if the deference owed to the agency is set aside",
            "since nothing in the résumé of proceedings suggests the contrary")  # fmt: skip
_HOLDINGS = ("That conclusion was error.", "We agree.", "We review the question de novo.", "The judgment is affirmed.",
             "It is so ordered.", "That is not the law.", "The motion is denied without prejudice.",
             "Nothing more was required.")  # fmt: skip
_SIGNALS = ("See", "See also", "Cf.", "But see", "Accord")


def case_name(chance: random.Random) -> str:
    """`Alvarez v. Atlas Casualty Co.`"""
    other = chance.choice(_COMPANIES) if chance.random() < 0.6 else chance.choice(_SURNAMES)
    return f"{chance.choice(_SURNAMES)} v. {other}"


def surname(chance: random.Random) -> str:
    return chance.choice(_SURNAMES)


def sentence(chance: random.Random) -> str:
    """Return one sentence, with its full stop."""
    luck = chance.random()
    if luck < 0.12:
        return chance.choice(_HOLDINGS)
    if luck < 0.3:
        return f"{chance.choice(_SIGNALS)} {case_name(chance)}, {_cited(chance)}."
    subject = chance.choice(_PARTIES)
    claim = f"{subject[0].upper()}{subject[1:]} {chance.choice(_VERBS)} that {chance.choice(_CLAIMS)}"
    if luck < 0.6:
        return f"{claim}, {chance.choice(_REASONS)}."
    if luck < 0.8:
        return f"Under {chance.choice(_STATUTES)}, {claim[0].lower()}{claim[1:]}."
    if luck < 0.92:
        return (
            f"{claim}; {chance.choice(_PARTIES)} {chance.choice(_VERBS)} otherwise, citing {chance.choice(_STATUTES)}."
        )
    return f"“[T]he question,” as {surname(chance)} put it, “is whether {chance.choice(_CLAIMS)}.”"


def _cited(chance: random.Random) -> str:
    return f"{chance.choice(_REPORTERS)}, {chance.randrange(2, 900)} ({chance.randrange(1951, 2024)})"


def paragraphs(chance: random.Random, characters: int) -> list[str]:
    """Return paragraphs of three to seven sentences, of at least so many characters in sum."""
    found: list[str] = []
    while characters > 0:
        found.append(" ".join(sentence(chance) for _ in range(chance.randrange(3, 8))))
        characters -= len(found[-1])
    return found
