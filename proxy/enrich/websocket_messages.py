"""Make WebSocket messages readable: inflated, redacted, as text where they are text (RFC 6455, RFC 7692).

permessage-deflate may refer back to all messages before, so each direction of each connection has an inflater, in a
bounded table. Behind a message that was captured only in part, or not at all, the text is unknown (null) until messages
can be inflated on their own again.
"""

import base64
import zlib
from collections import OrderedDict
from typing import Any, Final

from proxy.enrich.redact.redactor import Redactor
from proxy.http1.websocket_frames import Message as Frame
from proxy.http1.websocket_frames import Opcode, close_code
from proxy.ring.websocket_message import IN, CapturedMessage

MAX_INFLATERS: Final = 512
"""One per direction, about 40 KiB each; the least recently used is evicted first."""
MAX_TEXT_BYTES: Final = 65536
"""Bound of what a compressed copy may inflate to."""
_TAIL: Final = b"\x00\x00\xff\xff"
"""Removed by the sender from the end of each message (RFC 7692 §7.2.1)."""

_NAMES: Final = {
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary",
    Opcode.CLOSE: "close",
    Opcode.PING: "ping",
    Opcode.PONG: "pong",
}


class MessageReader:
    """Reads captured messages; keeps the inflaters of connections. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._inflaters: OrderedDict[tuple[bytes, int], Any] = OrderedDict()

    def describe(self, message: CapturedMessage) -> dict[str, object]:
        """Return the event's data: direction, opcode, size, and the text, binary copy or close code."""
        fields: dict[str, object] = {
            "direction": "in" if message.direction == IN else "out",
            "opcode": _NAMES.get(Opcode(message.opcode), "other"),
            "size": message.size,
        }
        data = self._inflate(message) if message.is_compressed else message.data
        is_whole = data is not None and (message.is_compressed or len(data) == message.size)
        if message.opcode == Opcode.CLOSE:
            fields["code"] = close_code(Frame(message.opcode, message.size, message.data, is_compressed=False))
            data = message.data[2:]
        if data is None:
            fields["text"] = None
        elif message.opcode == Opcode.BINARY:
            fields["base64"] = base64.b64encode(data).decode()
        else:
            redacted, _ = self._redactor.redact_body(data, b"", b"", is_truncated=not is_whole)
            fields["text"] = redacted.decode("utf-8", "replace")
        if message.size > len(message.data):
            fields["truncated"] = True
        return fields

    def _inflate(self, message: CapturedMessage) -> bytes | None:
        key = (message.exchange_id, message.direction)
        inflater = self._inflaters.pop(key, None) or zlib.decompressobj(-zlib.MAX_WBITS)
        is_whole = len(message.data) == message.size
        try:
            text: bytes = inflater.decompress(message.data + (_TAIL if is_whole else b""), MAX_TEXT_BYTES)
        except zlib.error:
            return None
        if is_whole and not inflater.unconsumed_tail:
            self._inflaters[key] = inflater
            if len(self._inflaters) > MAX_INFLATERS:
                self._inflaters.popitem(last=False)
        return text
