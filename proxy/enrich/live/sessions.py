"""The sessions with models that run, by the exchange of their handshake: bounded, the least
recently heard evicted.

What a client asked for is kept until the response ends, also within a bound: of the sessions least
recently heard it is let go first, and what their responses used is still counted.
"""

from collections import OrderedDict
from typing import Final

from proxy.enrich.live.messages import read_message
from proxy.enrich.live.pending import UNNAMED
from proxy.enrich.live.session import EndedCall, FailedMessage, LiveSession, begin_session
from proxy.http1.websocket_frames import Opcode
from proxy.ring.message import OUT, CapturedMessage
from storage.record import now_us

MAX_SESSIONS: Final = 4096
"""About 1 KB each, 4 MB, and 150 bytes for each response that has not ended."""
MAX_REQUEST_BYTES: Final = 16 << 20
"""Of requests whose responses have not ended; one has 256 KiB at most."""
_TALK: Final = frozenset((Opcode.TEXT, Opcode.BINARY))


class LiveSessions:
    """The sessions of one sidecar. Not thread-safe."""

    def __init__(
        self, max_sessions: int = MAX_SESSIONS, max_request_bytes: int = MAX_REQUEST_BYTES
    ) -> None:
        self._max_sessions = max_sessions
        self._max_request_bytes = max_request_bytes
        self._request_bytes = 0
        self.evictions = 0
        """Requests that were let go before their response had ended."""
        self._sessions: OrderedDict[bytes, LiveSession] = OrderedDict()
        self._unknown_until_us = now_us()
        """Of sessions that began before, something may be missing."""

    def read(
        self, message: CapturedMessage, content: bytes | None, size: int | None
    ) -> EndedCall | FailedMessage | None:
        """Read a message of a session with a model; return the call that it ends, or what failed,
        if any.

        The content is its beginning, inflated, None where nothing of it can be read; `size` is that
        of all of it, None where that is not known.
        """
        session = self._sessions.get(message.exchange_id)
        if session is None:
            session = begin_session(message.session)
            if len(self._sessions) >= self._max_sessions:
                self._free(self._sessions.popitem(last=False)[1])
                self._unknown_until_us = now_us()

        self._sessions[message.exchange_id] = session
        self._sessions.move_to_end(message.exchange_id)
        if message.opcode not in _TALK:
            return None

        is_from_model = message.direction == OUT
        if content is None or message.follows_gap:
            session.unread += is_from_model
        at_us = message.at_ns // 1000
        if content is None:
            if is_from_model:
                session.note_output(UNNAMED, None, at_us)
            return None

        held_bytes = session.pending.held_bytes
        ended = read_message(session, content, size, at_us, is_from_model=is_from_model)
        self._hold(session.pending.held_bytes - held_bytes)
        return ended

    def _hold(self, more_bytes: int) -> None:
        """Count what requests take, and let the oldest half go where it is too much: seldom enough
        to look at all.
        """
        self._request_bytes += more_bytes
        if self._request_bytes <= self._max_request_bytes:
            return
        for session in self._sessions.values():
            self._free(session)
            if self._request_bytes <= self._max_request_bytes // 2:
                return

    def _free(self, session: LiveSession) -> None:
        held_bytes = session.pending.held_bytes
        self.evictions += session.pending.let_requests_go()
        self._request_bytes -= held_bytes - session.pending.held_bytes

    def end(
        self, exchange_id: bytes, started_at_us: int, messages_dropped: int
    ) -> tuple[LiveSession, bool] | None:
        """Forget a session that has ended; return it, and whether nothing of it is missing."""
        session = self._sessions.pop(exchange_id, None)
        if session is None:
            return None
        self._request_bytes -= session.pending.held_bytes
        return session, started_at_us > self._unknown_until_us and not messages_dropped
