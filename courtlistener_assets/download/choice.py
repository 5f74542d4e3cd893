"""Which streams a location has, and what of them: COURTLISTENER_STREAMS and its companions.

Belongs here: reading and checking the choice. Does not belong here: what a stream is (`streams.py`).
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from courtlistener_assets.download import streams as known
from courtlistener_assets.download.stream import Stream
from resources.errors import SettingError
from resources.records.tables import Table

_FIELD = re.compile(r"[a-z0-9_]+")
PRECEDENTIAL_STATUSES = ("Published", "Unpublished", "Errata", "Separate", "In-chambers", "Relating-to", "Unknown")


def default_streams() -> str:
    """The streams of a location that does not choose, as the setting would name them."""
    return ",".join(stream.name for stream in known.STREAMS if stream.by_default)


def stream_names(value: str) -> tuple[str, ...]:
    """Read `dockets,clusters`; raises SettingError for a name that there is not. The order is always the same."""
    wanted = {_nearest(name, [stream.name for stream in known.STREAMS], "stream") for name in _items(value)}
    if not wanted:
        raise SettingError(f"{value!r} names no stream")
    return tuple(stream.name for stream in known.STREAMS if stream.name in wanted)


def omitted_fields(value: str) -> tuple[str, ...]:
    """Read `opinions.html,docket_entries.recap_documents`; raises SettingError for a field that is needed."""
    names = tuple(_items(value))
    omitted = _by_stream(names)
    for stream in known.STREAMS:
        _check_omitted(stream, omitted[stream.name])
    return names


def precedential_status(value: str) -> str:
    """Read a precedential status; the server takes one or none."""
    return _nearest(value, PRECEDENTIAL_STATUSES, "precedential status") if value else ""


def chosen(names: Sequence[str] = (), omit: Iterable[str] = (), status: str = "") -> tuple[Stream, ...]:
    """The streams of a location; `names` are the default ones if there are none."""
    names, omitted = names or stream_names(default_streams()), _by_stream(omit)
    streams = [stream for stream in known.STREAMS if stream.name in names]
    return tuple(
        replace(
            stream,
            omit=tuple(dict.fromkeys((*stream.omit, *omitted[stream.name]))),
            sweeps=stream.sweeps
            + tuple(sweep for child in streams if child.parent == stream.name for sweep in child.parent_sweeps),
        ).limited_to(status)
        for stream in streams
    )


def known_tables() -> list[Table]:
    """The tables of all streams that there are, parents before their children."""
    return [table for stream in known.STREAMS for table in stream.tables]


def without_parents(streams: Sequence[Stream]) -> str:
    """What is missing because the streams that others hang on are not chosen, as sentences; "" if nothing is."""
    names = {stream.name for stream in streams}
    return " ".join(
        f"The months of {stream.name} come from {stream.parent}, which COURTLISTENER_STREAMS leaves out: they are "
        "downloaded, but are in no vector inputs and cannot be compared."
        if not stream.table.dated
        else f"Without {stream.parent}, which COURTLISTENER_STREAMS leaves out, {stream.name} lack what only those say."
        for stream in streams
        if stream.parent and stream.parent not in names
    )


def _items(value: str) -> list[str]:
    return list(dict.fromkeys(item.strip() for item in value.split(",") if item.strip()))


def _nearest(name: str, names: Sequence[str], what: str) -> str:
    """The name, if it is one of them; raises SettingError with the one that was meant otherwise."""
    if name in names:
        return name
    nearest = difflib.get_close_matches(name.lower(), {each.lower(): each for each in names}, n=1)
    meant = [each for each in names if each.lower() in nearest]
    raise SettingError(
        f"there is no {what} {name!r}; " + (f"did you mean {meant[0]}?" if meant else f"there are {', '.join(names)}")
    )


def _by_stream(names: Iterable[str]) -> defaultdict[str, list[str]]:
    omitted: defaultdict[str, list[str]] = defaultdict(list)
    for item in names:
        name, separator, field = item.partition(".")
        if not separator or not _FIELD.fullmatch(field):
            raise SettingError(f"{item!r} is not a stream and a field such as opinions.html")
        omitted[_nearest(name, [stream.name for stream in known.STREAMS], "stream")].append(field)
    return omitted


def _check_omitted(stream: Stream, fields: Sequence[str]) -> None:
    needed = [field for field in fields if field in stream.needs]
    if needed:
        raise SettingError(f"{stream.name}.{needed[0]} is needed and cannot be omitted")
    if stream.alternatives and not set(stream.alternatives) - {*fields, *stream.omit}:
        raise SettingError(f"one of {', '.join(stream.alternatives)} must stay in {stream.name}: there is the text")
