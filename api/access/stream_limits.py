"""Limits per credential: streams open at once, and streams opened within a minute."""

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from api.http.errors import Refused

OPENS: Final = 3
"""Streams that may be opened within a minute, as a multiple of those that may be open at once."""
_WINDOW_S: Final = 60.0


@dataclass(slots=True, eq=False)
class StreamLimits:
    """Counts streams by credential name: those open, and those opened within a minute."""

    max_streams: int = 20
    """Streams open at once; 0 for no limit."""
    clock: Callable[[], float] = time.monotonic
    _open: Counter[str] = field(default_factory=Counter, init=False)
    _opened_s: defaultdict[str, deque[float]] = field(
        default_factory=lambda: defaultdict(deque), init=False
    )

    @contextmanager
    def stream(self, name: str) -> Iterator[None]:
        """Hold a stream for the duration of the block.

        Raises:
            Refused: 429 with `Retry-After`, before anything is counted.
        """
        if not self.max_streams:
            yield
            return
        now_s = self.clock()
        opened_s = self._opened_s[name]
        max_opens = OPENS * self.max_streams
        while opened_s and opened_s[0] <= now_s - _WINDOW_S:
            opened_s.popleft()
        if len(opened_s) >= max_opens:
            wait_s = max(1, math.ceil(opened_s[0] + _WINDOW_S - now_s))
            raise _refused(f"{max_opens} were opened within a minute", wait_s)
        if self._open[name] >= self.max_streams:
            raise _refused(f"{self.max_streams} are open, see [admin] max_streams_per_token", 5)

        opened_s.append(now_s)
        self._open[name] += 1
        try:
            yield
        finally:
            self._open[name] -= 1


def _refused(reason: str, wait_s: int) -> Refused:
    return Refused(
        429, f"Rate limit exceeded for log stream: {reason}", headers={"Retry-After": str(wait_s)}
    )
