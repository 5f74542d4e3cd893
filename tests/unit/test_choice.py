"""Which streams a location has: names, omitted fields, one precedential status."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

import courtlistener_assets
from courtlistener_assets.download.choice import chosen, default_streams, without_parents
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import OPINIONS
from courtlistener_assets.location import location
from courtlistener_assets.operations.doctor.settings_checks import read_settings
from courtlistener_assets.settings import Settings
from courtlistener_assets.text.cleaning import OPINION_FIELDS
from resources.errors import SettingError

PARTITION = CourtMonth("ca9", date(2024, 2, 1))
DEFAULT = ("dockets", "clusters", "opinions", "docket_entries")
ALL = (*DEFAULT, "oral_arguments", "people")


def definitions(streams: str, **more: str) -> dg.Definitions:
    found = location({"COURTLISTENER_STREAMS": streams, **more})
    dg.Definitions.validate_loadable(found)
    return found


def assets(found: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in found.resolve_asset_graph().get_all_asset_keys()}


def checks(found: dg.Definitions) -> set[str]:
    return {key.name for key in found.resolve_asset_graph().asset_check_keys}


def test_without_a_choice_there_are_the_four_streams_of_dockets_and_decisions() -> None:
    assert Settings.from_environ({}).streams == tuple(stream.name for stream in chosen()) == DEFAULT
    assert default_streams() == ",".join(DEFAULT)


def test_streams_keep_their_order_however_they_are_named() -> None:
    assert Settings.from_environ({"COURTLISTENER_STREAMS": " people, opinions,dockets,people"}).streams == (
        "dockets",
        "opinions",
        "people",
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("STREAMS", "dockets,opinion", "did you mean opinions?"),
        ("STREAMS", "audio", "there is no stream 'audio'"),
        ("STREAMS", ",", "names no stream"),
        ("OMIT_FIELDS", "html", "such as opinions.html"),
        ("OMIT_FIELDS", "opinions.html;date", "such as opinions.html"),
        ("OMIT_FIELDS", "opinion.html", "did you mean opinions?"),
        ("OMIT_FIELDS", "opinions.cluster_id", "opinions.cluster_id is needed"),
        ("OMIT_FIELDS", "people.date_modified", "people.date_modified is needed"),
        ("OMIT_FIELDS", "docket_entries.recap_documents__plain_text", "is needed"),
        ("OMIT_FIELDS", "oral_arguments.stt_transcript", "is needed"),
        ("OMIT_FIELDS", ",".join(f"opinions.{each}" for each in OPINION_FIELDS), "must stay in opinions"),
        ("PRECEDENTIAL_STATUS", "published", "did you mean Published?"),
        ("PRECEDENTIAL_STATUS", "Published,Unpublished", "there is no precedential status"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_with_what_was_meant(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError) as raised:
        Settings.from_environ({f"COURTLISTENER_{name}": value})
    assert expected in str(raised.value)
    assert f"COURTLISTENER_{name}" in str(raised.value)


def test_fields_are_omitted_stream_by_stream() -> None:
    fields = "opinions.html,opinions.xml_harvard,docket_entries.recap_documents"
    settings = Settings.from_environ({"COURTLISTENER_OMIT_FIELDS": fields})
    assert {stream.name: stream.omit for stream in settings.chosen_streams if stream.omit} == {
        "opinions": ("html", "xml_harvard"),
        "docket_entries": ("recap_documents",),
    }


def test_one_precedential_status_limits_decisions_their_opinions_and_their_dockets() -> None:
    streams = {stream.name: stream for stream in chosen(status="Published")}
    filed, decided = (sweep.params(PARTITION) for sweep in streams["dockets"].sweeps)
    assert "clusters__precedential_status" not in filed
    assert decided["clusters__precedential_status"] == "Published"
    assert {name: dict(stream.limits) for name, stream in streams.items()} == {
        "dockets": {},
        "clusters": {"precedential_status": "Published"},
        "opinions": {"cluster__precedential_status": "Published"},
        "docket_entries": {},
    }


def test_a_status_keeps_the_filters_that_an_entry_has_of_its_own() -> None:
    stream = replace(OPINIONS, limits={"type": "040dissent"}).limited_to("Published")
    assert stream.limits == {"type": "040dissent", "cluster__precedential_status": "Published"}


def test_oral_arguments_bring_their_dockets_along() -> None:
    assert [sweep.name for sweep in chosen()[0].sweeps] == ["filed", "decided"]
    dockets = chosen(("dockets", "oral_arguments"))[0]
    assert [sweep.name for sweep in dockets.sweeps] == ["filed", "decided", "argued"]
    assert dockets.sweeps[-1].params(PARTITION)["audio_files__date_created__gte"] == "2024-02-01T00:00:00Z"


def test_a_location_has_the_assets_and_checks_of_its_streams_only() -> None:
    found = definitions("dockets,oral_arguments")
    assert assets(found) & {*ALL, "vector_inputs", "court_changes"} == {
        "dockets",
        "oral_arguments",
        "vector_inputs",
        "court_changes",
    }
    assert {"oral_arguments_complete", "oral_arguments_have_dockets", "every_oral_argument_has_chunks"} <= checks(found)
    assert not [name for name in checks(found) if "opinion" in name or "entries" in name or "people" in name]


@pytest.mark.parametrize("streams", [*ALL, "clusters,people", ",".join(ALL)])
def test_every_choice_loads_with_jobs_sensors_and_schedules(streams: str) -> None:
    repository = definitions(streams).get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    for sensor in repository.sensor_defs:
        assert {target.job_name for target in sensor.targets} <= jobs
    assert ("court_month" in jobs) == (streams != "people")
    assert ("whole_streams" in jobs) == ("people" in streams)


def test_people_alone_need_neither_months_nor_text() -> None:
    found = definitions("people")
    assert assets(found) == {"people", "failed_dockets", "quota_usage", "completeness"}
    assert found.resolve_asset_graph().get(dg.AssetKey("people")).partitions_def is None


def test_streams_without_their_parents_say_what_is_missing() -> None:
    assert without_parents(chosen()) == ""
    said = without_parents(chosen(("opinions", "oral_arguments")))
    assert "The months of opinions come from clusters" in said
    assert "Without dockets, which COURTLISTENER_STREAMS leaves out, oral_arguments lack" in said
    found = definitions("opinions")
    description = found.resolve_asset_graph().get(dg.AssetKey("vector_inputs")).description
    assert "The months of opinions come from clusters" in str(description)
    # What cannot be compared with the server is not called incomplete.
    assert not [name for name in checks(found) if name.startswith("opinions_")]


def test_the_doctor_says_what_a_choice_lacks() -> None:
    found = read_settings({"COURTLISTENER_STREAMS": "opinions"}).findings
    assert [each.message for each in found if "The months of opinions come from clusters" in each.message]
    assert not [each.message for each in read_settings({}).findings if "leaves out" in each.message]


def test_a_stream_is_named_in_its_entry_and_nowhere_else_in_the_product() -> None:
    added = re.compile(r"oral[_ ]argument|[\"']people[\"']|[\"']audio[\"']", re.IGNORECASE)
    root = Path(courtlistener_assets.__file__).parents[1]
    files = [
        path
        for package in ("courtlistener_assets", "resources", "lua")
        for path in (root / package).rglob("*.*")
        # Objects of bulk files have the addresses of people.
        if path.suffix in (".py", ".sql", ".lua") and not {"simulator", "bulk"} & {*path.relative_to(root).parts}
    ]
    naming = {str(path.relative_to(root)) for path in files if added.search(path.read_text(encoding="utf-8"))}
    assert naming == {"courtlistener_assets/download/streams.py"}
