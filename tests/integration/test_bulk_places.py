"""Bulk files in a bucket and behind a web server: read without an account, and nothing of ours is sent there."""

from __future__ import annotations

import functools
import http.server
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import fsspec
import pytest

from courtlistener_assets.devkit.bulk.invented import Invented, Size
from courtlistener_assets.download.bulk.bootstrap import TABLES
from courtlistener_assets.download.bulk.passes import Passes
from courtlistener_assets.download.bulk.source import CHUNK_BYTES, BulkSource
from courtlistener_assets.download.bulk.work import Workshop
from resources.errors import DumpUnavailable, SettingError
from tests.bulk_files import DAY, EVERYTHING

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAOURSNOTTHEIRS",
    "AWS_SECRET_ACCESS_KEY": "oursecret",
    "AWS_SESSION_TOKEN": "oursession",
    "COURTLISTENER_API_TOKEN": "ourtoken",
}


@dataclass
class Bucket:
    """A bucket in moto's server, and the heads of all requests that came."""

    url: str
    heads: list[dict[str, str]] = field(default_factory=list)

    def put(self, folder: Path) -> None:
        writer = fsspec.filesystem("s3", key="test", secret="test", skip_instance_cache=True)
        for path in folder.iterdir():
            writer.pipe_file(f"{self.url}/{path.name}", path.read_bytes(), ACL="public-read")
        self.heads.clear()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server")
    serving = pytest.importorskip("werkzeug.serving")
    application = server.DomainDispatcherApplication(server.create_backend_app)
    found = Bucket("s3://com-courtlistener-storage/bulk-data")

    def noting(environ: dict[str, Any], start_response: Any) -> Any:
        asked = {"path": environ["PATH_INFO"], "query": environ["QUERY_STRING"]}
        found.heads.append(asked | {key: value for key, value in environ.items() if key.startswith("HTTP_")})
        return application(environ, start_response)

    stand_in = serving.make_server("127.0.0.1", 0, noting, threaded=True)
    thread = threading.Thread(target=stand_in.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{stand_in.server_port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3", key="test", secret="test", skip_instance_cache=True).mkdir("com-courtlistener-storage")
    yield found
    s3fs.S3FileSystem.clear_instance_cache()
    stand_in.shutdown()
    thread.join()


def read(source: BulkSource, work: Path) -> int:
    shop = Workshop(work, {})
    return len(Passes(source, source.newest(TABLES), EVERYTHING, shop).run().opinions)


def test_a_bucket_is_read_without_an_account(bucket: Bucket, tmp_path: Path) -> None:
    invented = Invented(Size(dockets=40, words=40))
    invented.write(tmp_path / "dump", DAY)
    bucket.put(tmp_path / "dump")
    source = BulkSource(bucket.url)
    assert read(source, tmp_path / "work") == invented.decisions * 3 // 2
    assert "list-type=2" in str(bucket.heads)
    assert any(head.get("HTTP_RANGE", "").startswith("bytes=0-") for head in bucket.heads)
    sent = str(bucket.heads)
    assert not [secret for secret in SECRETS.values() if secret in sent]
    assert not re.search("authorization|signature|security_token|credential", sent, re.IGNORECASE)
    # A new dump is seen, whatever was listed before.
    invented.write(tmp_path / "next", date(2026, 12, 31))
    bucket.put(tmp_path / "next")
    assert BulkSource(bucket.url).newest(TABLES).day == date(2026, 12, 31)


def test_a_bucket_takes_a_package_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(SettingError, match=r'pip install "courtlistener-assets\[s3\]"'):
        BulkSource()


# --- a web server -----------------------------------------------------------------------------------------------------


class InParts(http.server.SimpleHTTPRequestHandler):
    """Serves a directory, its list, and parts of files."""

    def send_head(self) -> Any:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not asked:
            return super().send_head()
        data = Path(self.translate_path(self.path)).read_bytes()[int(asked[1]) : int(asked[2]) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class Whole(InParts):
    """Serves whole files only."""

    send_head = http.server.SimpleHTTPRequestHandler.send_head


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")
    (tmp_path / "dump").mkdir()
    handler = functools.partial(request.param, directory=str(tmp_path / "dump"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("served", [InParts], indirect=True)
def test_a_directory_of_a_web_server_is_read(served: str, tmp_path: Path) -> None:
    invented = Invented(Size(dockets=40, words=40))
    invented.write(tmp_path / "dump", DAY)
    source = BulkSource(served)
    assert source.newest(TABLES).size(["opinions"]) == (tmp_path / "dump" / f"opinions-{DAY}.csv.bz2").stat().st_size
    assert read(source, tmp_path / "work") == invented.decisions * 3 // 2


@pytest.mark.parametrize("served", [Whole], indirect=True)
def test_a_web_server_that_serves_no_parts_is_named(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Invented(Size(dockets=40)).write(tmp_path / "dump", DAY)
    monkeypatch.setattr("courtlistener_assets.download.bulk.source.CHUNK_BYTES", 1_000)
    assert CHUNK_BYTES > 1_000
    with pytest.raises(DumpUnavailable, match="serves no parts of files"):
        read(BulkSource(served, pause=lambda seconds: None), tmp_path / "work")
