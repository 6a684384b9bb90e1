"""The sizes of the kept parts of bodies: a route's plain windows, or larger ones for LLM calls.

Method and path identify a call, deliberately broadly: a false match only costs memory, and the
collector looks closer. The collector reads token counts at the decoded end of a response. It needs
the whole of a compressed response, and the last event of others. The windows are chosen when a body
is larger than a plain window or streams, and remembered by request line.
"""

import re
from typing import Final, NamedTuple

from proxy.settings.model import CaptureLevel, CaptureSettings

TAIL_BYTES: Final = 1 << 14
"""Plain tail window: keeps the end of a long stream. Never longer than the head window."""
CALL_BYTES: Final = 1 << 20
"""Minimum head window of a call's request and response."""
CALL_TAIL_BYTES: Final = 1 << 18
"""Tail window of a call's response: a last event may repeat the whole conversation."""
MAX_MEMO_LINES: Final = 512
MAX_MEMO_LINE_BYTES: Final = 512
"""Longest request line that is remembered: with the limit above at most 0.5 MiB per route."""

_CALL: Final = re.compile(
    rb"POST [^ ?]*(?:/(?:completions|responses|responses/compact|embeddings|messages|chat|generate|embed|moderations"
    rb"|generations|edits|variations|speech|transcriptions|translations|converse|converse-stream|invoke"
    rb"|invoke-with-response-stream|rerank|completion|infill|batches|videos|responses/[^/ ?]+/cancel|interactions|ocr"
    rb"|decisions|conversations(?:/[^/ ?]+(?:/restart)?)?)"
    rb"|:(?:\w*(?:Content|Contents|Predict)|predictLongRunning|fetchPredictOperation)|/mcp/?)[? ]"
)
_RESULT: Final = re.compile(
    rb"GET [^ ?]*/(?:(?:responses|batches|videos|operations)/[^/ ?]+(?:/results)?"
    rb"|files/[^/ ?]+(?:/content|:download))[? ]"
)
"""Requests that fetch the result of an earlier call."""
_SESSION: Final = re.compile(rb"GET [^ ?]*(?:/realtime|/responses|[/.]BidiGenerateContent\w*)[? ]")
"""A WebSocket session with a model: OpenAI's Realtime and Responses, compatible services, and
Gemini's Live.
"""
SESSION_MESSAGE_BYTES: Final = 1 << 18
"""Copied bytes of a message: token counts are at its end, and a compressed message is readable only
if all messages before it are whole.
"""
_READS_CALLS: Final = frozenset(("usage", "headers", "body"))


class Windows(NamedTuple):
    """Head and tail window of request and response, in bytes."""

    request_bytes: int
    response_bytes: int
    request_tail_bytes: int
    response_tail_bytes: int

    @classmethod
    def of(cls, request_bytes: int, response_bytes: int) -> "Windows":
        """Return windows with these sizes for the beginnings of the bodies, and at most
        `TAIL_BYTES` for their ends.
        """
        return cls(
            request_bytes,
            response_bytes,
            min(request_bytes, TAIL_BYTES),
            min(response_bytes, TAIL_BYTES),
        )


class CaptureWindows:
    """The windows of one route."""

    __slots__ = ("_is_call", "_session_bytes", "call", "paced", "plain")

    def __init__(
        self, capture: CaptureSettings, ring_bytes: int, level: CaptureLevel, provider: str
    ) -> None:
        """Choose the windows of a route: at the level `body` for all bodies, below it only for
        calls.

        The windows of calls are limited so that several fit into a ring of `ring_bytes`.
        """
        keeps = level == "body"
        if keeps:
            plain = Windows.of(capture.request_body_bytes, capture.response_body_bytes)
        else:
            plain = Windows.of(0, 0)
        size = min(CALL_BYTES, ring_bytes // 8)
        tail = min(CALL_TAIL_BYTES, ring_bytes // 16)
        is_wide = level in _READS_CALLS and provider != "none"
        if is_wide:
            self._session_bytes = min(SESSION_MESSAGE_BYTES, ring_bytes // 64)
        else:
            self._session_bytes = 0
        wide = Windows(max(plain.request_bytes, size), max(plain.response_bytes, size), tail, tail)
        self.call: Final = wide if is_wide else plain
        self.paced: Final = self.call if is_wide else None
        """Windows of responses with a timeline of their chunks."""
        self.plain: Final = plain if provider in ("auto", "none") else self.call
        self._is_call: dict[bytes, bool] = {}

    @staticmethod
    def is_call(request_head: bytes) -> bool:
        """Return True if the request line is that of an LLM call, at any capture level."""
        return _CALL.match(request_head) is not None

    def session_bytes(self, request_head: bytes) -> int:
        """Return the bytes to copy of each WebSocket message; 0 unless it is a model session."""
        if _SESSION.match(request_head) is None:
            return 0
        return self._session_bytes

    def of(self, request_head: bytes) -> Windows:
        """Return the capture windows of an exchange, chosen by its request line."""
        if self.call is self.plain:
            return self.plain
        if not request_head.startswith(b"POST "):
            if _RESULT.match(request_head) is None:
                return self.plain
            return self.call

        line = request_head[: request_head.find(b"\r\n")]
        is_call = self._is_call.get(line)
        if is_call is None:
            is_call = _CALL.match(line) is not None
            if len(line) <= MAX_MEMO_LINE_BYTES:
                if len(self._is_call) >= MAX_MEMO_LINES:
                    self._is_call.clear()
                self._is_call[line] = is_call

        if is_call:
            return self.call
        return self.plain

    def of_response(self, request_head: bytes, *, is_event_stream: bool) -> Windows:
        """Return the windows of a response. A POST that is answered with events is a call, too."""
        if is_event_stream and request_head.startswith(b"POST "):
            return self.call
        return self.of(request_head)
