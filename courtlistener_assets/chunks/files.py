"""Files of the chunk table: on this machine or in any store that fsspec knows, replaced as a whole.

Belongs here: how a file comes to its place and how it is opened again. Does not belong here: what is in it
(`table.py`), which place it is (`assets/vector_inputs.py`).

A file is written to this machine's disk first. A local file is then renamed, an upload to an object store (`s3://`,
`gs://`, `abfs://`) becomes visible when it is complete: readers see the old file or the new one. Stores without such
uploads, such as `sftp://`, may show a part of the new file for a moment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import fsspec
from upath import UPath

from resources.errors import SettingError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

#: A path on this machine is a Path, a place anywhere else a UPath.
Location = Path | UPath


def location_of(value: str | Location) -> Location:
    """The place that a path (`data`) or a URL (`s3://bucket/data`) names; a place is one already.

    Raises SettingError for a URL that holds a secret, or whose kind is not known or not installed.
    """
    if not isinstance(value, str):
        return value
    if _may_hold_a_secret(value):
        # Quotes nothing: which part is the secret cannot be told, and a key may contain any character.
        raise SettingError(
            "the place is shown in the UI, so it may have neither a password nor, in a URL, a part after `?` or `#`: "
            "give credentials as the variables or files that the store's client reads, such as AWS_SECRET_ACCESS_KEY"
        )
    if "://" not in value:
        return Path(value)
    scheme = urlsplit(value).scheme
    try:
        fsspec.get_filesystem_class(scheme)
    except (ValueError, ImportError) as error:
        raise SettingError(f"{scheme}:// is no kind of URL that can be used here: {error}") from None
    place = UPath(value)
    return Path(place.path) if place.protocol in ("file", "local") else place


def _may_hold_a_secret(value: str) -> bool:
    place = value.partition("://")[2]
    # `abfs://container@account` and `sftp://user@host` are no secrets. A URL with a slash too few is a path.
    return ":" in (place or value).rpartition("@")[0] or any(mark in place for mark in "?#")


@contextmanager
def staged(location: Location) -> Iterator[Path]:
    """A name on this machine's disk for a file that is to replace the one at `location`; gone afterwards.

    For a local file it is beside it, so that `publish` can rename it. What killed processes have left
    is deleted.
    """
    if isinstance(location, Path):
        location.parent.mkdir(parents=True, exist_ok=True)
        directory, name = location.parent, f".{location.name}"
    else:
        place = hashlib.sha256(str(location).encode()).hexdigest()[:16]
        directory, name = Path(tempfile.gettempdir()), f".chunks-{place}-{location.name}"
    for left in directory.glob(f"{name}.*.tmp"):
        _delete_unless_in_use(left)
    file = directory / f"{name}.{uuid.uuid4().hex}.tmp"
    # What is put in its place by renaming it has the usual rights; what is uploaded is for nobody else to read.
    mode = 0o666 if isinstance(location, Path) else 0o600
    handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
    try:
        with suppress(OSError):  # A file system without locks.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)


def _delete_unless_in_use(file: Path) -> None:
    """Delete a staged file that no process holds: it may have text that is to be nowhere."""
    with suppress(OSError), file.open("rb") as source:
        fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)


def publish(file: Path, location: Location) -> None:
    """Put a staged file in its place."""
    if isinstance(location, Path):
        os.replace(file, location)
    else:
        location.fs.put_file(os.fspath(file), location.path)


@contextmanager
def opened(location: Location) -> Iterator[pq.ParquetFile]:
    """The Parquet file at `location`, of which no more is read at a time than is requested.

    This and reading from it raise FileNotFoundError, or what `unreadable` names if the file is damaged.
    """
    import pyarrow.parquet as pq  # A fifth of a second that commands without files of chunks need not pay.

    # Arrow would otherwise read all row groups ahead, and keep them.
    options: dict[str, Any] = {"pre_buffer": False, "page_checksum_verification": isinstance(location, Path)}
    if not isinstance(location, Path):
        location.fs.invalidate_cache()  # Another worker may have replaced it by a longer one.
    with location.open("rb") as source, pq.ParquetFile(source, **options) as file:
        yield file


def unreadable(location: Location) -> tuple[type[Exception], ...]:
    """The errors that reading the file at `location` raises if there is none, or a damaged one.

    Arrow raises OSError for damaged pages too. For a file that is not on this machine that may be trouble of the
    network, which says nothing about the file.
    """
    import pyarrow as pa

    absent_or_torn = OSError if isinstance(location, Path) else FileNotFoundError
    return (absent_or_torn, pa.ArrowException, KeyError, ValueError, OverflowError)


def shown(location: Location) -> str:
    """The place as a reader of the UI can use it."""
    return str(location.absolute()) if isinstance(location, Path) else str(location)
