"""In a checkout, another package named `resources` must not be taken for ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def imported(cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Import the package with `cwd` in front of all other places of modules."""
    return subprocess.run(
        [sys.executable, "-c", "import courtlistener_assets"],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["resources.py", "resources/__init__.py"])
def test_another_resources_is_named_with_its_path(name: str, tmp_path: Path) -> None:
    stranger = tmp_path / name
    stranger.parent.mkdir(exist_ok=True)
    stranger.touch()
    ended = imported(tmp_path)
    assert ended.returncode != 0
    assert f"ImportError: `import resources` finds {stranger}" in ended.stderr


def test_a_folder_that_is_no_package_and_another_lua_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    (tmp_path / "lua").mkdir()
    (tmp_path / "lua" / "__init__.py").touch()
    assert imported(tmp_path).returncode == 0
