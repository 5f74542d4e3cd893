"""The table and the week as docs/failures.md has them.

Belongs here: words and cells. Does not belong here: measuring.
"""

from __future__ import annotations

from pathlib import Path

from tests.trouble.play import Result

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"
BEGIN, END = "<!-- made by `make trouble`: begin -->", "<!-- made by `make trouble`: end -->"
COLUMNS = ("case", "requests spent on it", "noticed after", "what is seen", "left to a person")
_LONGEST_MESSAGE = 180


def row(result: Result) -> str:
    cells = (result.case.name, _requests(result), _noticed(result), _seen(result), result.case.remains)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def table(results: list[Result]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *map(row, results)]
    return "\n".join(lines)


def written(made: str) -> None:
    """Put the table and what follows it into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


def _requests(result: Result) -> str:
    if result.case.is_outage:
        return f"{result.first_hour} in the first hour, {result.requests} in all"
    if result.requests > result.when_met:
        return f"{result.when_met} when met, {result.requests - result.when_met} in all retries"
    return str(result.requests)


def _noticed(result: Result) -> str:
    seconds = result.noticed_seconds
    if seconds is None:
        return "nothing to notice"
    if seconds < 1:
        return "at once"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _seen(result: Result) -> str:
    first = result.seen[0] if result.seen else "a row of `failed_dockets`" if result.noticed_seconds is not None else ""
    said = first if len(first) <= _LONGEST_MESSAGE else f"{first[:_LONGEST_MESSAGE].rstrip()} …"
    said = said or "the run is green"
    return f"{said}; {result.dead} given up: the check `nothing_is_dead` is red" if result.dead else said
