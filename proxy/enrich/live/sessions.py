"""The sessions with models that run, by the exchange of their handshake: bounded, the least recently heard evicted."""

from collections import OrderedDict
from typing import Final

from proxy.enrich.live.messages import read_message
from proxy.enrich.live.session import LiveSession, begin_session
from proxy.enrich.llm.call import CallUsage
from proxy.http1.websocket_frames import Opcode
from proxy.ring.websocket_message import OUT, CapturedMessage
from storage.record import now_us

MAX_SESSIONS: Final = 4096
"""About 500 bytes each, 2 MB."""
_TALK: Final = frozenset((Opcode.TEXT, Opcode.BINARY))


class LiveSessions:
    """The sessions of one sidecar. Not thread-safe."""

    def __init__(self, max_sessions: int = MAX_SESSIONS) -> None:
        self._max_sessions = max_sessions
        self._sessions: OrderedDict[bytes, LiveSession] = OrderedDict()
        self._unknown_until_us = now_us()
        """Of sessions that began before, something may be missing."""

    def read(
        self, message: CapturedMessage, content: bytes | None, *, is_whole: bool
    ) -> tuple[LiveSession, CallUsage] | None:
        """Read a message of a session with a model, inflated; return the session and the call that it ends, if any."""
        session = self._sessions.get(message.exchange_id)
        if session is None:
            session = begin_session(message.session)
            if len(self._sessions) >= self._max_sessions:
                self._sessions.popitem(last=False)
                self._unknown_until_us = now_us()
        self._sessions[message.exchange_id] = session
        self._sessions.move_to_end(message.exchange_id)
        if message.opcode not in _TALK:
            return None
        is_from_model = message.direction == OUT
        if content is None or message.follows_gap:
            session.unread += is_from_model
        usage = None
        if content is not None:
            usage = read_message(session, content, is_from_model=is_from_model, is_whole=is_whole)
        return None if usage is None else (session, usage)

    def end(self, exchange_id: bytes, started_at_us: int, messages_dropped: int) -> tuple[LiveSession, bool] | None:
        """Forget a session that has ended; return it, and whether nothing of it is missing."""
        session = self._sessions.pop(exchange_id, None)
        if session is None:
            return None
        return session, started_at_us > self._unknown_until_us and not messages_dropped
