"""The README walked in the real UI: choose, launch, watch, cancel, resume, see what failed, requeue it.

The steps follow each other: what one has downloaded, the next one finds.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.acceptance.dev_process import ASKING, Dev, eventually
from tests.walk.conftest import Server
from tests.walk.ui import LATER, Ui

pytestmark = pytest.mark.timeout(900)

ENTRIES = "/api/rest/v4/docket-entries/"


@pytest.fixture(scope="module")
def failing(server: Server) -> int:
    """A docket of scotus in January that the server cannot show."""
    docket = server.dockets("scotus", "2024-01")[2]
    server.strike(kind="poison", endpoint="dockets", object_id=docket)
    return docket


def test_a_newcomer_downloads_a_month_from_the_asset_graph(ui: Ui, failing: int) -> None:
    ui.open()
    ui.group("downloads")
    dialog = ui.materialize_all(4)
    ui.choose(dialog, "scotus", "2024-01-01")
    expect(dialog).to_contain_text("1 partition")
    ui.launch(dialog, "Launch")
    ui.expect_status("Success")


def test_a_backfill_that_is_terminated_resumes_without_asking_twice(ui: Ui, dev: Dev, server: Server) -> None:
    # In the middle of a month, which the other two do not wait for.
    server.strike(kind="timeout", path_prefix=ENTRIES, after=4, times=1, seconds=400)
    months = dev.materialized("docket_entries") + 2
    launch_three_months(ui)
    ui.picture("backfill")
    ui.run_of_backfill()
    expect(ui.page.get_by_text("Executing (1)")).to_be_visible(timeout=LATER)
    assert eventually(lambda: dev.materialized("docket_entries") == months, 180, pause=ASKING)
    assert server.requests()[-1]["path"].startswith(ENTRIES)
    ui.picture("run")
    before = server.requests()
    ui.terminate()
    assert server.requests() == before

    launch_three_months(ui)
    ui.run_of_backfill()
    ui.expect_status("Success")
    served = {entry["path"] for entry in before if entry["status"] == 200 and not entry["fault"]}
    again = [entry["path"] for entry in server.requests()[len(before) :]]
    assert not served & set(again)
    assert [path for path in again if path.startswith(ENTRIES) and "date_modified" not in path]
    ui.asset("docket_entries", "Partitions")
    ui.expect("Materialized (4)")
    ui.partition("docket_entries", "ca9|2024-02-01")
    ui.expect("current_as_of")
    ui.picture("partitions")


def launch_three_months(ui: Ui) -> None:
    """*Jobs*, `court_month`, *Materialize all…*, a court and months, *Launch backfill*."""
    ui.job("court_month")
    dialog = ui.materialize_all(5)
    ui.choose(dialog, "ca9", "[2024-01-01...2024-03-01]")
    expect(dialog).to_contain_text("3 partitions")
    ui.picture("launch")
    ui.launch(dialog, "Launch backfill")
    expect(ui.page.get_by_text("3 partitions").first).to_be_visible()


def test_a_failed_docket_is_seen_requeued_and_turns_green(ui: Ui, server: Server, failing: int) -> None:
    ui.asset("failed_dockets", "Checks")
    ui.expect("1 failed dockets were given up")
    ui.asset("failed_dockets", "Overview")
    ui.expect(f"dockets docket {failing} of scotus|2024-01-01")
    ui.picture("failed-dockets", height=1280)

    server.recover()
    ui.job("requeue_dead_dockets")
    ui.launch_job("{ops: {requeue_dead: {config: {docket_ids: [%d]}}}}" % failing)  # noqa: UP031
    ui.expect_status("Success")
    ui.menu("Runs")
    ui.expect("retry_failed_dockets")
    ui.picture("runs", height=860)
    ui.asset("failed_dockets", "Checks")
    ui.expect("Passed")
    ui.asset("dockets", "Checks")
    ui.expect("scotus|2024-01-01")
    ui.expect("Passed")


def test_the_quota_is_drawn(ui: Ui) -> None:
    ui.asset("quota_usage", "Overview")
    ui.launch(ui.page, "Materialize")
    ui.expect_status("Success")
    ui.asset("quota_usage", "Overview")
    ui.expect("forecast")
    ui.picture("quota", width=1700, height=1250)
    ui.button("Plots")
    ui.expect("requests_left")
    ui.picture("quota-plots", height=1500)


@pytest.mark.pictures
def test_pictures_of_what_the_walk_does_not_meet(ui: Ui, checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    def materialize(assets: str, *options: str, **environ: str) -> None:
        command = ["courtlistener", "run", "dagster", "asset", "materialize", "-m", "courtlistener_assets.definitions"]
        command += ["--select", assets, *options]
        subprocess.run(command, cwd=checkout, env={**stranger_environ, **environ}, check=False)

    ui.open()
    # Too impatient for a quota that is used up, and resumed by the sensor.
    materialize("dockets,clusters", "--partition", "scotus|2024-03-01", COURTLISTENER_MAX_WAIT_SECONDS="0.1")
    materialize("completeness")
    ui.menu("Automation")
    ui.expect("resume_deferred")
    ui.picture("automation", height=960)
    ui.partition("vector_inputs", "ca9|2024-02-01")
    ui.expect("added_chunks")
    ui.picture("vector-inputs", height=1120)
    ui.asset("completeness", "Checks")
    ui.expect("dockets_complete")
    ui.page.locator("tr:has-text('sweeps') >> text=/Show Markdown/i").first.click()
    ui.picture("completeness", height=900)
    ui.button("Close")
    ui.asset("dockets", "Events")
    ui.page.get_by_text("scotus|2024-03-01").first.click()
    ui.picture("deferred", height=760)
    ui.graph("downloads", "vector_inputs")
    ui.expect("docket_entries")
    ui.picture("asset-graph", width=1700, height=1400)
