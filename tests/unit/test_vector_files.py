"""A partition's file goes to a directory or to any store that fsspec knows, and is replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from courtlistener_assets.building.partition import chunks_path
from courtlistener_assets.chunks import log_files
from courtlistener_assets.chunks.changes import Diff
from courtlistener_assets.chunks.document import Document
from courtlistener_assets.chunks.files import Location, location_of, opened, shown
from courtlistener_assets.chunks.news import chain, changes_since, whole_state
from courtlistener_assets.chunks.table import SCHEMA, made_by, write_partition
from courtlistener_assets.download.partitions import CourtMonth
from courtlistener_assets.download.streams import OPINION
from courtlistener_assets.operations.doctor.findings import Severity
from courtlistener_assets.operations.doctor.settings_checks import check_data_directory
from courtlistener_assets.settings import Settings
from resources.errors import SettingError, TooLate
from tests.chunk_rows import rows_of
from tests.numbers_in_memory import log_in_memory

PARTITION = CourtMonth.parse("ca9|2024-02-01")


def rows(*texts: str) -> list[dict[str, Any]]:
    bodies = [{"id": number, "plain_text": text} for number, text in enumerate(texts, 1)]
    return [row for body in bodies for row in rows_of(Document(kind=OPINION, body=body, docket_id=1, court_id="ca9"))]


def read(location: Location) -> list[dict[str, Any]]:
    with opened(location) as file:
        return file.read().to_pylist()


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A bucket in an S3 stand-in on this machine."""
    s3fs = pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    import boto3

    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=["directory", "memory", "s3"])
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "directory":
        return location_of(str(tmp_path / "data"))
    if request.param == "memory":
        return location_of(f"memory://{uuid4().hex}/data")
    return location_of(f"{request.getfixturevalue('s3_url')}/{uuid4().hex}")


def test_a_file_is_written_read_compared_and_replaced_wherever_it_is(data_dir: Location) -> None:
    place = chunks_path(data_dir, PARTITION)
    log = log_in_memory(data_dir)

    def write(*texts: str) -> Diff:
        return write_partition(rows(*texts), place, metadata={"max_tokens": "512"}, telling=log.telling(place))

    first = write("One.", "Two.")
    assert (first.added, first.written) == (2, True)
    assert read(place) == rows("One.", "Two.")

    again = write("One.", "Two.")
    assert (again.written, bool(again), again.unchanged) == (False, False, 2)

    second = write("One.", "Three.")
    assert (second.added, second.removed, second.unchanged) == (1, 1, 1)
    assert read(place) == rows("One.", "Three.")
    assert log_files.numbers(log_files.log_dir(data_dir)) == [1, 2]
    last = log_files.numbered(log_files.log_dir(data_dir), 2)
    assert {row["change"] for row in read(last)} == {"added", "removed"}
    with opened(place) as file:
        assert file.schema_arrow.equals(SCHEMA)
        assert made_by(file) == {"max_tokens": "512"}


def test_a_run_that_fails_leaves_the_old_file_and_nothing_else(data_dir: Location) -> None:
    place = chunks_path(data_dir, PARTITION)
    write_partition(rows("One."), place)

    def failing() -> Iterator[dict[str, Any]]:
        yield from rows("Two.")
        raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError):
        write_partition(failing(), place)
    assert read(place) == rows("One.")
    assert sorted(path.name for path in place.parent.iterdir()) == ["chunks.parquet"]


def test_a_damaged_file_is_written_again_wherever_it_is(data_dir: Location) -> None:
    place = chunks_path(data_dir, PARTITION)
    write_partition(rows("One.", "Two."), place)
    place.write_bytes(place.read_bytes()[:-100])
    diff = write_partition(rows("One.", "Two."), place)
    assert (diff.added, diff.written) == (2, True)
    assert read(place) == rows("One.", "Two.")


def test_a_change_is_that_of_what_was_told_also_if_the_file_is_damaged_or_gone(data_dir: Location) -> None:
    place, log = chunks_path(data_dir, PARTITION), log_in_memory(data_dir)
    write_partition(rows("One.", "Two.", "Three."), place, telling=log.telling(place))
    for damage in (lambda: place.write_bytes(place.read_bytes()[:-100]), place.unlink):
        damage()
        last = chain(data_dir).last
        diff = write_partition(rows("One.", "Four."), place, telling=log.telling(place))
        assert (diff.added, diff.removed, diff.relabelled) == (1, 2, 1)
        with changes_since(data_dir, last) as news:
            assert news.counts() == {"embed": 1, "relabel": 1, "delete": 2}
        write_partition(rows("One.", "Two.", "Three."), place, telling=log.telling(place))


@pytest.mark.parametrize("lost", ["the numbers", "an entry", "the last entry", "all of it", "all of both"])
def test_a_log_of_which_something_is_lost_is_begun_anew_from_the_dataset(data_dir: Location, lost: str) -> None:
    place, log = chunks_path(data_dir, PARTITION), log_in_memory(data_dir)
    for texts in (["One.", "Two."], ["One.", "Three."]):
        write_partition(rows(*texts), place, telling=log.telling(place))
    for number in {"an entry": [1], "the last entry": [2]}.get(lost, [1, 2] if lost.startswith("all") else []):
        log_files.numbered(log_files.log_dir(data_dir), number).unlink()
    if lost.startswith("all"):  # Nobody deletes what it does not find in a log that is not there.
        with pytest.raises(TooLate), whole_state(data_dir):
            pass
    if lost in ("the numbers", "all of both"):
        log = log_in_memory(data_dir)
    log.open()
    if lost == "all of both":
        assert chain(data_dir).compacted == 1
        with whole_state(data_dir) as news:
            assert news.counts() == {"embed": 2, "relabel": 0, "delete": 0}
        return
    assert (chain(data_dir).compacted, list(chain(data_dir).numbers)) == (3, [])
    write_partition(rows("One."), place, telling=log.telling(place))
    with pytest.raises(TooLate), changes_since(data_dir, 2):
        pass
    with whole_state(data_dir) as news:
        assert news.sequence == 4
        assert [row["text"] for batch in news.to_embed() for row in batch.to_pylist()] == ["One."]


