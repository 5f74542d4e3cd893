"""The table of docs/failures.md is the one that `make trouble` makes, and its stage works."""

from __future__ import annotations

from courtlistener_assets.devkit.servers.postgres_server import PostgresServer
from courtlistener_assets.devkit.servers.redis_server import RedisServer
from tests.trouble.cases import CASES
from tests.trouble.play import Theatre
from tests.trouble.table import BEGIN, COLUMNS, END, PAGE
from tests.trouble.week import RATES


def test_the_page_has_the_table_with_a_row_for_each_case() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    made, _, after = rest.partition(END)
    assert after, f"{PAGE.name} has no place for the table: run make trouble"
    rows = [[cell.strip() for cell in line.split(" | ")] for line in made.splitlines() if line.startswith("| ")]
    assert rows[0] == [f"| {COLUMNS[0]}", *COLUMNS[1:-1], f"{COLUMNS[-1]} |"]
    assert [row[0].removeprefix("| ") for row in rows[1:]] == [case.name for case in CASES]
    assert [row[-1].removesuffix(" |") for row in rows[1:]] == [case.remains for case in CASES]
    assert f"`{RATES}`" in made


def test_a_case_is_played_in_simulated_time(postgres_server: PostgresServer, redis_server: RedisServer) -> None:
    case = next(case for case in CASES if case.name.startswith("a page of"))
    result = Theatre(postgres_server, redis_server).play(case)
    assert result.runs >= 1
    assert result.settled_hours is not None
    assert 1 <= result.requests <= 12
