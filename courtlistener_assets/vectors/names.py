"""How settings name a vector store and a function that makes vectors.

Belongs here: checking these names; nothing is imported for it. Does not belong here: opening what they name.
"""

from __future__ import annotations

import re

from resources.errors import SettingError


def checked_vector_store(value: str) -> str:
    """Return the setting if it names a store; raises SettingError."""
    kind, _, place = value.partition(":")
    if kind == "pgvector" and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", place):
        return value
    if kind == "qdrant" and re.fullmatch(r"[^@?#]*/[\w-]+", place):
        return value
    if value:
        raise SettingError(
            f"{re.sub(r'//.*@', '//...@', value)!r} is neither qdrant:http://localhost:6333/COLLECTION, "
            "qdrant:DIRECTORY/COLLECTION nor pgvector:TABLE; a key belongs into QDRANT_API_KEY"
        )
    return value


def checked_embed(value: str) -> str:
    """Return the setting if it can name a function; raises SettingError."""
    module, _, function = value.partition(":")
    if value and not (function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise SettingError(f"{value!r} is not the name of a function such as mine.embeddings:embed")
    return value
