"""`make demo`, as a stranger runs it: complete, without a refused request, and resumed where it was."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.dev_process import ASKING, eventually, start

FIGURES = {
    "dockets", "clusters", "opinions", "docket_entries", "recap_documents", "chunks", "requests", "refused",
    "requests_per_docket", "quota_waited_seconds", "seconds",
}  # fmt: skip

#: A quota that does not make the test wait, but still binds.
FAST = "ARGS=--rates 20/s,200/20s"


def demo(
    *options: str, cwd: Path, environ: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run the demo; returns how it ended and its figures."""
    ended = subprocess.run(
        ["make", "demo", *options],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    summary = cwd / ".demo" / "summary.json"
    return ended, json.loads(summary.read_text()) if summary.exists() else {}


def processes_of(checkout: Path) -> list[str]:
    """The command lines of all processes that have to do with a checkout."""
    lines = (" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    return [line for line in lines if str(checkout) in line]


@pytest.mark.timeout(420)
def test_the_demo_is_complete_a_second_one_sends_nothing_and_dev_opens_on_its_data(
    checkout: Path, stranger_environ: Mapping[str, str], tmp_path: Path
) -> None:
    # Settings of the real thing play no part: neither a token nor servers of its own.
    real = {"COURTLISTENER_API_TOKEN": "real", "POSTGRES_URL": "postgresql://127.0.0.1:1/none", "REDIS_HOST": "none"}
    ended, figures = demo(cwd=checkout, environ={**stranger_environ, **real})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Complete" in ended.stdout
    assert set(figures) >= FIGURES
    assert all(figures[name] > 0 for name in FIGURES - {"refused", "quota_waited_seconds"})
    assert figures["refused"] == 0
    assert figures["requests"] <= 1.05 * figures["fewest_requests"]
    assert figures["seconds"] < 120
    # Half of the months cost no request, and both costs are shown.
    bulk, api = figures["bulk"], figures["api"]
    assert (bulk["months"], api["months"], bulk["requests"]) == (3, 3, 0)
    assert bulk["objects"] > api["requests"] > 0
    assert bulk["seconds"] > 0 < api["seconds"]
    assert "bulk files (ca9)" in ended.stdout
    assert processes_of(checkout) == []

    again, second = demo(cwd=checkout, environ=stranger_environ)
    assert again.returncode == 0, again.stdout + again.stderr
    assert second["requests"] == 0
    stored = ("dockets", "clusters", "opinions", "docket_entries", "recap_documents", "chunks")
    assert {name: second[name] for name in stored} == {name: figures[name] for name in stored}

    assert "make dev" in again.stdout
    dev = start(checkout, stranger_environ, tmp_path / "dev.log")
    try:
        assert eventually(lambda: dev.materialized("vector_inputs") == 6, 60, pause=ASKING)
        assert dev.materialized("dockets") >= 6  # The files fill all months until today.
    finally:
        dev.stop()


def test_a_demo_that_was_killed_goes_on_where_it_was(checkout: Path, stranger_environ: Mapping[str, str]) -> None:
    shutil.rmtree(checkout / ".services", ignore_errors=True)
    log = checkout / ".services" / "simulated" / "simulator.jsonl"
    with (checkout / "killed.log").open("wb") as output:
        killed = subprocess.Popen(
            ["courtlistener", "demo", "--rates", "20/s,200/20s"],
            cwd=checkout,
            env=stranger_environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    assert eventually(lambda: killed.poll() is not None or len(pages_of(log)) >= 20, 120)
    assert killed.poll() is None, (checkout / "killed.log").read_text()
    # With everything that it has started, at one moment, as when the machine goes down: else runs may see before their
    # end that the simulator is down, and note it for all others.
    everything = [psutil.Process(killed.pid), *psutil.Process(killed.pid).children(recursive=True)]
    for end in (psutil.Process.suspend, psutil.Process.kill):
        for each in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(each)
    killed.wait()
    before = len(pages_of(log))

    ended, figures = demo(FAST, cwd=checkout, environ=stranger_environ)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert figures["refused"] == 0
    pages = pages_of(log)
    # Two runs walk three months each at once.
    assert len(pages) - len(set(pages)) <= 6, "more than the pages in flight were fetched twice"
    assert figures["requests"] == len(pages) - before
    # Beside those, each sweep that was complete is asked once what was modified since.
    assert before + figures["requests"] <= figures["fewest_requests"] + 6 + 12


def test_a_file_that_does_not_fit_is_named_with_line_and_key(
    checkout: Path, stranger_environ: Mapping[str, str]
) -> None:
    corpus = checkout / "bad.jsonl"
    corpus.write_text('{"court_id": "wash"}\n')
    ended, _ = demo(f"CORPUS={corpus}", cwd=checkout, environ=stranger_environ)
    assert ended.returncode != 0
    assert "bad.jsonl, line 1: case_name" in ended.stderr
    assert "Traceback" not in ended.stderr


def pages_of(log: Path) -> list[str]:
    """The pages that a simulator has answered under the quota, as far as its log tells."""
    if not log.exists():
        return []
    # The last line may be cut by a kill.
    entries = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [entry["path"] for entry in entries if entry["admitted"]]
