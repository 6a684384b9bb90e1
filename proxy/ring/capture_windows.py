"""How much is kept of a body: the plain windows of a route, or larger ones for calls of language
models.

Method and path identify a call, deliberately broadly: a false match only costs memory, and the
collector looks closer. The collector reads counts from the decoded end of an answer: it needs the
whole of a compressed one, and of others the last event. Decided when a body is larger than a plain
window or streams, and remembered by request line.
"""

import re
from typing import Final, NamedTuple

from proxy.settings.model import CaptureLevel, CaptureSettings

TAIL_BYTES: Final = 1 << 14
"""Of a body: how a long stream ended; of one of which less is kept at its beginning, as much as
that.
"""
CALL_BYTES: Final = 1 << 20
"""At least, of the beginning of a call's request and response."""
CALL_TAIL_BYTES: Final = 1 << 18
"""Of a call's response: a last event may hold the whole conversation again."""
MAX_MEMO_LINES: Final = 512
MAX_MEMO_LINE_BYTES: Final = 512
"""Together at most 0.5 MiB per route."""

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
"""What shows the answer of a call that was made before."""
_SESSION: Final = re.compile(rb"GET [^ ?]*(?:/realtime|/responses|[/.]BidiGenerateContent\w*)[? ]")
"""A WebSocket session with a model: OpenAI's Realtime and Responses, compatible services, and
Gemini's Live.
"""
SESSION_MESSAGE_BYTES: Final = 1 << 18
"""Of a message: counts stand at the end of one, and none that is compressed is read unless all
before it are whole.
"""
_READS_CALLS: Final = frozenset(("usage", "headers", "body"))


class Windows(NamedTuple):
    """Bytes kept of the beginning of a request and a response, and of the end of each."""

    request_bytes: int
    response_bytes: int
    request_tail_bytes: int
    response_tail_bytes: int

    @classmethod
    def of(cls, request_bytes: int, response_bytes: int) -> "Windows":
        """Return plain windows with these beginnings."""
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
        """Keep bodies at the level `body`, and below it those of calls for as long as it takes to
        read their counts.

        Calls get no more than a ring of `ring_bytes` takes beside others.
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
        """The windows of responses with a timeline of their chunks."""
        self.plain: Final = plain if provider in ("auto", "none") else self.call
        self._is_call: dict[bytes, bool] = {}

    @staticmethod
    def is_call(request_head: bytes) -> bool:
        """Whether a request is a call by its request line, at whatever level it is recorded."""
        return _CALL.match(request_head) is not None

    def session_bytes(self, request_head: bytes) -> int:
        """Return how much is copied of each message; 0 when the session is none with a model."""
        if _SESSION.match(request_head) is None:
            return 0
        return self._session_bytes

    def of(self, request_head: bytes) -> Windows:
        """Return the windows of an exchange by its request line."""
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

        return self.call if is_call else self.plain

    def of_response(self, request_head: bytes, *, is_event_stream: bool) -> Windows:
        """Return the windows of a response: a POST that is answered with events is a call too."""
        if is_event_stream and request_head.startswith(b"POST "):
            return self.call
        return self.of(request_head)
