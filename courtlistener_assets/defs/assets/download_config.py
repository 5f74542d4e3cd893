"""What a run may ask of the download assets.

Belongs here: the configuration that users and sensors write. Does not belong here: how it is carried out
(`downloads.py`).
"""

from __future__ import annotations

import re
from typing import Annotated

import dagster as dg
from pydantic import AfterValidator, ConfigDict, Field

from courtlistener_assets.download.partitions import Everything
from courtlistener_assets.download.stream import Stream, Sweep
from resources.errors import SettingError

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def _partition_key(key: str) -> str:
    if re.fullmatch(rf"[a-z0-9_]{{1,40}}\|\d{{4}}-\d\d-\d\d|{Everything.KEY}", key):
        return key
    raise ValueError(f"a partition key has the form court|YYYY-MM-DD, or is {Everything.KEY}")


#: A key of a court's month or day, `scotus|2024-01-01`, or `all` where there are no partitions.
PartitionKey = Annotated[str, AfterValidator(_partition_key)]


class StepConfig(dg.Config):
    """What the launcher of a run may write for a step.

    Dagster also accepts the name of a worker's variable in place of a text, `{"env": "POSTGRES_URL"}`. So a text must
    have a form that secrets do not have, and neither errors nor the UI show it.
    """

    model_config = ConfigDict(hide_input_in_errors=True)


class IdRange(StepConfig):
    """The objects of a sweep with ids above `after_id` up to `up_to_id`."""

    sweep: str
    after_id: int
    up_to_id: int


class DownloadConfig(StepConfig):
    """What a run may ask of the download assets."""

    full_refresh: bool = Field(
        default=False, description="Download every object again instead of those modified since the last time."
    )
    docket_ids: list[int] = Field(
        default_factory=list,
        description="Download only these dockets of the partition's court, with all that belongs to them.",
    )
    id_ranges: list[IdRange] = Field(
        default_factory=list,
        description="Download only these ranges of ids: the retry of failures whose docket is not known.",
    )
    claim_id: str = Field(
        default="",
        pattern="^([0-9a-f]{16})?$",
        description="The claim on failed dockets that this run retries; set by a sensor.",
    )
    resumes: str = Field(
        default="",
        pattern=f"^({_UUID})?$",
        description="The deferred run whose unfinished work this run resumes; set by a sensor.",
    )

    @property
    def selective(self) -> bool:
        """Whether only a part of the partition is wanted."""
        return bool(self.docket_ids or self.id_ranges)

    def sweeps(self, stream: Stream) -> list[Sweep]:
        """Return the sweeps of a stream that this selects."""
        if not self.selective:
            return list(stream.sweeps)
        if {each.sweep for each in self.id_ranges} - {sweep.name for sweep in stream.sweeps}:
            raise SettingError(f"id_ranges names a sweep that {stream.name} does not have")
        return [stream.docket_sweep(docket_id) for docket_id in dict.fromkeys(self.docket_ids)] + [
            stream.range_sweep(each.sweep, each.after_id, each.up_to_id) for each in self.id_ranges
        ]

    def carried_over(self) -> dict[str, object]:
        """Return what a run that resumes this one must be told."""
        return self.model_dump(include={"full_refresh", "docket_ids"}, exclude_defaults=True)
