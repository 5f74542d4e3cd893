"""Numbers that no id can be are refused before a request is sent, with a message that says what to write."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.defs.assets.download_config import DownloadConfig
from tests.integration.pipeline_harness import MONTH, Pipeline

BEYOND = 2**63
NO_IDS: list[tuple[str, str, dict[str, Any], str]] = [
    ("downloads", "dockets", {"docket_ids": [7, -1]}, "-1 is not an id: take the number that CourtListener shows"),
    ("downloads", "dockets", {"docket_ids": [0]}, "0 is not an id"),
    ("downloads", "dockets", {"docket_ids": [BEYOND]}, "is not an id"),
    ("downloads", "dockets", {"docket_ids": [10**400]}, "is not an id"),
    ("downloads", "dockets", {"id_ranges": [{"sweep": "filed", "after_id": -1, "up_to_id": 5}]}, "-1 is not an id"),
    ("downloads", "dockets", {"id_ranges": [{"sweep": "filed", "after_id": 1, "up_to_id": BEYOND}]}, "is not an id"),
    ("downloads", "dockets", {"id_ranges": [{"sweep": "filed", "after_id": 9, "up_to_id": 5}]}, "must be greater"),
    ("requeue_dead_dockets", "requeue_dead", {"failure_ids": [BEYOND]}, "is not an id"),
    ("check_completeness", "completeness", {"sample": -1}, "greater than or equal to 0"),
]


@pytest.mark.parametrize(("job", "op", "config", "says"), NO_IDS, ids=lambda value: f"{value!s:.60}")
def test_a_number_that_is_no_id_is_refused(
    pipeline: Pipeline, job: str, op: str, config: dict[str, Any], says: str
) -> None:
    options: dict[str, Any] = {"run_config": {"ops": {op: {"config": config}}}}
    if job == "downloads":
        options |= {"partition": MONTH, "asset_selection": [dg.AssetKey(op)]}
    result = pipeline.run(job, **options)
    [failed] = result.get_step_failure_events()
    message = failed.step_failure_data.user_failure_data.description
    assert message.startswith("The run's configuration: ")
    assert says in message
    assert pipeline.simulator.log == []
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]


def test_the_ends_of_what_an_id_can_be_are_ids() -> None:
    ranges = [{"sweep": "filed", "after_id": 0, "up_to_id": BEYOND - 1}]
    config = DownloadConfig.model_validate({"docket_ids": [1, BEYOND - 1], "id_ranges": ranges})
    assert config.docket_ids == [1, BEYOND - 1]
