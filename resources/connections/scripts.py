"""The Lua scripts of `lua/`, registered with a Redis client.

Belongs here: finding and loading the files. Does not belong here: what a script's arguments mean (its own header and
the class that calls it).
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis
    from redis.commands.core import Script

#: Beside the package in a checkout as well as in a wheel; a package lookup by the name `lua` might find a stranger's.
SCRIPTS_DIRECTORY = Path(__file__).resolve().parents[2] / "lua"


@cache
def version() -> str:
    """Names the scripts of this installation: another text, another version."""
    texts = [path.read_bytes() for path in sorted(SCRIPTS_DIRECTORY.glob("*.lua"))]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:12]


def register(client: redis.Redis, name: str) -> Script:
    """The script `lua/<name>.lua`. It is loaded again whenever the server has forgotten it."""
    return client.register_script((SCRIPTS_DIRECTORY / f"{name}.lua").read_text(encoding="utf-8"))
