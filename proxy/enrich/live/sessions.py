"""The open live sessions, by the exchange of their handshake.

Bounded: the least recently active session is evicted. Requests are kept until their response ends,
also within a bound. The least recently active sessions lose theirs first; their responses are still
counted.
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
"""Limit of open sessions: about 1 KB each, 4 MB, and 150 bytes per unfinished response."""
MAX_REQUEST_BYTES: Final = 16 << 20
"""Limit of the requests with unfinished responses; one has at most 256 KiB."""
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
        """Requests dropped before their response had ended."""
        self._sessions: OrderedDict[bytes, LiveSession] = OrderedDict()
        self._unknown_until_us = now_us()
        """Sessions that began before this time may be incomplete."""

    def read(
        self, message: CapturedMessage, content: bytes | None, size: int | None
    ) -> EndedCall | FailedMessage | None:
        """Read a message of a session. Return the call that it ends or the failure it reports, if
        any.

        `content` is its beginning, inflated; None if unreadable. `size` is its full size, None if
        unknown.
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
        """Account for requests; over the limit drop the oldest half.

        That happens seldom enough to visit all sessions.
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
        """Forget a session that has ended; return it, and True if nothing of it is missing."""
        session = self._sessions.pop(exchange_id, None)
        if session is None:
            return None
        self._request_bytes -= session.pending.held_bytes
        return session, started_at_us > self._unknown_until_us and not messages_dropped
