"""The API token, which may change while we run.

Belongs here: where the token comes from, and how long to wait for another. Does not belong here: requests
(`client.py`).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

from resources.errors import SettingError

#: Kubernetes needs up to a minute and a half to bring a changed secret to a mounted file.
ROTATION_SECONDS = 120.0
_LOOK_SECONDS = 2.0
#: How long a file may be empty or missing while it is rewritten.
REWRITE_SECONDS = 5.0
_REWRITE_LOOK_SECONDS = 0.25


def account_of(token: str) -> str:
    """A name for the account of a token, from which the token cannot be found."""
    return hashlib.sha256(f"courtlistener account {token}".encode()).hexdigest()[:12]


class ApiToken:
    """A token of the environment, which stays the same as long as the process lives."""

    def __init__(self, token: str) -> None:
        self._token = token

    def read(self, *, patience_seconds: float = 0.0) -> str:
        """The token as it is now; raises SettingError if there is none."""
        if not self._token:
            raise SettingError("COURTLISTENER_API_TOKEN is not set; make a token in your CourtListener profile")
        return _usable(self._token, "COURTLISTENER_API_TOKEN")

    def accepted(self, token: str) -> None:
        """CourtListener has accepted `token`."""

    def replaced(self, refused: str) -> bool:
        """Whether there is another token than `refused`, which CourtListener has just refused."""
        return False


class TokenFile(ApiToken):
    """A token in a file, which is read for every request.

    When a token that was accepted before is refused, it has been changed at CourtListener: `replaced` then gives the
    file `patience_seconds` to change too. One that was refused from the start is wrong: no wait.
    """

    def __init__(
        self,
        path: str,
        *,
        patience_seconds: float = ROTATION_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = Path(path)
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._clock = clock
        self._accepted = ""

    def read(self, *, patience_seconds: float = 0.0) -> str:
        """The token as it is now; raises SettingError if there is still none in the file after `patience_seconds`."""
        until = self._clock() + patience_seconds
        while True:
            try:
                return self._read()
            except SettingError:
                if self._clock() >= until:
                    raise
            self._sleep(_REWRITE_LOOK_SECONDS)

    def _read(self) -> str:
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise SettingError(f"COURTLISTENER_API_TOKEN_FILE cannot be read: {error}") from None
        if not token:
            raise SettingError(f"COURTLISTENER_API_TOKEN_FILE names an empty file: {self._path}")
        return _usable(token, "COURTLISTENER_API_TOKEN_FILE")

    def accepted(self, token: str) -> None:
        """CourtListener has accepted `token`."""
        self._accepted = token

    def replaced(self, refused: str) -> bool:
        """Whether there is another token than `refused`; waits for one if `refused` was accepted before."""
        until = self._clock() + (self._patience_seconds if refused == self._accepted else 0.0)
        while self.read(patience_seconds=REWRITE_SECONDS) == refused:
            if self._clock() >= until:
                return False
            self._sleep(_LOOK_SECONDS)
        return True


def _usable(token: str, setting: str) -> str:
    """The token; what no HTTP header can hold is refused here, since HTTP's own error would quote it."""
    if not re.fullmatch(r"[!-~]+", token):
        raise SettingError(f"{setting} holds no token: a token has letters and digits only, in one line")
    return token
