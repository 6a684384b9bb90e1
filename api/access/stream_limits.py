"""How many streams one credential may hold, and how often it may open one. Pure but for the injected clock."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from api.http.errors import Refused

_WINDOW_S: Final = 60.0
_DETAIL: Final = "Rate limit exceeded for log stream"
"""The proxy logs' words."""


class StreamLimits:
    """Counts streams by credential name; 0 switches a limit off."""

    def __init__(
        self, max_streams: int = 20, max_opens_per_minute: int = 60, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Limit each credential to so many open streams, and so many opened within a minute."""
        self._max_streams = max_streams
        self._max_opens = max_opens_per_minute
        self._clock = clock
        self._open: dict[str, int] = {}
        self._opened_s: dict[str, deque[float]] = {}

    @contextmanager
    def stream(self, name: str) -> Iterator[None]:
        """Hold a stream as long as the block runs.

        Raises:
            Refused: 429 with `Retry-After`, before anything is counted.
        """
        self._check_opens(name)
        if self._max_streams and self._open.get(name, 0) >= self._max_streams:
            raise Refused(429, f"{_DETAIL}: {self._max_streams} are open", headers={"Retry-After": "5"})
        if self._max_opens:
            self._opened_s.setdefault(name, deque()).append(self._clock())
        self._open[name] = self._open.get(name, 0) + 1
        try:
            yield
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]

    def _check_opens(self, name: str) -> None:
        opened_s = self._opened_s.get(name)
        if opened_s is None:
            return
        now_s = self._clock()
        while opened_s and opened_s[0] <= now_s - _WINDOW_S:
            opened_s.popleft()
        if len(opened_s) >= self._max_opens:
            wait_s = max(1, math.ceil(opened_s[0] + _WINDOW_S - now_s))
            raise Refused(
                429, f"{_DETAIL}: {self._max_opens} were opened within a minute", headers={"Retry-After": str(wait_s)}
            )
