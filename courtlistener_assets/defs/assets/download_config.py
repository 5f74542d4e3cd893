"""What a run may ask of the download assets.

Belongs here: the configuration that users and sensors write. Does not belong here: how it is carried out
(`downloads.py`).
"""

from __future__ import annotations

import dagster as dg
from pydantic import Field

from courtlistener_assets.download.streams import Stream, Sweep


class IdRange(dg.Config):
    """The objects of a sweep with ids above `after_id` up to `up_to_id`."""

    sweep: str
    after_id: int
    up_to_id: int


class DownloadConfig(dg.Config):
    """What a run may ask of the download assets."""

    full_refresh: bool = Field(
        default=False, description="Ask for every object again instead of those modified since the last time."
    )
    docket_ids: list[int] = Field(
        default_factory=list,
        description="Download only these dockets of the partition's court, with all that belongs to them.",
    )
    id_ranges: list[IdRange] = Field(
        default_factory=list,
        description="Download only these ranges of ids: the retry of failures whose docket is not known.",
    )
    claim_id: str = Field(default="", description="The claim on failed dockets that this run retries; set by a sensor.")
    resumes: str = Field(
        default="", description="The deferred run whose unfinished work this run goes on with; set by a sensor."
    )

    @property
    def selective(self) -> bool:
        """Whether only a part of the partition is asked for."""
        return bool(self.docket_ids or self.id_ranges)

    def sweeps(self, stream: Stream) -> list[Sweep]:
        """The sweeps of a stream that this asks for."""
        if not self.selective:
            return list(stream.sweeps)
        return [stream.docket_sweep(docket_id) for docket_id in dict.fromkeys(self.docket_ids)] + [
            stream.range_sweep(each.sweep, each.after_id, each.up_to_id) for each in self.id_ranges
        ]

    def carried_over(self) -> dict[str, object]:
        """What a run that goes on with this one must be told."""
        carried: dict[str, object] = {}
        if self.full_refresh:
            carried["full_refresh"] = True
        if self.docket_ids:
            carried["docket_ids"] = list(self.docket_ids)
        return carried
