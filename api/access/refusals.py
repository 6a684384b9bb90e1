"""Count requests that were refused for their credentials, by kind.

Wrong tokens are logged once a minute: a client that guesses them may try thousands a second.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Literal

Kind = Literal["login", "missing", "token"]
TELL_EVERY_S: Final = 60.0

CallLater = Callable[[float, Callable[[], None]], object]

log = logging.getLogger(__name__)


def _call_later(delay_s: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay_s, callback)


class Refusals:
    """Counts refused requests of one admin port."""

    def __init__(self, call_later: CallLater = _call_later) -> None:
        self.counts: dict[str, int] = {"login": 0, "missing": 0, "token": 0}
        """Number by kind: a wrong token at the login, no token, a wrong token in a header."""
        self._untold = 0
        self._client = ""
        self._is_quiet = False
        self._call_later = call_later

    def count(self, kind: Kind, client: str) -> None:
        """Count one request of a client.

        A request without a token is not an attempt to guess it.
        """
        self.counts[kind] += 1
        if kind == "missing":
            return
        self._untold += 1
        self._client = client
        if not self._is_quiet:
            self._tell()

    def _tell(self) -> None:
        """Log the count since the last line, and check again in a minute if there was any."""
        self._is_quiet = self._untold > 0
        if not self._is_quiet:
            return
        log.warning(
            "the admin port refused a wrong token %d times, the last time from %s",
            self._untold,
            self._client,
        )
        self._untold = 0
        self._call_later(TELL_EVERY_S, self._tell)
