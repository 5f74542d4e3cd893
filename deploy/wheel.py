"""The build hook of the wheel: one import name, `courtlistener_assets`.

In the checkout `resources/` and `lua/` stand beside the package, and the code imports `resources.…`. Installed, such
common names would collide with those of others. So a wheel carries both inside the package, with the imports changed.
An editable install stays as it is.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "courtlistener_assets"
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

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        self._tree = Path(tempfile.mkdtemp(prefix="wheel-"))
        package, root = self._tree / PACKAGE, Path(self.root)
        without = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(root / PACKAGE, package, ignore=without)
        for name in ("resources", "lua"):
            shutil.copytree(root / name, package / name, ignore=without)
        for module in package.rglob("*.py"):
            module.write_text(packaged(module.read_text(encoding="utf-8")), encoding="utf-8")
        build_data["force_include"][str(package)] = PACKAGE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_tree"):
            shutil.rmtree(self._tree)
