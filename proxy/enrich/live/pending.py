"""The unfinished calls of a session by stream. In each stream, the first requested ends first.

Streams share one connection if messages name them
(<https://developers.openai.com/api/docs/guides/websocket-mode>). A message without a name belongs
to the unnamed stream, or to the only stream. Bounded: if a client requests more than `MAX_PENDING`
responses at once, the call that has waited longest is dropped.
"""

from dataclasses import dataclass
from typing import Final

from storage.tools import FailedTool

MAX_PENDING: Final = 32
"""Limit of unfinished calls of one session."""
UNNAMED: Final = 0


def id_of(value: object) -> int:
    """Return a number for an id of any length; 0 without one."""
    if isinstance(value, str) and value:
        return hash(value)
    return UNNAMED


@dataclass(slots=True)
class PendingCall:
    """A response that was requested or has begun, and has not ended."""

    started_at_us: int
    request: bytes = b""
    """Beginning of the request message, inflated; empty if there was none, or it was dropped."""
    request_size: int | None = None
    """Full size of that message in bytes; None if unknown."""
    model: str | None = None
    """Model as requested; None for the model of the session."""
    failed_tools: tuple[FailedTool, ...] = ()
    """Failed tools reported by its request."""
    name: bytes | None = None
    """Name of the session it belongs to, if stated before."""
    response: int = 0
    """Id of its response, once that has begun."""
    first_content_us: int | None = None
    """Time from its start to the first output, in µs."""
    frames: int = 0
    """Number of messages of the model since its start."""

    @property
    def held_bytes(self) -> int:
        return len(self.request) + len(self.name or b"")


class PendingCalls:
    """The unfinished calls of one session. `len` is their number."""

    __slots__ = ("_calls", "held_bytes")

    def __init__(self) -> None:
        self._calls: list[tuple[int, PendingCall]] = []
        """Streams and calls, in the order of the requests."""
        self.held_bytes = 0
        """Bytes of all requests and names."""

    def __len__(self) -> int:
        return len(self._calls)

    def current(self, stream: int) -> PendingCall | None:
        """Return the call whose response is running in a stream, or will be the next."""
        place = self._find(stream)
        if place is None:
            return None
        return self._calls[place][1]

    def begin(self, stream: int, call: PendingCall) -> int:
        """Add a call to a stream; return the number of calls that were dropped to make room."""
        self._calls.append((stream, call))
        self.held_bytes += call.held_bytes
        if len(self._calls) <= MAX_PENDING:
            return 0
        self._take(0)
        return 1

    def end(self, stream: int) -> PendingCall | None:
        """Remove and return the current call of a stream; None if there is none."""
        place = self._find(stream)
        if place is None:
            return None
        return self._take(place)

    def clear(self) -> None:
        """Forget all pending calls."""
        self._calls.clear()
        self.held_bytes = 0

    def let_requests_go(self) -> int:
        """Drop the request bodies of all pending calls; return the number of these calls."""
        calls = [call for _, call in self._calls if call.held_bytes]
        for call in calls:
            self.held_bytes -= call.held_bytes
            call.request = b""
            call.name = None
        return len(calls)

    def _find(self, stream: int) -> int | None:
        for place, (each, _) in enumerate(self._calls):
            if each == stream:
                return place
        if stream == UNNAMED and len({each for each, _ in self._calls}) == 1:
            return 0
        return None

    def _take(self, place: int) -> PendingCall:
        _, call = self._calls.pop(place)
        self.held_bytes -= call.held_bytes
        return call
