"""Make WebSocket messages readable: inflated, redacted, as text where they are text (RFC 6455, RFC 7692)."""

import base64
from typing import Final

from proxy.enrich.formats.message_deflate import MessageInflaters
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.websocket_frames import Message as Frame
from proxy.http1.websocket_frames import Opcode, close_code
from proxy.ring.websocket_message import IN, CapturedMessage
from storage.record import format_id

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
        self._inflaters = MessageInflaters()

    def describe(self, message: CapturedMessage, *, names_exchange: bool = False) -> dict[str, object]:
        """Return the event's data: direction, opcode, sizes, and the text, binary copy or close code.

        Args:
            message: as captured.
            names_exchange: whether the id of its exchange is needed to tell whose it is.
        """
        fields: dict[str, object] = {
            "direction": "in" if message.direction == IN else "out",
            "opcode": _NAMES.get(Opcode(message.opcode), "other"),
            "size": message.size,
        }
        if names_exchange:
            fields["exchange_id"] = format_id(message.exchange_id)
        if message.follows_gap:
            fields["follows_gap"] = True
        is_copied = message.size == len(message.data)
        if message.is_compressed:
            self._describe_compressed(message, fields, is_copied=is_copied)
        elif not message.data and message.size:
            self._describe_content(message, fields, None, "shed")
        else:
            self._describe_content(message, fields, message.data, "", is_whole=is_copied)
        return fields

    def _describe_compressed(self, message: CapturedMessage, fields: dict[str, object], *, is_copied: bool) -> None:
        fields["compressed"], fields["inflated_size"] = True, None
        direction = (message.exchange_id, message.direction)
        if message.follows_gap:
            self._inflaters.forget(direction)
        if not message.data and message.size:
            self._inflaters.forget(direction)
            self._describe_content(message, fields, None, "shed")
            return
        inflated = self._inflaters.inflate(direction, message.data, is_whole=is_copied)
        if inflated is None:
            self._describe_content(message, fields, None, "context")
            return
        fields["inflated_size"] = inflated.size
        self._describe_content(message, fields, inflated.data, "", is_whole=inflated.size == len(inflated.data))

    def _describe_content(
        self,
        message: CapturedMessage,
        fields: dict[str, object],
        content: bytes | None,
        omitted: str,
        *,
        is_whole: bool = False,
    ) -> None:
        if message.opcode == Opcode.CLOSE:
            fields["code"] = close_code(Frame(message.opcode, message.size, message.data, is_compressed=False))
            content = message.data[2:]
            self._inflaters.forget((message.exchange_id, message.direction))
        if content is None:
            fields["text"], fields["omitted"] = None, omitted
            return
        redacted, _ = self._redactor.redact_body(content, b"", b"", is_truncated=not is_whole)
        if message.opcode == Opcode.BINARY:
            fields["base64"] = base64.b64encode(redacted).decode()
        else:
            fields["text"] = redacted.decode("utf-8", "replace")
        if not is_whole:
            fields["truncated"], fields["kept"] = True, len(content)
