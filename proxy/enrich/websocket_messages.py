"""WebSocket messages made readable: inflated, redacted, as text where they are text (RFC 6455, RFC 7692).

permessage-deflate may refer back to all messages before, so each direction of each connection has an inflater that
follows it, in a bounded table. A message that was copied only in part, or came too early for us, breaks that thread:
the text is then unknown (null) until messages can be read on their own again.
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
"""Directions followed at once, about 40 KiB each; the ones longest quiet are forgotten first."""
MAX_TEXT_BYTES: Final = 65536
"""What a compressed copy may inflate to: a bomb costs no more than this."""
_TAIL: Final = b"\x00\x00\xff\xff"
"""What the sender leaves off the end of each message (RFC 7692 §7.2.2)."""

_NAMES: Final = {
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary",
    Opcode.CLOSE: "close",
    Opcode.PING: "ping",
    Opcode.PONG: "pong",
}


class MessageReader:
    """Reads captured messages; remembers the compression of connections. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        """Redact with `redactor`."""
        self._redactor = redactor
        self._inflaters: OrderedDict[tuple[bytes, int], Any] = OrderedDict()

    def describe(self, message: CapturedMessage) -> dict[str, object]:
        """Make the event's data: direction, opcode, size, and the text, binary copy or close code."""
        shown: dict[str, object] = {
            "direction": "in" if message.direction == IN else "out",
            "opcode": _NAMES.get(Opcode(message.opcode), "other"),
            "size": message.size,
        }
        data = self._inflate(message) if message.is_compressed else message.data
        is_whole = data is not None and (message.is_compressed or len(data) == message.size)
        if message.opcode == Opcode.CLOSE:
            shown["code"] = close_code(Frame(message.opcode, message.size, message.data, is_compressed=False))
            data = message.data[2:]
        if data is None:
            shown["text"] = None
        elif message.opcode == Opcode.BINARY:
            shown["base64"] = base64.b64encode(data).decode()
        else:
            redacted, _ = self._redactor.redact_body(data, b"", b"", is_truncated=not is_whole)
            shown["text"] = redacted.decode("utf-8", "replace")
        if message.size > len(message.data):
            shown["truncated"] = True
        return shown

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
