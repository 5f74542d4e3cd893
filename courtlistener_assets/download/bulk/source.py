"""Where bulk files are: a URL of any kind that fsspec knows, or a directory; by default the public bucket.

Belongs here: finding a dump, and its bytes from any one on. Does not belong here: what is in the files.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import fsspec

from resources.errors import DumpDamaged, DumpMissing, DumpUnavailable, SettingError

#: The public bucket, which needs no account.
DEFAULT_URL = "s3://com-courtlistener-storage/bulk-data"
#: As long as one request for bytes may reasonably be.
CHUNK_BYTES = 4 << 20
_FILE = re.compile(r"(?:.*/)?([a-z][a-z_-]*)-(\d{4}-\d{2}-\d{2})\.csv\.bz2")
#: Seconds until the next attempt to read some bytes.
_PAUSES = (1.0, 5.0, 20.0)


@dataclass(frozen=True)
class DumpFile:
    """A file of a dump, and its size in bytes, packed; `version` is another one once the file was replaced."""

    table: str
    path: str
    size: int
    version: str = ""


@dataclass(frozen=True)
class Dump:
    """The files of one date, by table.

    `watermark` is the moment up to which every change is in them: each table was read at another time, from the day of
    the file's name on, in the server's time zone.
    """

    day: date
    files: dict[str, DumpFile]

    @property
    def watermark(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC) - timedelta(days=1)

    def size(self, tables: Iterable[str]) -> int:
        """How many bytes some of its files have, packed."""
        return sum(self.files[table].size for table in tables if table in self.files)


class BulkSource:
    """A place with dumps; raises SettingError for a kind of URL that cannot be used.

    No credentials of ours go there: a bucket is read without an account.
    """

    def __init__(self, url: str = DEFAULT_URL, *, pause: Callable[[float], None] = time.sleep) -> None:
        options: dict[str, Any] = {"anon": True} if url.startswith(("s3://", "s3a://")) else {}
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            install = 'pip install "courtlistener-assets[s3]"' if options else error
            raise SettingError(f"to read the bulk data from {url} takes a package: {install}") from None
        except ValueError as error:
            raise SettingError(f"the bulk data cannot be read from {url}: {error}") from None
        self.url, self._pause = url, pause

    def dumps(self) -> list[Dump]:
        """All dumps, the newest first, whatever files they have. Raises DumpUnavailable and DumpMissing."""
        found: dict[date, dict[str, DumpFile]] = {}
        for entry in self._listed():
            path = str(entry["name"])
            if match := _FILE.fullmatch(path):
                file = DumpFile(match[1], path, _size_of(entry), _version_of(entry))
                found.setdefault(date.fromisoformat(match[2]), {})[match[1]] = file
        return [Dump(day, found[day]) for day in sorted(found, reverse=True)]

    def newest(self, tables: Iterable[str], day: date | None = None) -> Dump:
        """The newest dump with all of these tables, or that of a day.

        Raises DumpMissing, which names what the newest one lacks: a new dump appears file by file over days.
        """
        tables, dumps = list(tables), [dump for dump in self.dumps() if day in (None, dump.day)]
        for dump in dumps:
            if all(table in dump.files for table in tables):
                return Dump(dump.day, dump.files | {table: self._sized(dump.files[table]) for table in tables})
        if not dumps:
            raise DumpMissing(f"{self.url} has no bulk data" + (f" of {day}" if day else ""))
        lacking = ", ".join(table for table in tables if table not in dumps[0].files)
        raise DumpMissing(f"no dump at {self.url} has all tables; that of {dumps[0].day} lacks {lacking}")

    def chunks(self, file: DumpFile, start: int = 0) -> Iterator[bytes]:
        """The bytes of a file from `start` on; while some are used, the next ones are read.

        Raises DumpUnavailable, and DumpDamaged if the file is shorter than it was when it was found.
        """
        with ThreadPoolExecutor(1, "bulk-read") as reader:
            begins = range(start, file.size, CHUNK_BYTES)
            coming = [reader.submit(self._read, file, begin) for begin in begins[:1]]
            for following in [*begins[1:], None]:
                present = coming.pop() if coming else None
                if following is not None:
                    coming.append(reader.submit(self._read, file, following))
                if present:
                    yield present.result()

    def _read(self, file: DumpFile, begin: int) -> bytes:
        end = min(begin + CHUNK_BYTES, file.size)
        for pause in (*_PAUSES, None):
            try:
                data: bytes = self._files.cat_file(file.path, start=begin, end=end)
            except FileNotFoundError as error:
                raise DumpMissing(f"{file.path} is not there any more") from error
            except Exception as error:  # Each kind of place has errors of its own.
                if pause is None:
                    raise DumpUnavailable(f"{file.path} cannot be read at byte {begin:,}: {error}") from error
                self._pause(pause)
            else:
                if len(data) > end - begin:
                    raise DumpUnavailable(f"{self.url} serves no parts of files")
                if len(data) < end - begin:
                    raise DumpDamaged(f"{file.path} is cut at byte {begin + len(data):,}, of {file.size:,}")
                return data
        raise AssertionError

    def _listed(self) -> Iterator[dict[str, Any]]:
        """The files of the place as they are now: some kinds of places remember what they have listed."""
        self._files.invalidate_cache()
        try:
            entries = self._files.ls(self._root, detail=True)
        except FileNotFoundError as error:
            raise DumpMissing(f"{self.url} does not exist") from error
        except Exception as error:
            raise DumpUnavailable(f"{self.url} cannot be listed: {error}") from error
        return (entry for entry in entries if entry.get("type") == "file")

    def _sized(self, file: DumpFile) -> DumpFile:
        """A file with its size, which the list of a web server lacks."""
        if file.size >= 0:
            return file
        try:
            entry = self._files.info(file.path)
        except Exception as error:
            raise DumpUnavailable(f"{file.path} cannot be read: {error}") from error
        if (size := _size_of(entry)) < 0:
            raise DumpUnavailable(f"{self.url} does not say how large its files are")
        return replace(file, size=size, version=_version_of(entry))


def _size_of(entry: Mapping[str, Any]) -> int:
    """The size of a file in a list, -1 if it is not said."""
    size = entry.get("size")
    return -1 if size is None else int(size)


def _version_of(entry: Mapping[str, Any]) -> str:
    """What changes when a file is replaced, as far as its place says so."""
    known = (entry.get(name) for name in ("ETag", "LastModified", "mtime"))
    return next((str(each) for each in known if each is not None), "")
