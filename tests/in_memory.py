"""Where tests put what makes many small files and need not outlive them.

Belongs here: finding the place. Does not belong here: what is put there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")
#: The servers of all workers of a test session together take less than half of it.
_BYTES_NEEDED = 4 * 2**30


def in_memory() -> Path | None:
    """Return a directory in memory, None where there is none with 4 GB of room (as in most containers)."""
    if not os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
        return None
    return _SHARED_MEMORY if shutil.disk_usage(_SHARED_MEMORY).free >= _BYTES_NEEDED else None
