"""A browser on the UI of `courtlistener dev`, with the simulator behind it.

Belongs here: starting both, and showing what was on the screen when a step failed. Does not belong here: the steps.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

from courtlistener_assets.devkit.session.simulator_process import SimulatorProcess
from courtlistener_assets.operations.running_session import running_session
from tests.acceptance.conftest import checkout, stranger_environ  # noqa: F401
from tests.acceptance.dev_process import Dev, start
from tests.walk.ui import SOON, Ui

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Nothing but our pages, and nothing of an earlier start. Root cannot use the sandbox; the pages are our own.
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, help="a folder for pictures of what the walk has on its screen")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pictures: only for the pictures of the docs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is for pictures alone runs only if they are wanted."""
    if not config.getoption("--pictures"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("pictures")])
        items[:] = [item for item in items if not item.get_closest_marker("pictures")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what was on the screen."""
    report = yield
    ui = getattr(item, "funcargs", {}).get("ui")
    if report.failed and isinstance(ui, Ui):
        picture = Path(f"/tmp/walk-{item.name}.png")
        ui.page.screenshot(path=picture)
        report.sections.append((f"{ui.page.url}, {picture}", ui.page.locator("body").inner_text()[:4000]))
    return report


@pytest.fixture(scope="session")
def browser() -> str:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.fail("Chromium is missing: apt-get install chromium, or brew install --cask chromium")
    return found


@pytest.fixture(scope="module")
def dev(
    browser: str,
    checkout: Path,  # noqa: F811
    stranger_environ: Mapping[str, str],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Dev]:
    # Dead after the first failure, and patient with a server that does not answer until the run is terminated.
    environ = {**stranger_environ, "COURTLISTENER_MAX_TRIES": "1", "COURTLISTENER_READ_TIMEOUT_SECONDS": "500"}
    environ["COURTLISTENER_RESPONSE_TIMEOUT_SECONDS"] = "500"
    dev = start(checkout, environ, tmp_path_factory.mktemp("walk") / "dev.log")
    yield dev
    dev.stop()


@pytest.fixture(scope="module")
def ui(dev: Dev, browser: str, pytestconfig: pytest.Config) -> Iterator[Ui]:
    expect.set_options(timeout=SOON)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=_OPTIONS)
        page = chromium.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(SOON)
        yield Ui(page, f"http://127.0.0.1:{dev.port}", pytestconfig.getoption("--pictures"))
        chromium.close()


@dataclass(frozen=True)
class Server:
    """The simulator that `courtlistener dev` has started."""

    url: str
    log: Path

    def dockets(self, court: str, month: str) -> list[int]:
        """The ids of the dockets of a month."""
        ids: list[int] = SimulatorProcess(self.url).expected([court], month, month)["ids"]["dockets"]
        return ids

    def strike(self, **fault: Any) -> None:
        requests.post(f"{self.url}/__simulator__/faults", json=fault, timeout=10).raise_for_status()

    def recover(self) -> None:
        requests.delete(f"{self.url}/__simulator__/faults", timeout=10).raise_for_status()

    def requests(self) -> list[Any]:
        """What has reached it and costs quota."""
        entries = map(json.loads, self.log.read_text().splitlines())
        return [entry for entry in entries if entry["admitted"] and entry["endpoint"] != "api-usage"]


@pytest.fixture(scope="module")
def server(dev: Dev, checkout: Path) -> Server:  # noqa: F811
    url = running_session(checkout)["COURTLISTENER_BASE_URL"]
    return Server(url, checkout / ".services" / "simulated" / "simulator.jsonl")
