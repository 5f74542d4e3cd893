"""With the simulator, the partitions end where its data do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from courtlistener_assets.defs.assets.partitioning import court_months
from courtlistener_assets.devkit.session import session
from courtlistener_assets.devkit.session.simulator_process import SimulatorProcess
from courtlistener_assets.devkit.simulator.generator import generate
from courtlistener_assets.operations.status import plan_of
from courtlistener_assets.settings import Settings


@pytest.fixture(autouse=True)
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def simulator_process(*_: Any) -> Iterator[SimulatorProcess]:
        yield SimulatorProcess("http://127.0.0.1:1")

    monkeypatch.setattr(session, "simulator_process", simulator_process)


def settings(directory: Path, environ: Mapping[str, str]) -> Settings:
    with session._simulator(directory, environ, None, "5/min") as added:
        return Settings.from_environ({**environ, **added})


def test_the_months_offered_are_those_that_have_data(tmp_path: Path) -> None:
    found = settings(tmp_path, {})
    keys = court_months(found.courts, found.first_month, found.last_month).get_partition_keys()
    corpus = generate()
    own = {docket["id"] for docket in corpus.dockets if docket["court_id"] in found.courts}
    dates = [docket["date_filed"] for docket in corpus.dockets if docket["id"] in own and docket["date_filed"]]
    dates += [cluster["date_filed"] for cluster in corpus.clusters if cluster["docket_id"] in own]
    assert {f"{each[:7]}-01" for each in dates if each >= "2024"} == {key.partition("|")[2] for key in keys}
    assert len(keys) == plan_of(found, date(2026, 11, 26)).partitions["clusters"] == 12


def test_whoever_asks_for_later_months_gets_them(tmp_path: Path) -> None:
    assert settings(tmp_path, {"COURTLISTENER_FIRST_MONTH": "2025-01"}).last_month is None
    assert settings(tmp_path, {"COURTLISTENER_LAST_MONTH": "2024-02"}).last_month == date(2024, 2, 1)
