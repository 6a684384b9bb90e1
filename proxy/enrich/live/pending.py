"""The calls of a session whose responses have not ended: by stream, in each first asked, first answered.

Streams share one connection where messages name them (<https://developers.openai.com/api/docs/guides/websocket-mode>);
what names none belongs to the one without a name, or to the only one there is. Bounded: the call that has waited
longest is dropped, and it is known how many of a stream were, so that the others still meet their own responses.
"""

from dataclasses import dataclass, field
from typing import Final

MAX_PENDING: Final = 32
"""Calls of one session."""
_MAX_STREAMS: Final = 2 * MAX_PENDING
"""Those included of which only dropped calls are awaited."""
UNNAMED: Final = 0


def id_of(value: object) -> int:
    """Return a number for an id of any length; 0 without one."""
    return hash(value) if isinstance(value, str) and value else UNNAMED


@dataclass(slots=True)
class PendingCall:
    """A response that was asked for, or has begun, and has not ended."""

    started_at_us: int
    request: bytes = b""
    """The beginning of the request message, inflated; empty where there was none, or it was dropped."""
    request_size: int | None = None
    """Of all of that message; None where it is not known."""
    model: str | None = None
    """As asked for; None where that is the session's."""
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


@dataclass(slots=True)
class _Stream:
    calls: list[PendingCall] = field(default_factory=list)
    dropped: int = 0
    """Calls before those; their responses come first."""


class PendingCalls:
    """Those of one session; its length is how many are known."""

    __slots__ = ("_count", "_streams", "held_bytes")

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._count = 0
        self.held_bytes = 0
        """Of requests and names."""

    def __len__(self) -> int:
        return self._count

    def current(self, stream: int) -> PendingCall | None:
        """Return the call whose response runs in a stream, or will be the next."""
        found = self._find(stream)
        return found.calls[0] if found is not None and found.calls and not found.dropped else None

    def awaits(self, stream: int) -> bool:
        """Whether a response is to come in a stream, that of a call that was dropped included."""
        return self._find(stream) is not None

    def begin(self, stream: int, call: PendingCall) -> int:
        """Add a call to a stream; return how many were dropped for it."""
        self._streams.setdefault(stream, _Stream()).calls.append(call)
        self._count += 1
        self.held_bytes += call.held_bytes
        if self._count <= MAX_PENDING:
            return 0
        waiting = (some for some in self._streams.values() if some.calls)
        longest = min(waiting, key=lambda some: some.calls[0].started_at_us)
        self._release(longest.calls.pop(0))
        longest.dropped += 1
        if len(self._streams) > _MAX_STREAMS:
            del self._streams[next(key for key, some in self._streams.items() if not some.calls)]
        return 1

    def end(self, stream: int) -> PendingCall | None:
        """Take the current call of a stream; None where nothing is known of it."""
        found = self._find(stream)
        if found is None:
            return None
        call = None
        if found.dropped:
            found.dropped -= 1
        elif found.calls:
            call = found.calls.pop(0)
            self._release(call)
        if not found.calls and not found.dropped:
            self._streams = {key: some for key, some in self._streams.items() if some is not found}
        return call

    def clear(self) -> None:
        """Forget all of them."""
        self._streams.clear()
        self._count = self.held_bytes = 0

    def let_requests_go(self) -> int:
        """Return of how many calls the request is not kept any more."""
        calls = [call for some in self._streams.values() for call in some.calls if call.held_bytes]
        for call in calls:
            self.held_bytes -= call.held_bytes
            call.request, call.name = b"", None
        return len(calls)

    def _find(self, stream: int) -> _Stream | None:
        found = self._streams.get(stream)
        if found is None and stream == UNNAMED and len(self._streams) == 1:
            return next(iter(self._streams.values()))
        return found

    def _release(self, call: PendingCall) -> None:
        self._count -= 1
        self.held_bytes -= call.held_bytes
