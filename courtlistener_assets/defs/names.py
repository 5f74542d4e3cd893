"""What a location's definitions are called, below the key prefix that its assets have in Dagster.

Belongs here: how a name becomes a key, or the name of a job. Does not belong here: the names themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import dagster as dg

#: Here, since what it is made from must know it too.
VECTOR_INPUTS = "vector_inputs"
UNDATED_VECTOR_INPUTS = "undated_vector_inputs"
VECTOR_STORE = "vector_store"
BULK_CORPUS = "bulk_corpus"
CORPUS_VECTOR_INPUTS = "corpus_vector_inputs"
#: What is made from downloads, without a request.
TEXT_ASSETS = (VECTOR_INPUTS, UNDATED_VECTOR_INPUTS)
#: Bounds how many download steps run at once, over all runs; the quota itself is kept by the permits. Here, since who
#: makes an instance need not load the steps.
API_POOL = "courtlistener_api"
#: The run to which an evaluation of a check belongs that no run has to do with.
CHECKED_WITHOUT_RUN = str(UUID(int=0))
#: Of the code of assets that only show what is stored; raised when they show the same in another way.
REPORT_VERSION = "1"
#: Of all our assets.
OWNERS = ["team:legal-data"]


@dataclass(frozen=True)
class Names:
    """The names below a prefix, which keeps two locations in one from clashing."""

    prefix: tuple[str, ...] = ()

    def key(self, asset: str) -> dg.AssetKey:
        """Return the key of one of our assets, such as `legal/dockets`."""
        return dg.AssetKey([*self.prefix, asset])

    def name(self, name: str) -> str:
        """Return the name of a job, sensor or schedule, or of an asset's op, such as `legal__dockets`."""
        return self.key(name).to_python_identifier()


def name_of(key: dg.AssetKey) -> str:
    """Return the name of one of our assets in Postgres, where the prefix does not count."""
    return key.path[-1]
