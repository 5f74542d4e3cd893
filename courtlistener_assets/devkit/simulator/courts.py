"""Courts that the simulated server knows.

Belongs here: a small table. Does not belong here: dockets.
"""

from __future__ import annotations

from courtlistener_assets.devkit.simulator.shapes import Record, court

_CIRCUITS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth", "Eleventh")
_DISTRICTS = {
    "nysd": ("S.D.N.Y.", "S.D. New York", 127), "nyed": ("E.D.N.Y", "E.D. New York", 123),
    "cand": ("N.D. Cal.", "N.D. California", 63), "cacd": ("C.D. Cal.", "C.D. California", 60),
    "dcd": ("D.D.C.", "District of Columbia", 84), "ilnd": ("N.D. Ill.", "N.D. Illinois", 96),
    "txsd": ("S.D. Tex.", "S.D. Texas", 155), "mad": ("D. Mass.", "D. Massachusetts", 109),
}  # fmt: skip
_ORDINALS = ("1st", "2d", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th", "11th")


def known_courts() -> list[Record]:
    """The Supreme Court, the courts of appeals and some district courts, by position."""
    supreme = court(
        "scotus", position=1.0, citation_string="SCOTUS", short_name="Supreme Court", jurisdiction="F",
        full_name="Supreme Court of the United States", url="http://supremecourt.gov/", start_date="1789-09-24",
        has_opinion_scraper=True, has_oral_argument_scraper=True,
    )  # fmt: skip
    circuits = [_circuit(f"ca{n + 1}", _ORDINALS[n], f"{name} Circuit", 2.0 + n) for n, name in enumerate(_CIRCUITS)]
    circuits.append(_circuit("cadc", "D.C.", "District of Columbia Circuit", 13.0))
    circuits.append(_circuit("cafc", "Fed.", "Federal Circuit", 14.0))
    districts = [
        court(
            court_id, position=200.0 + n, citation_string=cited, short_name=name, full_name=f"District Court, {name}",
            pacer_court_id=number, url=f"http://www.{court_id}.uscourts.gov/",
        )
        for n, (court_id, (cited, name, number)) in enumerate(_DISTRICTS.items())
    ]  # fmt: skip
    return [supreme, *circuits, *districts]


def _circuit(court_id: str, ordinal: str, name: str, position: float) -> Record:
    return court(
        court_id, position=position, citation_string=f"{ordinal} Cir.", short_name=name, jurisdiction="F",
        full_name=f"Court of Appeals for the {name}", url=f"http://www.{court_id}.uscourts.gov/",
        has_opinion_scraper=True, has_oral_argument_scraper=True,
    )  # fmt: skip
