"""What Dagster's processes load: the code location of this checkout, from the environment.

Belongs here: how it is loaded. Does not belong here: what it consists of (`location.py`).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _kept_for_good() -> Iterator[None]:
    """Keep Python from looking for garbage in what is made meanwhile: modules and definitions stay until the end.

    Looking while they are made, and again when the process ends, is a third of what most processes of Dagster compute.
    """
    was_looking = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_looking:
            gc.enable()


with _kept_for_good():
    from courtlistener_assets.location import location

    defs = location(os.environ)
