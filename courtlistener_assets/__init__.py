"""CourtListener assets: US court data as partitioned Dagster assets, under the account's quota.

Belongs here: the public names. Each is imported on first use, so that none needs another, and the import of the package
needs neither Dagster nor an environment: `dg` imports it in every project that installs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from courtlistener_assets.import_names import check_resources

if TYPE_CHECKING:
    from courtlistener_assets.component import CourtListener
    from courtlistener_assets.defs.build import build_definitions
    from courtlistener_assets.settings import Settings
    from resources.dagster_resources import (
        CourtListenerResource,
        PostgresResource,
        RedisRateLimitResource,
        RedisResource,
    )

__all__ = [
    "CourtListener",
    "CourtListenerResource",
    "PostgresResource",
    "RedisRateLimitResource",
    "RedisResource",
    "Settings",
    "build_definitions",
]
check_resources()

#: Where they are, but for the resources.
_HOMES = {"CourtListener": "component", "Settings": "settings", "build_definitions": "defs.build"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    from resources import dagster_resources

    return getattr(dagster_resources, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
