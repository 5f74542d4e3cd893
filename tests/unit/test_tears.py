"""The judge of torn prose: what it objects to, and what it leaves alone. Its verdicts, not the cleaner's."""

from __future__ import annotations

import pytest

from courtlistener_assets.text.tears import Tears, breaks_sentence, faults, tears_of

BEFORE = "The owner of the barge had been told of the storm on the evening before it sank, and he did nothing about it."
AFTER = "The court found that he was negligent, and that finding is not clearly erroneous on the record before us."


def torn(text: str) -> int:
    return tears_of(text).torn


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("The owner of the barge knew that a storm was coming to the", "harbor, and he left it at the pier."),
        ("That motion was denied by the court in a case against the Wells", "Real Estate Company, which had sold it."),
        ("It was decided in the same way by the court in Conway v.", "Carver, which we follow here."),
        ("A new trial is a matter for the court. See Conway v. Carver", "Corp., 825 F.2d 593, 598, and what it says."),
        ("We said so in the case of the barge (Conway v. Carver, 1st", "Cir. 1987) and in others since then."),
        ("The regulation is one of those that are found in 26", "U.S.C. 333, which the parties have cited to us."),
        ("The motion, he says, was made under Fed.", "R. Civ. P. 50 and is therefore not before us."),
    ],
)
@pytest.mark.parametrize("gap", ["\n\n", "\n"])
def test_a_break_inside_a_sentence_is_torn(before, after, gap):
    assert torn(f"{BEFORE}\n\n{before}{gap}{after}\n\n{AFTER}") == 1


def test_a_citation_that_goes_over_a_break_is_torn_behind_a_dot_too():
    assert torn(f"{BEFORE}\n\nIt was held so in Carver v. Wolfe, 12 Cal.\n\nApp. 4th 33 (1999).\n\n{AFTER}") == 1
    assert (
        torn(f"{BEFORE}\n\nIn the case of the barge the court held,\n\nand it was right, that he was.\n\n{AFTER}") == 1
    )


@pytest.mark.parametrize(
    "part",
    [
        "DISCUSSION",
        "II.",
        "A. The Motion for a New Trial",
        "1. The barge was at the pier on the evening of the storm, and the owner was at home.",
        "(a) the owner of the barge, and any person who is in charge of it; or\n\n(b) the person who has let it.",
        "The statute provides that\n\n[t]he owner of a barge is liable for the damage that it does.",
        "The statute says:\n\nno barge shall be left at a pier in the time of a storm.",
        "Respectfully submitted,\n\nAda Carver\n\nAttorney for the Owner of the Barge",
        "ADA CARVER, Plaintiff,\n\nv.\n\nROWAN WOLFE, as owner of the barge, Defendant.",
        "A person is liable who has let the barge; and\n\n“(2) any person who has left it at a pier in a storm.”",
        "Filing fee\t$402\nService of process\t$65\nTranscript\t$1,204",
        "The statute of that year punishes the\n\nknowing[] leaving of a barge ... [at] a pier in the time of a storm.",
        "He has no claim, as we observed in Carver,\n\nwhile the barge was at the pier nobody had been hurt by it.",
        "He is told of it by the words of the fourth one. U.S. Const. amend. IV. The barge was not in the harbor then.",
        "The court has read the papers, and it is\n\nORDERED that the motion for a new trial is denied.",
        "I have sent a copy of this to all of the parties on the day below\n\n/s/ Ada Carver",
        "The owner was asked whether he had seen the barge, and his answer to that was “No.”\n\nHe has not changed it.",
        "12 It was said before that the barge was there. Id.\n\n13 We have no reason to think that it was not.",
        'He was told so.12\n\n"And he knew it," said the witness.\n\nWas it a storm?',
        "He said of it at the trial:\n\nI saw it in the harbor, and it was not at the pier.\n\nApp. I, Tab 1, at 40.",
        "The owner is liable if the barge was let to him.\n\nP.R. Laws Ann. tit. 32, R. 69(B) (repealed 2004).",
        "In the first of the remarks to the jury, the prosecutor said,\n\nUnfortunately for the owner, he had left it.",
        "He may be told of it by the court. 32 L.P.R.A. App. III. The measures that may be ordered are the same.",
        "(a) The Duty of the Owner of a Barge to the Owner of a Pier\t300\n(b) Whether He Was in the Harbor\t301",
    ],
)
def test_what_an_author_parts_is_sound(part):
    found = tears_of(f"{BEFORE}\n\n{part}\n\n{AFTER}")
    assert (found.torn, found.tabs_in_prose, found.furniture_inside, found.joined) == (0, 0, 0, 0)
    assert found.breaks >= 2


def test_missing_stops_of_a_publisher_are_no_tears():
    notes = ["The record shows that it was raining", "Judge Swan agrees with this part of it"] * 3
    assert torn("\n\n".join([BEFORE, *notes, "The other notes are not in the record", AFTER, *notes[:3]])) <= 0


def test_names_are_torn_where_other_sentences_are():
    name = "He had been seen at the pier by the clerk and by Rowan\n\nWolfe told the court of it in a letter."
    certain = "The owner of the barge knew of the\n\nstorm that was coming to the harbor."
    assert torn(f"{certain}\n\n{name}") == 2


