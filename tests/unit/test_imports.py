"""What every process of Dagster loads, most of which are about to download a month or to look at a sensor."""

from __future__ import annotations

import os
import subprocess
import sys

COSTLY = ("lxml", "pandas", "pyarrow.dataset", "tokenizers")
COMMANDS = ("doctor.examination", "export", "exporter.serving", "plan", "requeue", "status")
#: What the definitions are loaded by, and has been looked through for garbage before.
COUNTING = """
import gc, dagster
found = []
gc.callbacks.append(lambda phase, info: found.append(phase))
"""


def said(program: str, **environ: str) -> list[str]:
    """What a process of its own prints, by words."""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **environ}
    )
    return ended.stdout.split()


def loaded_of(names: tuple[str, ...], imports: str) -> list[str]:
    return said(f"import sys, {imports}\nprint(*[name for name in {names} if name in sys.modules])")


def test_the_definitions_load_nothing_costly_that_few_runs_need() -> None:
    assert loaded_of(COSTLY, "courtlistener_assets.definitions") == []


def test_commands_that_start_no_run_load_no_dagster() -> None:
    assert loaded_of(("dagster",), ", ".join(f"courtlistener_assets.operations.{name}" for name in COMMANDS)) == []


def test_settings_are_read_without_dagster() -> None:
    reading = "import sys\nfrom courtlistener_assets.settings import Settings\nSettings.from_environ({})"
    assert said(f"{reading}\nprint('dagster' in sys.modules)") == ["False"]


def test_a_process_that_makes_chunks_loads_no_way_to_ask_for_anything() -> None:
    assert loaded_of(("dagster", "redis"), "courtlistener_assets.building.worker") == []


def test_nobody_looks_for_garbage_in_the_definitions() -> None:
    *found, looks, kept = said(
        f"{COUNTING}import courtlistener_assets.definitions\nprint(*found, gc.isenabled(), gc.get_freeze_count())"
    )
    assert (found, looks) == ([], "True")
    assert int(kept) > 100_000


def test_what_a_command_has_loaded_is_not_searched_for_garbage_at_its_end() -> None:
    ending = "import atexit, gc\natexit.register(lambda: print(gc.get_freeze_count() > 0))"
    command = "from courtlistener_assets.cli import main\nmain(['watch', '--help'])"
    assert said(f"{ending}\n{command}")[-1] == "True"


def test_after_definitions_that_cannot_be_loaded_garbage_is_looked_for() -> None:
    program = f"{COUNTING}try:\n    import courtlistener_assets.definitions\nexcept Exception as error:\n"
    wrong = said(f"{program}    print(type(error).__name__, gc.isenabled())", COURTLISTENER_WORKERS="none")
    assert wrong == ["SettingError", "True"]
