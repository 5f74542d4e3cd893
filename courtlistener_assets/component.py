"""The whole location as a component of Dagster: `type: courtlistener_assets.CourtListener` in a `defs.yaml`.

Belongs here: how settings are written in YAML. Does not belong here: what they mean (`settings.py`), or what is made of
them (`defs/build.py`).
"""

from __future__ import annotations

import re
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

import dagster as dg
import pydantic

from courtlistener_assets.defs.build import build_definitions
from courtlistener_assets.settings import Settings, variable_of
from resources.errors import SettingError

_HINTS = get_type_hints(Settings)
#: What YAML has in place of the types of settings; all others are text.
_IN_YAML: dict[Any, Any] = {tuple[str, ...]: list[str], int: int, int | None: int, float: float}


def _attribute(setting: Field[Any]) -> tuple[str, Any]:
    """Return the name, the type and the rest of a setting's attribute."""
    variable = variable_of(setting)
    if setting.metadata["secret"]:
        about = f"The environment variable that holds what {variable} means; the run reads it, not the location."
        return f"{setting.name}_env", (str, pydantic.Field(default=variable, description=about))
    about = f"What the environment variable {variable} means in docs/reference/settings.md."
    kind = _IN_YAML.get(_HINTS[setting.name], str)
    return setting.name, (kind | None, pydantic.Field(default=None, description=about))


_FIELDS: dict[str, Any] = dict(map(_attribute, fields(Settings)))
_Attributes: Any = pydantic.create_model("_Attributes", __base__=dg.Model, **_FIELDS)


class _Scaffolder(dg.Scaffolder):
    """What `dg scaffold defs courtlistener_assets.CourtListener` writes."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        dg.scaffold_component(request, {"courts": ["scotus", "ca9"], "first_month": "2015-01"})


@dg.scaffold_with(_Scaffolder)
class CourtListener(dg.Component, dg.Resolvable, _Attributes):  # type: ignore[misc]
    """Dockets, opinions and filings of US courts from CourtListener, and their text in chunks for embedding.

    Attributes are the settings of `Settings`; a secret is given by the name of its environment variable, as in
    `api_token_env: COURTLISTENER_API_TOKEN`, which is the default.
    """

    key_prefix: Annotated[
        list[str], pydantic.Field(default_factory=list, description="Comes before the key of every asset.")
    ]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the location; raises SettingError, which names the attribute."""
        return build_definitions(Settings(**self._given()), key_prefix=self.key_prefix)

    def _given(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for each in fields(Settings):
            if each.metadata["secret"]:
                given[each.name] = _variable(f"{each.name}_env", getattr(self, f"{each.name}_env"))
            elif getattr(self, each.name) is not None:
                given[each.name] = getattr(self, each.name)
        return given | ({"api_token": ""} if self.api_token_file else {})


def _variable(attribute: str, name: str) -> dg.EnvVar:
    """Return the variable of this name; the error does not quote what may be the secret itself."""
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise SettingError(f"{attribute} takes the name of an environment variable, in capitals, not what it holds")
    return dg.EnvVar(name)
