"""The calls of a session whose responses have not ended: by stream, in each first asked, first
answered.

Streams share one connection where messages name them
(<https://developers.openai.com/api/docs/guides/websocket-mode>); what names none belongs to the one
without a name, or to the only one there is. Bounded: of a client that asks for more than
`MAX_PENDING` responses at once, the call that has waited longest is dropped.
"""

from dataclasses import dataclass
from typing import Final

from storage.tools import FailedTool

MAX_PENDING: Final = 32
"""Calls of one session."""
UNNAMED: Final = 0


def id_of(value: object) -> int:
    """Return a number for an id of any length; 0 without one."""
    if isinstance(value, str) and value:
        return hash(value)
    return UNNAMED


@dataclass(slots=True)
class PendingCall:
    """A response that was asked for, or has begun, and has not ended."""

    started_at_us: int
    request: bytes = b""
    """The beginning of the request message, inflated; empty where there was none, or it was
    dropped.
    """
    request_size: int | None = None
    """Of all of that message; None where it is not known."""
    model: str | None = None
    """As asked for; None where that is the session's."""
    failed_tools: tuple[FailedTool, ...] = ()
    """The tools of which its request tells that they failed."""
    name: bytes | None = None
    """Of the session that it belongs to, if it was stated before."""
    response: int = 0
    """Id of its response, once that has begun."""
    first_content_us: int | None = None
    """From its start, µs."""
    frames: int = 0
    """Messages of the model since."""

    @property
    def held_bytes(self) -> int:
        return len(self.request) + len(self.name or b"")


class PendingCalls:
    """Those of one session; its length is how many are known."""

    __slots__ = ("_calls", "held_bytes")

    def __init__(self) -> None:
        self._calls: list[tuple[int, PendingCall]] = []
        """With their streams, as they were asked for."""
        self.held_bytes = 0
        """Of requests and names."""

    def __len__(self) -> int:
        return len(self._calls)

    def current(self, stream: int) -> PendingCall | None:
        """Return the call whose response runs in a stream, or will be the next."""
        place = self._find(stream)
        return None if place is None else self._calls[place][1]

    def begin(self, stream: int, call: PendingCall) -> int:
        """Add a call to a stream; return how many were dropped for it."""
        self._calls.append((stream, call))
        self.held_bytes += call.held_bytes
        if len(self._calls) <= MAX_PENDING:
            return 0
        self._take(0)
        return 1

    def end(self, stream: int) -> PendingCall | None:
        """Take the current call of a stream; None where nothing is known of it."""
        place = self._find(stream)
        return None if place is None else self._take(place)

    def clear(self) -> None:
        """Forget all of them."""
        self._calls.clear()
        self.held_bytes = 0

    def let_requests_go(self) -> int:
        """Return of how many calls the request is not kept any more."""
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