def test_the_log_is_compacted_and_says_who_is_too_late(data_dir: Location) -> None:
    place, log = chunks_path(data_dir, PARTITION), log_in_memory(data_dir)
    for texts in (["One.", "Two."], ["One.", "Three."], ["Four."]):
        write_partition(rows(*texts), place, telling=log.telling(place))
    assert log.compact(0)
    assert log_files.numbers(log_files.log_dir(data_dir)) == []
    assert log_files.numbers(log_files.compacted_dir(data_dir)) == [3]
    with pytest.raises(TooLate), changes_since(data_dir, 2):
        pass
    write_partition(rows("Four.", "Five."), place, telling=log.telling(place))
    with changes_since(data_dir, 3) as news:
        assert [row["text"] for batch in news.to_embed() for row in batch.to_pylist()] == ["Five."]
    with whole_state(data_dir) as news:
        assert news.sequence == 4
        assert {row["text"] for batch in news.to_embed() for row in batch.to_pylist()} == {"Four.", "Five."}
        assert all(news.is_there(row["chunk_id"]) for row in read(place))
        assert not news.is_there(rows("One.")[0]["chunk_id"])


def test_who_reads_the_log_while_it_is_compacted_reads_the_newer_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place, log = chunks_path(tmp_path, PARTITION), log_in_memory(tmp_path)
    for texts in (["One.", "Two."], ["One.", "Three."]):
        write_partition(rows(*texts), place, telling=log.telling(place))
    read_file = log_files.read
    compactions = iter([True])

    def read_late(location: Location) -> Iterator[pa.RecordBatch]:
        if next(compactions, False):
            log.compact(0)
        return read_file(location)

    monkeypatch.setattr(log_files, "read", read_late)
    with whole_state(tmp_path) as news:
        assert news.counts() == {"embed": 2, "relabel": 0, "delete": 0}
    write_partition(rows("Four."), place, telling=log.telling(place))
    compactions = iter([True])
    assert [batch.num_rows for batch in log.state_of("court=ca9/month=2024-02")] == [1]
    assert not caplog.records, "it is no reason to begin a new log"


def test_trouble_of_the_network_is_no_reason_to_write_a_file_again(monkeypatch: pytest.MonkeyPatch) -> None:
    place = chunks_path(location_of(f"memory://{uuid4().hex}/data"), PARTITION)
    write_partition(rows("One."), place)

    def unreachable(*args: object, **options: object) -> None:
        raise TimeoutError("the store does not answer")

    with monkeypatch.context() as network:
        network.setattr(MemoryFileSystem, "_open", unreachable)
        with pytest.raises(TimeoutError, match="does not answer"):
            write_partition(rows("Two."), place)
    assert read(place) == rows("One.")


def test_other_metadata_is_a_reason_to_write_and_no_change_of_chunks(tmp_path: Path) -> None:
    write_partition(rows("One."), tmp_path / "chunks.parquet", metadata={"max_tokens": "512"})
    diff = write_partition(rows("One."), tmp_path / "chunks.parquet", metadata={"max_tokens": "256"})
    assert (bool(diff), diff.written, diff.unchanged) == (False, True, 1)
    assert made_by(pq.ParquetFile(tmp_path / "chunks.parquet")) == {"max_tokens": "256"}


@pytest.mark.parametrize("value", ["data", "/srv/data", "file:///srv/data"])
def test_a_path_or_file_url_is_a_directory_of_this_machine(value: str) -> None:
    place = location_of(value)
    assert isinstance(place, Path)
    assert shown(place).startswith("/")


def test_a_url_is_shown_as_it_is() -> None:
    place = chunks_path(location_of("memory://bucket/data"), PARTITION)
    assert isinstance(place, UPath)
    assert shown(place) == "memory://bucket/data/vector_inputs/court=ca9/month=2024-02/chunks.parquet"


def test_a_url_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^nonsense:// is no kind of URL"):
        location_of("nonsense://bucket")


def test_the_setting_takes_a_directory_or_a_url() -> None:
    assert Settings.from_environ({"COURTLISTENER_DATA_DIR": "/srv/data"}).data_dir == Path("/srv/data")
    assert str(Settings.from_environ({"COURTLISTENER_DATA_DIR": "memory://b/data"}).data_dir) == "memory://b/data"
    with pytest.raises(SettingError, match=r"COURTLISTENER_DATA_DIR.*nonsense"):
        Settings.from_environ({"COURTLISTENER_DATA_DIR": "nonsense://b"})


def test_the_doctor_tries_to_write_to_a_store_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_environ({"COURTLISTENER_DATA_DIR": f"memory://{uuid4().hex}/data"})
    place = settings.data_dir
    [finding] = check_data_directory(settings)
    assert finding.severity is Severity.OK
    assert not place.exists() or not list(place.iterdir())

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError("access denied")

    monkeypatch.setattr(type(place.fs), "_open", refuse)
    [finding] = check_data_directory(settings)
    assert finding.severity is Severity.ERROR
    assert "access denied" in finding.message
