"""A WebSocket connection after its 101: raw bytes both ways, watched by two frame scanners (RFC 6455 §4, P7).

The relay is byte-exact and knows nothing of frames; what the scanners see becomes event records and the exchange's
close code. Back-pressure is that of any exchange: the transports of both sides pause each other.
"""

import re
from typing import Final

from proxy.http1.websocket_frames import MessageScanner, Opcode, close_code
from proxy.ring.body_window import Window
from proxy.ring.exchange import FLAG_BODIES_OFF, Exchange
from proxy.ring.websocket_message import IN, OUT
from proxy.worker.recorder import Recorder

_TRACEPARENT: Final = re.compile(rb"(?i)\r\ntraceparent:[ \t]*([0-9a-f-]{55})[ \t]*\r\n")


class Tunnel:
    """Watches one upgraded connection."""

    __slots__ = ("_exchange", "_is_recorded", "_recorder", "_scanners", "_traceparent", "close_code", "has_closed")

    def __init__(self, exchange: Exchange, recorder: Recorder, max_bytes: int) -> None:
        """Begin with the exchange of the handshake; `max_bytes` of each message are copied, 0 records none.

        What is said is body: below that level no message is recorded.
        """
        self._exchange = exchange
        self._recorder = recorder
        self._is_recorded = exchange.is_recorded and max_bytes > 0 and not exchange.flags & FLAG_BODIES_OFF
        self._scanners = (MessageScanner(max_bytes), MessageScanner(max_bytes))
        found = _TRACEPARENT.search(exchange.request_head)
        self._traceparent = found[1] if found else b""
        self.has_closed = False
        """Whether a close frame passed in either direction."""
        self.close_code: int | None = None
        exchange.request_body = Window(0, 0)
        exchange.response_body = Window(0, 0)

    def watch_client(self, data: bytes) -> None:
        window = self._exchange.request_body
        assert window is not None
        window.add(data)
        self._watch(IN, data)

    def watch_upstream(self, data: bytes) -> None:
        window = self._exchange.response_body
        assert window is not None
        window.add(data)
        self._watch(OUT, data)

    def _watch(self, direction: int, data: bytes) -> None:
        for message in self._scanners[direction].feed(data):
            if message.opcode == Opcode.CLOSE and not self.has_closed:
                self.has_closed = True
                self.close_code = close_code(message)
            if self._is_recorded:
                self._recorder.message(self._exchange, direction, message, self._traceparent)
