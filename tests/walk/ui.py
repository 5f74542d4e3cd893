"""Dagster's UI as a person uses it: what is clicked, in the words that stand on the screen.

Belongs here: where things are on the screen, and nothing else of Dagster: when its UI changes, this changes. Does not
belong here: what is expected of us (`test_walk.py`), and what goes on behind the screen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Locator, Page, TimeoutError, expect

#: Milliseconds until something is on the screen. The daemon begins backfills and looks at sensors every half minute.
SOON, LATER = 60_000, 180_000
_RELOAD = 15_000


@dataclass
class Ui:
    """One browser window on the UI at `url`; pictures go to `pictures`, if to anywhere."""

    page: Page
    url: str
    pictures: Path | None = None

    # --- getting about -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.page.goto(self.url)

    def menu(self, entry: str) -> None:
        """Click an entry of the menu at the left."""
        self.page.locator("a[class*=MainNavigation]").filter(has_text=re.compile(rf"{entry}$")).click()

    def link(self, name: str) -> Locator:
        """The first link that begins with a name; before it an icon may have one of its own, after it comes more."""
        return self.page.get_by_role("link").filter(has_text=re.compile(rf"^{re.escape(name)}(?!\w)")).first

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab").filter(has_text=re.compile(rf"^{name}")).first.click()

    def dialog(self) -> Locator:
        """What has to be answered before anything else; lists that unfold are no such thing."""
        return self.page.locator("[role=dialog][aria-modal=true]")

    def job(self, name: str) -> None:
        """*Jobs*, and the job in the list."""
        self.menu("Jobs")
        self.link(name).click()

    def group(self, name: str) -> None:
        """*Lineage*, a right click on the group, *Filter to this group*."""
        self.menu("Lineage")
        self.page.get_by_text(name, exact=True).first.click(button="right")
        self.page.get_by_role("menuitem").filter(has_text="Filter to this group").click()

    def asset(self, name: str, tab: str) -> None:
        """*Catalog*, the asset in the list, and one of its tabs."""
        self.menu("Catalog")
        # Its text stands there twice, once to measure how long it is.
        self.page.locator(f"a[href='/assets/{name}']").first.click()
        self.tab(tab)

    def button(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def graph(self, *groups: str) -> None:
        """The graph of all assets, with these groups unfolded."""
        unfolded = "%2C".join(f"global%40global%3A{group}" for group in groups)
        self.page.goto(f"{self.url}/asset-groups/?expanded={unfolded}")

    def partition(self, asset: str, key: str) -> None:
        """A partition of an asset, by its address: the list of months holds only those that are in sight."""
        self.page.goto(f"{self.url}/assets/{asset}?view=partitions&partition={quote(key, safe='')}")

    # --- launching and watching --------------------------------------------------------------------------------------

    def materialize_all(self, number_of_assets: int) -> Locator:
        """*Materialize all…*; returns the dialog, which must ask for partitions."""
        self.page.get_by_role("button").filter(has_text="Materialize all").click()
        dialog = self.dialog()
        expect(dialog).to_contain_text(f"materialize {number_of_assets} assets")
        expect(dialog).to_contain_text("Partition selection")
        return dialog

    def choose(self, dialog: Locator, court: str, months: str) -> None:
        """Pick a court, and months such as `[2024-01-01...2024-03-01]`."""
        field = dialog.get_by_placeholder("ex: 2024")
        field.fill(months)
        field.press("Enter")
        dialog.get_by_text("Select a partition or create one").click()
        self.page.get_by_role("menuitem").filter(has_text=court).click()
        self.page.keyboard.press("Escape")

    def launch(self, inside: Locator | Page, button: str) -> None:
        """Press a button that launches, and *View* in the message that says so."""
        views = self.page.get_by_role("link").filter(has_text=re.compile("^View$"))
        # What was launched a moment ago may still be on the screen.
        older: list[str] = views.evaluate_all("links => links.map(link => link.getAttribute('href'))")
        inside.get_by_role("button", name=button).last.click()
        newer = "".join(f':not([href="{address}"])' for address in older)
        views.and_(self.page.locator(f"a{newer}")).first.click()

    def launch_job(self, config: str) -> None:
        """*Launchpad*, what the job is to do, *Launch Run*; that leads to the page of the run."""
        self.tab("Launchpad")
        self.page.locator(".CodeMirror").first.click()
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(config)
        self.page.get_by_role("button", name="Launch Run").click()
        self.page.wait_for_url("**/runs/*")

    def run_of_backfill(self) -> None:
        """From the page of a backfill to its run, once it has one."""
        self.tab("Runs")
        run = "a[href^='/runs/']:not([href^='/runs/b/']):not([href='/runs/'])"
        self.page.locator(run).first.click(timeout=LATER)

    def expect_status(self, status: str) -> None:
        """Wait until the page of a run or backfill shows a status, such as `Success`."""
        expect(self.page.get_by_text(status, exact=True).first).to_be_visible(timeout=LATER)

    def expect(self, text: str) -> None:
        """Wait until a text is on the screen; reload the page now and then, as a person who waits would."""
        shown = self.page.get_by_text(text).first
        for _ in range(LATER // _RELOAD - 1):
            try:
                shown.wait_for(timeout=_RELOAD)
            except TimeoutError:
                self.page.reload()
            else:
                return
        shown.wait_for(timeout=_RELOAD)

    def terminate(self) -> None:
        """*Terminate* on the page of a run, and again in the dialog that asks whether that is meant."""
        self.page.get_by_role("button").filter(has_text="Terminate").click()
        self.dialog().get_by_role("button").filter(has_text=re.compile("^Terminate")).click()
        self.expect_status("Canceled")
        # The dialog has gone with the button, if that was quick.
        self.page.keyboard.press("Escape")
        expect(self.dialog()).to_be_hidden()

    # --- pictures ----------------------------------------------------------------------------------------------------

    def picture(self, name: str, *, width: int = 1500, height: int = 1000) -> None:
        """Take a picture for the docs of what is on the screen, if pictures are wanted."""
        if self.pictures is None:
            return
        before = self.page.viewport_size
        self.page.set_viewport_size({"width": width, "height": height})
        # The layout of graphs and plots settles after their texts are there.
        self.page.wait_for_timeout(3_000)
        self.page.screenshot(path=self.pictures / f"{name}.png")
        if before:
            self.page.set_viewport_size(before)
