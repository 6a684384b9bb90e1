"""Whether the store is there, as the writer's attempts show, and when it is asked again. Pure but for the log.

Pauses double up to a bound, each shortened by chance, so that several sidecars do not ask at the same moment.
"""

import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.05
MAX_PAUSE_S: Final = 5.0


class Availability:
    """What the newest attempt told."""

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float], *, is_up: bool) -> None:
        """Begin with a store that may be asked at once."""
        self._clock = clock
        self._jitter = jitter
        self._pause_s = FIRST_PAUSE_S
        self.is_up = is_up
        self.reason = ""
        """What the store said when it did not take a batch; empty while it does."""
        self.retry_at_s = 0.0
        """When it may be asked again, by the clock."""

    def note_down(self, error: Exception) -> None:
        """The store was not there: leave it alone for a while. Of the error only the text is kept."""
        _forget_frames(error)
        self.retry_at_s = self._clock() + self._pause_s * (0.5 + self._jitter() / 2)
        self._pause_s = min(2 * self._pause_s, MAX_PAUSE_S)
        self.reason = str(error)
        if self.is_up:
            self.is_up = False
            log.warning("the store is unavailable, nothing is lost yet: %s", error)

    def note_up(self) -> None:
        """The store took a batch."""
        self.retry_at_s = 0.0
        self._pause_s = FIRST_PAUSE_S
        self.reason = ""
        if not self.is_up:
            self.is_up = True
            log.warning("the store is available again")


def _forget_frames(error: BaseException | None) -> None:
    """Let go of the frames an error went through: they hold the batch that was tried, and a future that holds it.

    Only a collection of cycles would free them, which we let happen rarely: 13 MiB after 40 s of a locked SQLite.
    """
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
