"""Whether the `resources` that will be imported is ours.

In a checkout it lies beside this package under a name that others use, too. A wheel carries it inside the package.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def check_resources() -> None:
    """Raise ImportError if another package hides `resources/` of this checkout."""
    if (_PACKAGE / "resources").is_dir():
        return
    spec, ours = find_spec("resources"), _PACKAGE.with_name("resources")
    found = spec.origin or str(next(iter(spec.submodule_search_locations or ()), "")) if spec else ""
    if not found or Path(found).resolve().parent != ours:
        raise ImportError(
            f"`import resources` finds {found or 'nothing'}, and courtlistener_assets needs {ours}: start Python "
            "elsewhere, change the order of PYTHONPATH, or install the wheel, which brings no such name"
        )
