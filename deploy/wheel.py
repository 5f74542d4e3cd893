"""The build hook of the wheel: one import name, `courtlistener_assets`.

In the checkout `resources/` and `lua/` stand beside the package, and the code imports `resources.…`. Installed, such
common names would collide with those of others. So a wheel carries both inside the package, with the imports changed.
An editable install stays as it is.

With WHEEL_COMPILED=1 in the environment the wheel is for this interpreter and machine only, and has the modules
that clean and chunk compiled (`compiled.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "courtlistener_assets"
COMPILED = os.environ.get("WHEEL_COMPILED") == "1"
#: No part of any wheel.
_TO_COMPILE = ("*.pyx", "*.h")
_FROM = re.compile(r"^(\s*)from resources(?=[.\s])", re.MULTILINE)
# Would bind the name `resources`, which the code below it then uses.
_PLAIN = re.compile(r"^\s*import resources\b", re.MULTILINE)


def packaged(source: str) -> str:
    """Return the text of a module as the wheel has it; raises ValueError for an import that cannot be changed."""
    if _PLAIN.search(source):
        raise ValueError("write `from resources… import …`, not `import resources…`")
    return _FROM.sub(rf"\1from {PACKAGE}.resources", source)


class OneImportName(BuildHookInterface[Any]):
    """Makes the tree of a wheel in a temporary directory."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What compiling takes, beside a C compiler."""
        return ["cython>=3.1", "mypy>=1.15", "setuptools>=75"] if COMPILED else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        self._tree = Path(tempfile.mkdtemp(prefix="wheel-"))
        package, root = self._tree / PACKAGE, Path(self.root)
        without = shutil.ignore_patterns("__pycache__", ".*", *(() if COMPILED else _TO_COMPILE))
        shutil.copytree(root / PACKAGE, package, ignore=without)
        for name in ("resources", "lua"):
            shutil.copytree(root / name, package / name, ignore=without)
        for module in package.rglob("*.py"):
            module.write_text(packaged(module.read_text(encoding="utf-8")), encoding="utf-8")
        if COMPILED:
            subprocess.run([sys.executable, str(root / "deploy" / "compiled.py"), str(self._tree)], check=True)
            build_data |= {"pure_python": False, "infer_tag": True}
            for pattern in _TO_COMPILE:
                for source in package.rglob(pattern):
                    source.unlink()
        build_data["force_include"][str(package)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_tree"):
            shutil.rmtree(self._tree)
