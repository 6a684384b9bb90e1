"""How many streams one credential may hold, and how often it may open one. Pure but for the injected clock."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from api.http.errors import Refused

OPENS: Final = 3
"""So many times the streams that may be open may be opened within a minute."""
_WINDOW_S: Final = 60.0
_DETAIL: Final = "Rate limit exceeded for log stream"
"""The proxy logs' words."""


@dataclass(slots=True, eq=False)
class StreamLimits:
    """Counts streams by credential name: those open, and those opened within a minute; 0: there is no limit."""

    max_streams: int = 20
    clock: Callable[[], float] = time.monotonic
    _open: dict[str, int] = field(default_factory=dict, init=False)
    _opened_s: dict[str, deque[float]] = field(default_factory=dict, init=False)

    @contextmanager
    def stream(self, name: str) -> Iterator[None]:
        """Hold a stream as long as the block runs.

        Raises:
            Refused: 429 with `Retry-After`, before anything is counted.
        """
        self._check_opens(name)
        if self.max_streams and self._open.get(name, 0) >= self.max_streams:
            raise Refused(429, f"{_DETAIL}: {self.max_streams} are open", headers={"Retry-After": "5"})
        if self.max_streams:
            self._opened_s.setdefault(name, deque()).append(self.clock())
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
        now_s = self.clock()
        while opened_s and opened_s[0] <= now_s - _WINDOW_S:
            opened_s.popleft()
        if len(opened_s) >= (max_opens := OPENS * self.max_streams):
            wait_s = max(1, math.ceil(opened_s[0] + _WINDOW_S - now_s))
            raise Refused(
                429, f"{_DETAIL}: {max_opens} were opened within a minute", headers={"Retry-After": str(wait_s)}
            )
