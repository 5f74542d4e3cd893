"""Resources that a run cannot reconfigure.

Dagster lets a run's config override the fields of a resource, and lets a string there name an environment variable. A
token could be sent to another host that way. The schema of a sealed resource has no field
for runs, so Dagster refuses such a run before anything starts.

Belongs here: the mixin and what the UI may show. Does not belong here: any resource (`dagster_resources.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Annotated, Any, NoReturn, TypeVar

import dagster as dg

# What `.configured()` is made of. `.configured()` itself would return a definition that has lost its nested resources.
from dagster._core.definitions.definition_config_schema import (
    ConfiguredDefinitionConfigSchema,
    convert_user_facing_definition_config_schema,
)
from pydantic import Field

_Resource = TypeVar("_Resource")

#: A field that neither `repr()` nor the UI shows, unless it names an environment variable.
Secret = Annotated[str, Field(repr=False)]
_MASK = "********"


class Sealed:
    """Mixin before `ConfigurableResource` or an IO manager: its fields are set in code, never by a run."""

    def get_resource_definition(self) -> Any:
        """The definition that Dagster caches, with an empty config schema."""
        definition = super().get_resource_definition()  # type: ignore[misc]
        if not isinstance(definition.config_schema, _SealedSchema):
            fields = type(self).model_fields.items()  # type: ignore[attr-defined]
            secrets = {each.alias or name for name, each in fields if not each.repr}
            definition._config_schema = _SealedSchema(definition, secrets)
        return definition

    @classmethod
    def configure_at_launch(cls, **_: Any) -> NoReturn:
        """Refuse: that is what sealing is against."""
        raise dg.DagsterInvalidDefinitionError(f"{cls.__name__} cannot be configured by a run: set all fields in code.")


class SealedResource(Sealed, dg.ConfigurableResource[_Resource]):
    """A resource whose fields are set in code, never by a run."""


class SealedFiles(Sealed, dg.FilesystemIOManager):
    """Dagster's default IO manager, sealed: its `base_dir` shows in metadata and could name any variable."""


class _SealedSchema(ConfiguredDefinitionConfigSchema):
    """An empty schema for runs, and the values that were bound in code for the resource."""

    def __init__(self, definition: dg.ResourceDefinition, secrets: Set[str]) -> None:
        opened = definition.config_schema
        bound: Mapping[str, Any] = opened.default_value if opened.default_provided else {}
        self._shown = {name: _MASK if name in secrets and not _is_variable(at) else at for name, at in bound.items()}
        super().__init__(
            dg.ResourceDefinition(definition.resource_fn, config_schema=opened),
            convert_user_facing_definition_config_schema({}),  # {}: no field at all; None would mean any.
            lambda _: bound,
        )

    @property
    def default_value_as_json_str(self) -> str:
        """What the UI shows as configured values, and where Dagster looks for the variables in use."""
        return json.dumps(self._shown, default=str)


def _is_variable(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"env"}
