"""Chunks of another kind than prose are told apart, and prose is never called anything else."""

from __future__ import annotations

import random
import time

import pytest

from courtlistener_assets.chunks.quality import quality_of

PROSE = (
    "The storm took the pier in the night, and the owner of the ferry asked the county to build it again. The county "
    "declined, since the owner of a ferry has no right to the use of a pier that was built by the public. See Roe v. "
    "County, 12 F.3d 345, 347 (9th Cir. 1994). We agree with the county and affirm the judgment of the district court."
)
TABLE = "Lock\tBuilt\tCost\nFirst\t1831\t$12,000\nSecond\t1833\t$9,500\nThird\t1840\t$22,750\nFourth\t1844\t$7,125"
AUTHORITIES = """TABLE OF AUTHORITIES

Cases

Adler v. Birch, 123 U.S. 456 (1887)\t4, 7
Cedar Co. v. Dogwood, 45 F.3d 678 (2d Cir. 1995)\tpassim
Elm v. Fir, 9 F. Supp. 2d 101 (D. Vt. 1999)\t12
In re Gum, 77 N.E.2d 88 (N.Y. 1948)\t3

Statutes

28 U.S.C. § 1331\t1
42 U.S.C. § 1983\t2, 5"""
CITATIONS = (
    "See Adler v. Birch, 123 U.S. 456, 460 (1887); Cedar Co. v. Dogwood, 45 F.3d 678, 680 (2d Cir. 1995); Elm v. Fir, "
    "9 F. Supp. 2d 101, 104 (D. Vt. 1999); Gum v. Hazel, 77 N.E.2d 88, 90 (N.Y. 1948)."
)
SIGNATURE = """Respectfully submitted,

/s/ Ivy Juniper
Ivy Juniper (Bar No. 12345)
KAPOK & LARCH LLP
12 Maple Street, Suite 3
Springfield, VT 05156
Telephone: (802) 555-0142
ivy@kapok.example
Attorneys for Plaintiff"""
SERVICE = (
    "CERTIFICATE OF SERVICE\n\nI hereby certify that on the 3rd of March, 2021, I filed the foregoing with the Clerk "
    "of the Court by CM/ECF, and that a true and correct copy of it was served by first-class mail on the counsel of "
    "record.\n\n/s/ Ivy Juniper"
)
NOISE = ") i; ~~ W e'' l|| ;:: -. }{ rn1 ]] x; (( ~1 ;- q% .; ee~ ]; tt: !; '; l; ;;~ 4; =) _~ ;x u| \\ ~; =,; i;~"
CAPTION = """UNITED STATES DISTRICT COURT
DISTRICT OF VERMONT

IVY JUNIPER, Plaintiff,
v.
KAPOK AND LARCH, INC., Defendant.

Case No. 2:21-cv-00123
Before Maple, Circuit Judge
COMPLAINT"""


@pytest.mark.parametrize(
    ("text", "quality"),
    [
        (PROSE, "prose"),
        (TABLE, "table"),
        (AUTHORITIES, "authorities"),
        (CITATIONS, "authorities"),
        (SIGNATURE, "signature"),
        (SERVICE, "signature"),
        (NOISE, "ocr_noise"),
        (CAPTION, "prose"),
        ("Affirmed.", "prose"),
        ("II.", "prose"),
        ("", "prose"),
        ("The pier is 12\t34\t56\tfeet long.", "prose"),
        ("码头在夜里被风暴冲走了。法院维持原判。", "prose"),
        ("EVERY MEMBER MUST PAY THE FEE BEFORE THE FIRST OF MARCH. NO EXCEPTIONS.", "prose"),
    ],
)
def test_most_of_the_text_decides(text: str, quality: str) -> None:
    assert quality_of(text) == quality


def test_prose_stays_prose_with_a_row_a_signature_or_a_citation_in_it() -> None:
    assert quality_of(f"{PROSE}\n\nFirst\t1831\t$12,000\n\n{PROSE}") == "prose"
    assert quality_of(f"{PROSE}\n\n{PROSE}\n\n{SIGNATURE}") == "prose"
    assert quality_of(f"{PROSE} {CITATIONS}") == "prose"
    assert quality_of(f"{PROSE}\n\nI hereby certify that a copy was served.") == "prose"


def test_no_text_takes_long() -> None:
    chance = random.Random(3)
    texts = [unit * 2000 for unit in ("(a", "1 A", "A.", "a@", "\n_", "\t\n", "x" * 3, "Dated ", ". ", "(1 ", "s/ ")]
    texts += ["".join(chance.choice("aA1 .\n\t(§@-/") for _ in range(6000)) for _ in range(5)]
    begun = time.process_time()
    for text in texts:
        quality_of(text)
    assert time.process_time() - begun < 2
