"""What a run may ask of the download assets.

Belongs here: the configuration that users and sensors write. Does not belong here: how it is carried out
(`downloads.py`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import dagster as dg
from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from courtlistener_assets.download.courts import is_known_id
from courtlistener_assets.download.jurisdictions import CODES
from courtlistener_assets.download.partitions import Everything, Selection
from courtlistener_assets.download.retry import Retry
from courtlistener_assets.download.stream import Stream
from courtlistener_assets.download.sweep import Sweeper
from resources.errors import SettingError
from resources.records.model import SweepPass

_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def _partition_key(key: str) -> str:
    if re.fullmatch(r"[a-z0-9_]{1,40}\|(\d{4}-\d\d-\d\d|undated)", key) or _is_court_or_group(key):
        return key
    raise ValueError(
        f"a partition key is court|YYYY-MM-DD, court|undated, a court, a group of courts or {Everything.KEY}"
    )


def _is_court_or_group(key: str) -> bool:
    """Whether a key is one word that is known; any other word may be a password."""
    return key == Everything.KEY or key in CODES or is_known_id(key)


#: A key of a court's month, `scotus|2024-01-01`, a court, `scotus`, a group of courts, `F`, or `all` where there are no
#: partitions. A court's day was one in earlier versions.
PartitionKey = Annotated[str, AfterValidator(_partition_key)]


#: The largest id that the server and Postgres have room for.
LARGEST_ID = 2**63 - 1


def _id(value: int) -> int:
    if not 0 < value <= LARGEST_ID:
        shown = value if value.bit_length() < 128 else "a number of more than 38 digits"
        raise ValueError(f"{shown} is not an id: take the number that CourtListener shows, from 1 to {LARGEST_ID}")
    return value


#: CourtListener's id of a docket or another object.
Id = Annotated[int, AfterValidator(_id)]


class StepConfig(dg.Config):
    """What the launcher of a run may write for a step.

    Dagster also accepts the name of a worker's variable in place of a text, `{"env": "POSTGRES_URL"}`. So a text must
    have a form that secrets do not have, and neither errors nor the UI show it.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            wrong = (
                f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}".removeprefix(": ")
                for each in error.errors(include_url=False, include_input=False)
            )
            # A step that is retried would be told the same.
            raise dg.Failure(f"The run's configuration: {'; '.join(wrong)}", allow_retries=False) from None


class IdRange(StepConfig):
    """The objects of a sweep with ids above `after_id` up to `up_to_id`."""

    sweep: str
    after_id: Annotated[int, AfterValidator(lambda value: value and _id(value))]
    up_to_id: Id


def _range(value: IdRange) -> IdRange:
    if value.after_id >= value.up_to_id:
        raise ValueError("up_to_id must be greater than after_id: the range is above after_id, up to up_to_id")
    return value


class DownloadConfig(StepConfig):
    """What a run may ask of the download assets."""

    full_refresh: bool = Field(
        default=False, description="Download every object again instead of those modified since the last time."
    )
    docket_ids: list[Id] = Field(
        default_factory=list,
        description="Download only these dockets of the partition's court, with all that belongs to them.",
    )
    object_ids: list[Id] = Field(
        default_factory=list,
        description="Download only these objects of the asset, by their ids, each in one request: the retry of objects "
        "that failed.",
    )
    id_ranges: list[Annotated[IdRange, AfterValidator(_range)]] = Field(
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
        return bool(self.docket_ids or self.object_ids or self.id_ranges)

    def retry(self, sweeper: Sweeper, stream: Stream, partition: Selection) -> list[SweepPass]:
        """Ask for what this selects of a stream, each by itself; return the finished passes.

        A range names one of its sweeps or, for single objects that come nested in others, their table.
        """
        sweeps = {sweep.name: sweep for sweep in (*stream.sweeps, *stream.increments)}
        unknown = {each.sweep for each in self.id_ranges} - {*sweeps, *stream.stores[1:]}
        if unknown and not self.claim_id:
            raise SettingError(f"id_ranges names a sweep that {stream.name} does not have")
        retry = Retry(sweeper, stream, partition)
        retry.objects(self.object_ids)
        retry.dockets(self.docket_ids)
        for each in self.id_ranges:
            if each.sweep in unknown:
                retry.unknown(each.sweep, each.after_id, each.up_to_id)
            elif each.sweep in sweeps:
                retry.range(sweeps[each.sweep], each.after_id, each.up_to_id)
            else:
                retry.objects([each.up_to_id], table=each.sweep)
        return retry.passes

    def carried_over(self) -> dict[str, object]:
        """Return what a run that resumes this one must be told."""
        return self.model_dump(include={"full_refresh", "docket_ids", "object_ids"}, exclude_defaults=True)