@pytest.mark.parametrize(
    "line", ["12", "- 12 -", "Page 12", "Case 1:20-cv-00001 Document 9 Filed 01/02/20 Page 3 of 9"]
)
def test_furniture_between_halves_of_a_sentence_counts_with_the_tear(line):
    found = tears_of(f"{BEFORE}\n\nThe owner of the barge was told of the\n\n{line}\n\nstorm by the clerk.\n\n{AFTER}")
    assert (found.torn, found.furniture_inside) == (1, 1)


def test_furniture_between_sentences_does_not():
    assert tears_of(f"{BEFORE}\n\n12\n\n{AFTER}").furniture_inside == 0


@pytest.mark.parametrize(
    "inside",
    [
        "the *411 storm",
        "the *411storm",
        "the [*2] storm",
        "the [100 A.3d 1005] storm",
        "the Case 1:20-cv-00001 Document 9 Filed 01/02/20 Page 3 of 9 storm",
    ],
)
def test_pages_and_stamps_inside_a_line_count(inside):
    assert tears_of(f"{BEFORE}\n\nThe owner of the barge was told of {inside} by the clerk.").furniture_inside == 1


def test_numbers_of_figures_are_no_numbers_of_lines():
    lines = [f"what is shown in figure {number} to paragraph (h) of the rule" for number in range(3, 12)]
    assert tears_of(f"{BEFORE} {' and '.join(lines)}.").furniture_inside == 0


@pytest.mark.parametrize(
    "cited", ["So it was in Conway, 2017 WL 6453326, *5 [SDNY 2017].", "It has read the report (Filed 10/11/17) of it."]
)
def test_what_is_cited_is_no_furniture(cited):
    assert tears_of(f"{BEFORE} {cited}").furniture_inside == 0


def test_the_numbers_of_what_has_a_name_are_no_numbers_of_lines():
    entries = [f"{day}/05/1871\tBarge {day} as it was seen at the pier by the clerk" for day in range(1, 9)]
    assert tears_of("\n".join([BEFORE, *entries])).furniture_inside == 0
    lines = [f"the barge was at the pier in the time of the storm {line} and was lost" for line in range(1, 9)]
    assert tears_of("\n".join([BEFORE, *lines])).furniture_inside == 8


def test_a_page_of_a_database_is_no_furniture():
    assert tears_of(f"{BEFORE} So it was in Conway, 2008 WL 190364, at *4, which we follow.").furniture_inside == 0


def test_numbers_of_lines_count():
    lines = ["and the owner of the barge was told of it by the clerk"] * 6
    text = " ".join(f"{line} {number}" for number, line in enumerate(lines, 7))
    assert tears_of(f"{text} at the pier.").furniture_inside >= 5
    assert tears_of(f"{BEFORE} He was 20 then and had 3 barges and 28 men.").furniture_inside == 0


def test_labels_of_footnotes_are_no_numbers_of_lines():
    notes = [f"{number} The owner was told of it by the clerk, and he did nothing at all." for number in range(1, 9)]
    assert tears_of("\n\n".join([BEFORE, *notes])).furniture_inside == 0


def test_a_head_that_comes_again_and_again_counts():
    halves = ["The owner was told of it No. 21-50498 by the clerk."] * 3
    assert tears_of("\n\n".join(halves)).furniture_inside == 3
    assert tears_of(halves[0]).furniture_inside == 0


def test_tabs_in_prose_count():
    assert tears_of("of\tthe\tstorm,\tand\tthe\towner").tabs_in_prose >= 3
    assert tears_of("He was acquitted on the other counts.\tWe see no error in that finding.").tabs_in_prose == 1
    assert tears_of("17\tThis matter came before the court on the petition of the owner.").tabs_in_prose == 1


@pytest.mark.parametrize(
    "text",
    [
        f"{BEFORE} DISCUSSION The court found that he was negligent.",
        f"{BEFORE} II. The court found that he was negligent.",
        "The owner of the barge was told. " * 500,
        f"CERTIFICATE OF SERVICE The owner was told of it.\n\n{BEFORE}",
        f"{BEFORE} Damages and the Standard of Review",
        f"{BEFORE} A The court found that he was negligent.",
    ],
)
def test_what_is_run_together_is_joined(text):
    assert tears_of(text).joined == 1


def test_headings_by_themselves_are_not_joined():
    headings = ["DISCUSSION", "II. The Duty of the Owner", "A. Standard of Review", "Conway v. City of Yakima"]
    assert tears_of(f"\n\n{AFTER}\n\n".join(headings)).joined == 0


def test_counts_add_up_and_an_empty_text_has_none():
    assert tears_of("") == Tears()
    assert Tears().torn_share == 0.0
    assert Tears(4, 1, 2, 3, 1) + Tears(4, 1, 0, 0, 0) == Tears(8, 2, 2, 3, 1)
    assert (Tears(4, 1) + Tears(4, 1)).torn_share == 0.25


def test_faults_name_places():
    text = f"{BEFORE}\n\nThe owner was told of the\n\nstorm by the clerk."
    [place] = [fault.position for fault in faults(text) if fault.kind == "torn"]
    assert text[place:].startswith("storm")


def test_two_texts_can_be_judged_without_others():
    assert breaks_sentence("It sank.\n\nThe owner was told of the\n\n", "storm by the clerk.")
    assert not breaks_sentence("The owner was told of it.\n\n", "He did nothing.")
    assert not breaks_sentence("", "He did nothing.")
