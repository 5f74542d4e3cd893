"""Makes docs/screenshots/*.png: the real Dagster UI in headless Chromium, on the simulator (`make screenshots`).

Belongs here: what is downloaded for the pictures, and which page each picture shows. Does not belong here: anything a
reader needs; look at every picture before you commit it.

Needs Chromium or Chrome on the PATH. Uses a directory of its own and touches no data of the checkout.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
_DOWNLOADS = "dockets,clusters,opinions,docket_entries"


@dataclass(frozen=True)
class Picture:
    """One page of the UI.

    `wait_for` is text that a complete page shows. `steps` are selectors: of what is clicked, or, with
    a text after ` := `, of what is filled in.
    """

    name: str
    path: str
    wait_for: str
    height: int = 900
    width: int = 1500
    steps: tuple[str, ...] = ()


_GROUPS = "%2C".join(f"global%40global%3A{group}" for group in ("downloads", "vector_inputs"))
_LAUNCH = (
    "button:has-text('Materialize')",
    "input[placeholder^='ex:'] := [2024-01-01...2024-12-01]",
    "text=Launch runs to materialize",
    "button >> text=/^All$/",
    "text=Launch runs to materialize",
)


def _show(row: str) -> str:
    """Return the selector that opens the Markdown in a row of the metadata."""
    return f"tr:has-text('{row}') >> text=/Show Markdown/i"


_QUOTA = "/assets/quota_usage?view=overview"
_VECTOR_INPUTS = "/assets/vector_inputs?view=partitions&partition=ca9%7C2024-02-01"
PICTURES = (
    Picture("asset-graph", f"/asset-groups/?expanded={_GROUPS}", "docket_entries", 1400, 1700),
    Picture("launch", "/assets/opinions?view=overview", "Materialize", 960, steps=_LAUNCH),
    Picture("partitions", "/assets/dockets?view=partitions&partition=ca9%7C2024-02-01", "records", 1000),
    Picture("quota-plots", _QUOTA, "forecast", 1500, steps=("button:has-text('Plots')",)),
    Picture("quota", _QUOTA, "forecast", 1250, 1700),
    # Above the row that names a file of this machine.
    Picture("vector-inputs", _VECTOR_INPUTS, "chunks", 1120),
    Picture("failed-dockets", "/assets/failed_dockets?view=overview", "dockets_to_retry", 1050, 1500),
    Picture("completeness", "/assets/completeness?view=checks", "dockets_complete", 900, steps=(_show("sweeps"),)),
    Picture("runs", "/runs", "retry_failed_dockets", 860),
    # The second of the month: the first, above it, is the materialization that followed.
    Picture("deferred", "/assets/dockets?view=events", "scotus", 760, steps=("text=scotus|2024-03-01 >> nth=1",)),
    Picture("automation", "/automation", "resume_deferred", 680),
)


# --- what the pictures show ------------------------------------------------------------------------------------------


@contextmanager
def user_interface(directory: Path, environ: Mapping[str, str], port: int) -> Iterator[str]:
    """`courtlistener dev` until the end of the block; its address."""
    url = f"http://127.0.0.1:{port}"
    command = [str(BIN / "courtlistener"), "dev", "--port", str(port)]
    with (directory / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while not answers(f"{url}/server_info"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((directory / "dev.log").read_text(errors="replace")[-4000:])
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def fill(directory: Path, environ: Mapping[str, str]) -> None:
    """Download everything that can be seen: complete months, an open one, a failed docket, a deferred month."""

    def materialize(assets: str, partitions: str = "", *, may_fail: bool = False, **settings: str) -> None:
        command = [BIN / "courtlistener", "run", BIN / "dagster", "asset", "materialize", "--select", assets]
        command += ["-m", "courtlistener_assets.definitions"]
        option = "--partition-range" if "..." in partitions else "--partition"
        run(directory, {**environ, **settings}, [*command, *([option, partitions] if partitions else [])], may_fail)

    # The simulator fails for one opinion, always.
    run(directory, environ, [BIN / "courtlistener", "run", BIN / "python", "-c", _POISON], False)
    for court, last in (("ca9", "2024-03-01"), ("scotus", "2024-02-01")):
        materialize(_DOWNLOADS, f"{court}|2024-01-01...{court}|{last}")
        materialize("vector_inputs", f"{court}|2024-01-01...{court}|{last}")
        materialize("quota_usage")
    # Too impatient for the quota that is used up by now.
    materialize("dockets,clusters", "scotus|2024-03-01", may_fail=True, COURTLISTENER_MAX_WAIT_SECONDS="0.1")
    materialize("failed_dockets,completeness")
    materialize("quota_usage")


_POISON = """
import os, requests
control = os.environ["COURTLISTENER_BASE_URL"] + "/__simulator__/"
month = {"courts": "ca9", "first_month": "2024-02", "last_month": "2024-02"}
opinion = requests.get(control + "expected", params=month).json()["ids"]["opinions"][3]
fault = {"kind": "poison", "endpoint": "opinions", "object_id": opinion}
requests.post(control + "faults", json=fault).raise_for_status()
"""


def run(directory: Path, environ: Mapping[str, str], command: Sequence[str | Path], may_fail: bool) -> None:
    ended = subprocess.run(
        [str(word) for word in command], cwd=directory, env=environ, capture_output=True, text=True, check=False
    )
    if ended.returncode and not may_fail:
        raise SystemExit(f"{command} failed:\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}")


# --- the pictures ----------------------------------------------------------------------------------------------------


def take(page: Page, url: str, picture: Picture, folder: Path) -> None:
    """Take one picture; raises playwright's TimeoutError if what it should show does not appear."""
    page.set_viewport_size({"width": picture.width, "height": picture.height})
    page.goto(url + picture.path)
    page.get_by_text(picture.wait_for).first.wait_for(timeout=30_000)
    for step in picture.steps:
        selector, _, text = step.partition(" := ")
        if text:
            page.locator(selector).first.fill(text)
        else:
            page.locator(selector).first.click()
    # The graph's layout and the plots settle after their texts are there.
    page.wait_for_timeout(4_000)
    page.locator("body").first.screenshot(path=folder / f"{picture.name}.png")
    print(f"{picture.name}.png", flush=True)


def take_all(url: str, names: Sequence[str]) -> None:
    """Take all pictures, or those that are named, of the UI at `url`."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium, or brew install --cask chromium")
    folder = ROOT / "docs" / "screenshots"
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        # Root cannot use the sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        for picture in PICTURES:
            if not names or picture.name in names:
                take(page, url, picture, folder)
        browser.close()


def main(arguments: Sequence[str]) -> None:
    """Make all pictures, or those that are named."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COURTLISTENER", "DAGSTER"))}
    environ = {**kept, "PATH": f"{BIN}{os.pathsep}{kept['PATH']}"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        with user_interface(directory, environ, port) as url:
            fill(directory, environ)
            take_all(url, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
