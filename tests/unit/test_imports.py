"""What every process of Dagster loads, most of which are about to download a month or to look at a sensor."""

from __future__ import annotations

import subprocess
import sys

COSTLY = ("lxml", "pandas", "pyarrow.dataset", "tokenizers")


def test_the_definitions_load_nothing_costly_that_few_runs_need() -> None:
    program = (
        f"import sys, courtlistener_assets.definitions\nprint(*[name for name in {COSTLY} if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
