"""`courtlistener watch`: what it shows on a terminal, in a file and to machines, and how often it looks."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from courtlistener_assets.devkit.session.dagster_log import is_broken, last_lines, logged
from courtlistener_assets.operations.remaining import Remaining
from courtlistener_assets.operations.watch.lines import Lines
from courtlistener_assets.operations.watch.loop import pause_after, watch
from courtlistener_assets.operations.watch.screen import screen
from courtlistener_assets.operations.watch.view import BackfillView, Bar, Downloads, Runs, Trouble, View, as_json
from resources.quota.report import AccountReport, WindowReport

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
LEFT = Remaining(340, 6 * 3600.0, NOW)
ACCOUNT = AccountReport("acc", holder="redis", granted_by={"redis": 48}, windows=(WindowReport(50, 3600, 48, 0, 0.0),))
DOWNLOADS = Downloads(
    account=ACCOUNT,
    bars=[Bar("dockets", 12, 36)],
    left=LEFT,
    failures={"waiting": 2, "claimed": 0, "dead": 1},
    troubles=[
        Trouble(NOW, "opinions scotus|2024-01-01 docket 7", "TransientApiError: the server said [/red] \x1b[2J", True)
    ],
)
VIEW = View(NOW, DOWNLOADS, Runs([BackfillView("abcdefgh", "court_month", NOW, [Bar("dockets", 2, 3)], LEFT)], 1, 2))


class Enough(Exception):
    """Nobody looks any more."""


def shown(*views: View, terminal: bool = False, json: bool = False, once: bool = False) -> str:
    """What is printed while these are seen, one after the other."""
    output, coming = io.StringIO(), iter(views)
    left = [len(views)]

    def wait(seconds: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise Enough

    console = Console(file=output, force_terminal=terminal, width=100, height=60)
    with contextlib.suppress(Enough):
        watch(lambda: next(coming), console, json=json, once=once, wait=wait)
    return output.getvalue()


def test_a_terminal_shows_backfills_windows_failures_and_when_it_is_done() -> None:
    text = shown(VIEW, terminal=True)
    for said in ("Backfill abcdefgh of court_month", "2 of 3", "12 of 36", "48 of 50; room now", "1 given up"):
        assert said in text
    assert "340 more requests, 6 h under the account's windows: done about 2026-03-02 12:00 UTC" in text


def test_whatever_a_server_says_is_text_and_moves_no_cursor() -> None:
    for text in (shown(VIEW, terminal=True), shown(VIEW)):
        assert "the server said [/red]" in text
        assert "\x1b[2J" not in text


def test_a_file_gets_a_line_when_something_has_changed_but_not_all_the_time() -> None:
    later = [replace(VIEW, at=NOW + timedelta(seconds=seconds)) for seconds in (2, 31, 601)]
    done = replace(later[1], runs=replace(VIEW.runs or Runs(), backfills=()))
    lines = shown(VIEW, later[0], done, later[2]).splitlines()
    assert [line.partition(" ")[2][:21] for line in lines] == [
        "Failed: opinions scot",
        "Backfill abcdefgh: do",
        "Downloads: dockets 12",
        "Backfill abcdefgh: do",
    ]


def test_what_fails_is_said_at_once_and_once() -> None:
    lines = Lines()
    lines.of(replace(VIEW, downloads=replace(DOWNLOADS, troubles=[])))
    assert [line for line in lines.of(VIEW) if "Failed" in line] != []
    assert [line for line in lines.of(VIEW) if "Failed" in line] == []


def test_machines_get_an_object_a_line() -> None:
    first, second = shown(VIEW, View(NOW, problems=["Postgres: down"]), json=True).splitlines()
    found = json.loads(first)
    assert found["backfills"][0]["assets"] == [{"asset": "dockets", "green": 2, "asked": 3}]
    assert (found["requests_left"], found["seconds_left"]) == (340, 6 * 3600)
    assert found["done_at"] == "2026-03-02T12:00:00+00:00"
    assert found["quota"]["windows"][0]["used"] == 48
    assert json.loads(second)["problems"] == ["Postgres: down"]
    assert json.loads(as_json(VIEW)).keys() == json.loads(second).keys()


def test_once_is_once() -> None:
    assert len(shown(VIEW, VIEW, json=True, once=True).splitlines()) == 1


def test_the_slower_a_look_is_the_rarer_it_is() -> None:
    assert pause_after(0.01) == 2.0
    assert pause_after(3.0) == 60.0


def test_nothing_to_see_can_be_seen() -> None:
    console = Console(file=io.StringIO(), record=True, width=100)
    console.print(screen(View(NOW)))
    assert "No request has been made yet." in console.export_text()


def test_an_account_is_called_blocked_only_if_it_is() -> None:
    """Of a backfill of vector inputs nothing is left to download, and before Postgres was read nothing is known."""
    of_text = BackfillView("abcdefgh", "", NOW, [Bar("vector_inputs", 2, 3)], None)
    for view in (replace(VIEW, runs=Runs([of_text])), View(NOW, problems=["Postgres: down"])):
        assert "blocked" not in shown(view, terminal=True)
    blocked = replace(DOWNLOADS, account=replace(ACCOUNT, blocked="by hand"), left=None)
    assert "nobody knows how long it takes" in shown(View(NOW, blocked), terminal=True)


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        (
            "\x1b[32m2026-03-02 06:00:00 +0000\x1b[0m - dagster.code_server - \x1b[31mERROR\x1b[0m - it does not load",
            True,
        ),
        ("2026-03-02 06:00:00 +0000 - dagster.daemon.SensorDaemon - ERROR - a sensor raised", True),
        ("2026-03-02 06:00:00 +0000 - dagster.code_server - INFO - Started", False),
        ("2026-03-02 06:00:00 +0000 - dagster-webserver - INFO - Received x.LOCATION_ERROR event for location y", True),
        ("2026-03-02 06:00:00 +0000 - dagster - ERROR - court_month - 6f - STEP_FAILURE - of a run", False),
    ],
)
def test_what_is_broken_comes_to_the_terminal(line: str, *, broken: bool) -> None:
    assert is_broken(line) is broken


def test_dagsters_log_goes_to_a_file(tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "logs" / "dagster-dev.log"
    with logged(file, said.append) as output, open(output, "wb", closefd=False) as pipe:
        pipe.write(b"a line\n" + b"2026-03-02 06:00:00 +0000 - dagster.code_server - ERROR - broken\n" * 3)
    assert len(last_lines(file)) == 4
    # Once a minute is enough.
    assert said == ["2026-03-02 06:00:00 +0000 - dagster.code_server - ERROR - broken"]
    assert last_lines(tmp_path / "none") == []
