"""A run to which the API gives nothing that fits stops, says what has changed, and leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from courtlistener_assets.devkit.simulator import views
from tests.integration.pipeline_harness import MONTH, Pipeline

Change = Callable[[dict[str, Any]], None]
MONTHS = {"dagster/asset_partition_range_start": MONTH, "dagster/asset_partition_range_end": "scotus|2024-03-01"}
#: A key that objects of an endpoint have and others do not.
OWN_KEYS = {
    "dockets": "docket_number",
    "clusters": "sub_opinions",
    "opinions": "sha1",
    "docket-entries": "entry_number",
}


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change the objects of an endpoint as the server gives them, all or those with some ids."""
    selected = views._selected

    def of(endpoint: str, change: Change, only: set[int] | None = None) -> None:
        def changed(record: dict[str, Any], parameters: Any) -> dict[str, Any]:
            found: dict[str, Any] = dict(selected(record, parameters))
            if OWN_KEYS[endpoint] in record and (only is None or record["id"] in only):
                change(found)
            return found

        monkeypatch.setattr(views, "_selected", changed)

    return of


def said(result: Any, asset: str) -> str:
    [failed] = [event for event in result.get_step_failure_events() if event.step_key == asset]
    return str(failed.step_failure_data.user_failure_data.description)


def sent(pipeline: Pipeline) -> int:
    return len([entry for entry in pipeline.simulator.log if entry.endpoint != "api-usage"])


CHANGES: list[tuple[str, Change, str]] = [
    ("clusters", lambda body: body.update(docket_pk=body.pop("docket_id")), "docket_id is missing"),
    ("clusters", lambda body: body.update(docket_id=str(body["docket_id"])), "docket_id is '"),
    ("clusters", lambda body: body.update(cluster_redirections="none"), "cluster_redirections is not a list"),
    ("clusters", lambda body: body.update(date_modified=1717171717), "date_modified is 1717171717, not text"),
    ("dockets", lambda body: body.update(filed=body.pop("date_filed")), "date_filed is missing"),
    ("opinions", lambda body: body.update(cluster_id={"id": body["cluster_id"]}), "cluster_id is {'id': "),
    ("docket-entries", lambda body: body.update(docket=body["docket"] + "x"), "not the address of an object"),
    (
        "docket-entries",
        lambda body: (
            [document.update(text=document.pop("plain_text")) for document in body["recap_documents"]] and None
        ),
        "recap_documents.plain_text is missing",
    ),
]


@pytest.mark.parametrize(("endpoint", "how", "says"), CHANGES, ids=[each[2] for each in CHANGES])
def test_the_run_stops_with_the_first_difference_and_nothing_is_lost(
    pipeline: Pipeline, change: Callable[..., None], endpoint: str, how: Change, says: str
) -> None:
    asset = endpoint.replace("-", "_")
    change(endpoint, how)
    result = pipeline.run("downloads", tags=MONTHS, asset_selection=[dg.AssetKey(asset)])
    assert not result.success
    message = said(result, asset)
    assert "ApiChanged: The API has changed: /" in message
    assert says in message
    assert pipeline.materialized(asset) == set()
    assert pipeline.rows(f"SELECT count(*) FROM courtlistener.{asset}") == [(0,)]
    assert pipeline.rows("SELECT count(*) FROM courtlistener.failures") == [(0,)]
    assert pipeline.rows("SELECT count(*) FROM courtlistener.deferrals") == [(0,)]
    assert pipeline.rows("SELECT max(after_id), count(finished_at) FROM courtlistener.sweeps") == [(0, 0)]
    assert sent(pipeline) <= 4  # a page by each of the workers, before the first of them said so
    run = pipeline.instance.get_run_by_id(result.run_id)
    assert run
    assert run.tags["dagster/retry_on_asset_or_op_failure"] == "false"
    pipeline.make_due()
    assert pipeline.tick("retry_failed_dockets") == []


def test_what_is_left_of_the_run_stops_too(pipeline: Pipeline, change: Callable[..., None]) -> None:
    change("clusters", lambda body: body.pop("docket_id") and None)
    result = pipeline.run("downloads", MONTH)
    assert not result.success
    assert sent(pipeline) == 1
    assert [event.asset_key for event in result.get_asset_materialization_events()] == []
    assert "the first step of this run that failed says how" in said(result, "dockets")


def test_a_run_that_is_executed_again_looks_for_itself(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"courtlistener/api_changed": "the run before"}
    pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")], tags=tags, raise_on_error=True)
    assert pipeline.materialized("clusters") == {MONTH}


@pytest.mark.parametrize("bad", [1, 2])
def test_one_or_two_bad_objects_stop_nothing_even_if_they_are_all_of_a_month(
    pipeline: Pipeline, change: Callable[..., None], bad: int
) -> None:
    corpus = pipeline.simulator.corpus
    court = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    month = [c["id"] for c in corpus.clusters if c["date_filed"][:7] == "2024-01" and c["docket_id"] in court]
    for gone in month[bad:]:
        corpus.touch("clusters", gone, date_filed="2024-02-11")
    change("clusters", lambda body: body.update(docket_id=None), set(month[:bad]))
    pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")], raise_on_error=True)
    assert pipeline.materialized("clusters") == {MONTH}
    assert pipeline.rows("SELECT count(*) FROM courtlistener.failures") == [(bad,)]


def test_bad_objects_among_good_ones_stop_nothing(pipeline: Pipeline, change: Callable[..., None]) -> None:
    corpus = pipeline.simulator.corpus
    bad = {cluster["id"] for cluster in corpus.clusters if cluster["id"] % 2}
    change("clusters", lambda body: body.update(docket_id=None), bad)
    pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")], raise_on_error=True)
    [(failed,)] = pipeline.rows("SELECT count(*) FROM courtlistener.failures")
    assert failed > 3


def test_months_of_one_object_each_add_up(pipeline: Pipeline, change: Callable[..., None]) -> None:
    corpus = pipeline.simulator.corpus
    court = {docket["id"] for docket in corpus.dockets if docket["court_id"] == "scotus"}
    left: set[str] = set()
    for cluster in corpus.clusters:
        month = cluster["date_filed"][:7]
        if cluster["docket_id"] in court and month in left:
            corpus.touch("clusters", cluster["id"], date_filed="2020-01-01")
        elif cluster["docket_id"] in court:
            left.add(month)
    change("clusters", lambda body: body.update(docket_id=None))
    until = MONTHS | {"dagster/asset_partition_range_end": "scotus|2024-06-01"}
    result = pipeline.run("downloads", tags=until, asset_selection=[dg.AssetKey("clusters")])
    assert "None of the last 3 objects fits" in said(result, "clusters")


def test_retries_of_what_failed_before_are_no_sign_of_a_change(pipeline: Pipeline, change: Callable[..., None]) -> None:
    corpus = pipeline.simulator.corpus
    change("clusters", lambda body: body.update(docket_id=None), {cluster["id"] for cluster in corpus.clusters[::2]})
    pipeline.run("downloads", MONTH, asset_selection=[dg.AssetKey("clusters")], raise_on_error=True)
    pipeline.make_due()
    [request] = pipeline.tick("retry_failed_dockets")
    assert pipeline.launch(request).success
    assert pipeline.rows("SELECT min(tries), max(tries) FROM courtlistener.failures") == [(2, 2)]
