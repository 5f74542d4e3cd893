"""An entry of a list of failed dockets: how ours are written, and how those of other programs are read.

Belongs here: text on one side, a failure on the other. Does not belong here: where an entry stands
(`failure_lists.py`), and what becomes of one that another program pushed (`adoption.py`).

Other programs write a failure in our form without `failure`, at least {"asset": .., "partition": .., "docket_id": ..},
or as the replaced pipeline does: {"docket_id": .., "api_calls": .., "error": .., "timestamp": ..}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from resources.connections.redis_keys import hour_stamp
from resources.records.model import Failure

#: The asset that brings a docket of which only its id is known.
DOCKETS = "dockets"
#: In place of the partition of a docket whose court is not known yet, and of what is no failure at all.
NOWHERE = ""
#: The error of an entry that cannot be read, and of one that names no class as its error.
UNREADABLE, FAILED_ELSEWHERE = "UnreadableEntry", "FailedElsewhere"

_IDENTITY = re.compile(rb'\{"id": (\d{1,18}), "failure": "[^"]*"')
#: How the name of a sweep that is walked in part ends.
_PART = re.compile(r":[0-9]+-[0-9]+\Z")
_ERROR_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_SHOWN = 1000


@dataclass(frozen=True, kw_only=True)
class OpenFailure(Failure):
    """A failure as Postgres keeps it; `tries` counts how often it failed, `due_at` is when it may be retried."""

    id: int
    asset: str
    partition: str
    sweep: str
    tries: int
    first_at: datetime
    last_at: datetime
    due_at: datetime
    claimed_by: str | None = None
    resolved_at: datetime | None = None
    dead_at: datetime | None = None

    @property
    def hour(self) -> str:
        """The hour in which it first failed, as in the name of its list."""
        return hour_stamp(self.first_at.astimezone(UTC))

    @property
    def identity(self) -> str:
        """The beginning of its entry, by which our entries are recognized. The Lua scripts rely on that."""
        return identity_of(self.id, self.asset, _target(self.asset, self.sweep, self))

    def entry(self) -> str:
        """Return the failure as an element of a list: JSON that begins with its identity."""
        shown = {**asdict(self), "message": self.message[:300]}
        for name in ("id", "due_at", "claimed_by", "resolved_at", "dead_at"):
            del shown[name]
        rest = json.dumps({name: _plain(value) for name, value in shown.items()})
        return f"{self.identity}, {rest.removeprefix('{')}"


def identity_of(id: int, asset: str, target: str) -> str:
    """Return how our entry of a failure begins: its id, and what it is, since the number may be another program's.

    Nothing of it ever changes.
    """
    what = f"{asset} {target}".strip()
    return f'{{"id": {id}, "failure": {json.dumps(what.translate(_QUOTES))}'


def identity_in(entry: bytes) -> tuple[int, str] | None:
    """Return the id and identity of an entry in our form; None if it has another."""
    match = _IDENTITY.match(entry)
    return (int(match[1]), match[0].decode(errors="replace")) if match else None


@dataclass(frozen=True)
class PushedFailure(Failure):
    """A failure that another program has met; `partition` is NOWHERE where the entry names none."""

    asset: str = DOCKETS
    partition: str = NOWHERE
    sweep: str = ""
    first_at: datetime | None = None


@dataclass(frozen=True)
class Unreadable:
    """Why an entry is no failure that could be retried, and its text."""

    reason: str
    text: str

    @property
    def message(self) -> str:
        return f"{self.reason}: {self.text}"


def read_entry(entry: bytes) -> PushedFailure | Unreadable:
    """Read an entry that another program has pushed."""
    text = entry[:_SHOWN].decode(errors="backslashreplace").replace("\0", "\\0")
    try:
        fields = json.loads(entry)
        if not isinstance(fields, dict):
            raise ValueError("it is not a JSON object")
        return _read(fields)
    except RecursionError:
        return Unreadable("it is nested without end", text)
    except UnicodeDecodeError:
        return Unreadable("it is not UTF-8", text)
    except json.JSONDecodeError:
        return Unreadable("it is not JSON", text)
    except ValueError as error:
        return Unreadable(str(error), text)


def _read(fields: Mapping[str, Any]) -> PushedFailure:
    docket_id, object_id, after_id, up_to_id = (
        _id(fields, name) for name in ("docket_id", "object_id", "after_id", "up_to_id")
    )
    asset, partition, sweep = (_text(fields, name) for name in ("asset", "partition", "sweep"))
    if docket_id is None and ((object_id is None and up_to_id is None) or not (asset and partition and sweep)):
        raise ValueError("it names no docket_id, and no asset, partition and sweep with object_id or up_to_id")
    if bool(asset) != bool(partition) and (asset or DOCKETS) != DOCKETS:
        raise ValueError(f"it names the asset {asset:.80} and no partition")
    if docket_id is None and object_id is None and (after_id or 0) >= (up_to_id or 0):
        raise ValueError(f"up_to_id is {up_to_id}, which is not above after_id")
    said = _shown(fields.get("message") or fields.get("error") or "")
    error = fields.get("error")
    return PushedFailure(
        error=error if isinstance(error, str) and _ERROR_NAME.fullmatch(error) else FAILED_ELSEWHERE,
        message=said,
        docket_id=docket_id,
        object_id=object_id,
        after_id=after_id,
        up_to_id=up_to_id,
        requests=_count(fields.get("requests", fields.get("api_calls"))),
        asset=asset or DOCKETS,
        partition=partition,
        sweep=sweep or (f"docket:{docket_id}" if docket_id else ""),
        first_at=_moment(fields.get("first_at", fields.get("timestamp"))),
    )


def _id(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not 0 <= value < 2**63 or (value == 0 and name != "after_id"):
        raise ValueError(f"{name} is {_shown(value):.80}, not an id")
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is {_shown(value):.80}, not text")
    return _shown(value or "")[:200]


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**31 else 0


def _moment(value: Any) -> datetime | None:
    """A time as text or in seconds since 1970, None for any other value and for the future."""
    try:
        moment = datetime.fromtimestamp(value, UTC) if type(value) in (int, float) else datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return moment if moment <= datetime.now(UTC) else None


def _shown(value: Any) -> str:
    """A value as text that Postgres takes."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:_SHOWN].replace("\0", "\\0").encode(errors="backslashreplace").decode()


def _target(asset: str, sweep: str, failure: Failure) -> str:
    """The column `target` of `courtlistener.failures`."""
    if not asset:
        return f"entry {sweep}"
    if failure.object_id is not None:
        return f"object {failure.object_id}"
    if failure.docket_id is not None:
        return f"docket {failure.docket_id}"
    return f"after {failure.after_id or 0} of {_PART.sub('', sweep)}"


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else value


#: What an identity cannot hold, as the patterns that look for one are simple.
_QUOTES = str.maketrans({'"': "'", "\\": "/"})
