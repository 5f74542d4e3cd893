"""The options that a file of chunks was made with, which stand in its metadata: whoever makes it again has the same.

Belongs here: writing and reading them. Does not belong here: when they are to be kept (`building/partition.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, fields

from courtlistener_assets.chunks.files import Location, opened, unreadable
from courtlistener_assets.chunks.options import ChunkOptions
from courtlistener_assets.chunks.table import made_by

#: In the metadata of a file: the options, as JSON.
CHUNK_OPTIONS = "chunk_options"


def kept(options: ChunkOptions) -> dict[str, str]:
    """The metadata of a file made with these options."""
    return {CHUNK_OPTIONS: json.dumps(asdict(options), sort_keys=True)}


def made_with(locations: Iterable[Location]) -> ChunkOptions | None:
    """The options of the first of these files that is there and names any; what it does not name has its default."""
    for location in locations:
        try:
            with opened(location) as file:
                written = made_by(file).get(CHUNK_OPTIONS)
        except unreadable(location):
            continue
        if written:
            known = {each.name for each in fields(ChunkOptions)}
            return ChunkOptions(**{name: value for name, value in json.loads(written).items() if name in known})
    return None
