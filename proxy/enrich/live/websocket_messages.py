"""Make WebSocket messages readable: inflated, redacted, and as text if they are text.

Standards: RFC 6455, RFC 7692.
"""

import base64
import re
from typing import Any, Final, NamedTuple

import msgspec

from proxy.enrich.formats.charset import to_utf8
from proxy.enrich.formats.cut_json import members_at_start
from proxy.enrich.formats.json_parts import decode, decode_text
from proxy.enrich.formats.message_deflate import CALL, PLAIN, MessageInflaters
from proxy.enrich.http.bodies import redacted_body
from proxy.enrich.http.exchange import DecodedBody
from proxy.enrich.live.pending import PendingCall
from proxy.enrich.live.turns import LiveTurns
from proxy.enrich.redact.redactor import Redactor
from proxy.http1.websocket_frames import Message as Frame
from proxy.http1.websocket_frames import Opcode, close_code
from proxy.ring.message import IN, CapturedMessage
from storage.record import Payload

_NAMES: Final[dict[int, str]] = {
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary",
    Opcode.CLOSE: "close",
    Opcode.PING: "ping",
    Opcode.PONG: "pong",
}
_TALK: Final = frozenset((Opcode.TEXT, Opcode.BINARY))


class Content(NamedTuple):
    """The content of a message, inflated."""

    data: bytes | None
    """Bytes of the message; None if unreadable."""
    omitted: str
    """Reason for missing data: `shed` under pressure, `context` if an earlier message is needed,
    `level` if the capture level excludes it.
    """
    size: int | None = None
    """Full size, inflated; None if unknown."""
    stored: bytes | None = None
    """Replacement to store instead of `data`: without pieces of a text, or with the whole text."""

    def as_stored(self) -> "Content":
        if self.stored is None:
            return self
        return Content(self.stored, "", len(self.stored))

    @property
    def is_whole(self) -> bool:
        return self.data is not None and len(self.data) == self.size


class MessageReader:
    """Reads captured messages and keeps the inflaters of connections. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._inflaters = MessageInflaters()
        self._turns = LiveTurns()

    def read(self, message: CapturedMessage) -> Content:
        """Inflate the captured part of a message. Call in order: messages may refer back to earlier
        ones.
        """
        content = self._inflate(message)
        if (
            not message.session
            or message.direction == IN
            or message.opcode not in _TALK
            or not message.keeps_text
        ):
            return content

        stored = self._stored(message, content)
        if stored is content.data:
            return content

        return content._replace(stored=stored)

    def _stored(self, message: CapturedMessage, content: Content) -> bytes | None:
        """Return the form in which a model's message is stored: a piece of a text may be half a
        secret.
        """
        data = content.data
        if b"BidiGenerateContent" in message.session:
            return self._turns.stored(
                message.exchange_id,
                data,
                is_whole=content.is_whole,
                follows_gap=message.follows_gap,
            )
        if data is None:
            return None

        return without_delta(data, is_whole=content.is_whole)

    def _inflate(self, message: CapturedMessage) -> Content:
        if not message.is_compressed:
            is_shed = message.size > 0 and not message.data
            if is_shed:
                return Content(None, "shed")
            return Content(message.data, "", message.size)

        direction = (message.exchange_id, message.direction)
        if message.follows_gap:
            self._inflaters.forget(direction)
        if not message.data and message.size:
            self._inflaters.forget(direction)
            return Content(None, "shed")

        is_copied = message.size == len(message.data)
        inflated = self._inflaters.inflate(
            direction, message.data, CALL if message.session else PLAIN, is_whole=is_copied
        )
        if inflated is None:
            return Content(None, "context")

        return Content(inflated.data, "", inflated.size)

    def describe(
        self, message: CapturedMessage, content: Content, max_bytes: int = PLAIN.kept_bytes
    ) -> dict[str, object]:
        """Return the event's data: direction, opcode, size, number, and text, binary copy or close
        code.

        At most `max_bytes` are kept of a message in a model session.
        """
        fields: dict[str, object] = {
            "direction": "in" if message.direction == IN else "out",
            "opcode": _NAMES.get(message.opcode, "other"),
            "size": message.size,
        }
        if message.times > 1:
            fields["count"] = message.times
        if message.follows_gap:
            fields["follows_gap"] = True
        if message.is_compressed:
            fields["compressed"], fields["inflated_size"] = True, content.size
        content = content.as_stored()
        if message.session and content.data is not None and len(content.data) > max_bytes:
            content = Content(content.data[:max_bytes], "")  # more was copied, for its counts
        if not message.keeps_text:
            content = Content(None, "level")
        self._describe_content(message, fields, content)
        return fields

    def call(self, begun: PendingCall, content: Content, max_bytes: int) -> Payload:
        """Return the request message and the final message of a response as bodies. There are no
        heads.
        """
        stored = content.as_stored()
        request, response = (
            redacted_body(DecodedBody.beginning(data, size), b"application/json", self._redactor, max_bytes)
            if data else None
            for data, size in ((begun.request, begun.request_size), (stored.data, stored.size))
        )  # fmt: skip
        return Payload(b"", b"", request, response, [])

    def _describe_content(
        self, message: CapturedMessage, fields: dict[str, object], content: Content
    ) -> None:
        if message.opcode == Opcode.CLOSE:
            fields["code"] = close_code(
                Frame(message.opcode, message.size, message.data, is_compressed=False)
            )
            if message.keeps_text:
                content = content._replace(data=message.data[2:], size=max(0, message.size - 2))
            self._inflaters.forget((message.exchange_id, message.direction))
            self._turns.forget(message.exchange_id)

        if content.data is None:
            fields["text"], fields["omitted"] = None, content.omitted
            return

        redacted = b""
        if content.data:  # pings, mostly, have no data
            text = to_utf8(content.data)
            shown = content.data if text is None else text[0]
            redacted, _ = self._redactor.redact_body(
                shown, b"", b"", is_truncated=not content.is_whole
            )

        if message.opcode == Opcode.BINARY:
            redacted = self._redactor.redact_value(redacted, "binary")
            fields["base64"] = base64.b64encode(redacted).decode()
        else:
            fields["text"] = redacted.decode("utf-8", "replace")

        if not content.is_whole:
            fields["truncated"], fields["kept"] = True, len(content.data)


_ENDING: Final = ".delta"
_AUDIO: Final = frozenset(("response.audio.delta", "response.output_audio.delta"))
_HINT: Final = b'delta"'
"""Occurs in the type of every piece, and in the name of its content."""
_DELTA: Final = re.compile(rb'"delta"\s*:')
_NAMING: Final = ("type", "event_id", "response_id", "item_id", "call_id", "stream_id")
_RAW_NAMES: Final = frozenset(name.encode() for name in _NAMING)
_MAX_TOKENS: Final = 1000
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)


def without_delta(data: bytes, *, is_whole: bool) -> bytes:
    """Replace the text of a piece and everything derived from it by sizes.

    A secret that is split over several messages could not be found in any of them. Each event with
    a type that ends in `.delta` is followed by one with the whole text, also if the response is
    cancelled. Audio stays: it is not text, and does not come again.
    <https://developers.openai.com/api/reference/resources/realtime/server-events>.

    Other messages are returned unchanged. Unless `is_whole`, `data` are the beginning of a message.
    """
    if _HINT not in data:
        return data
    event = decode(_OBJECT, data) if is_whole else None
    if event is None:
        return _without_cut(data)

    kind = decode_text(bytes(event.get("type", b"")))
    if kind is None or kind in _AUDIO or not kind.endswith(_ENDING):
        return data

    return msgspec.json.encode({name: _shown(name, member) for name, member in event.items()})


def _shown(name: str, member: msgspec.Raw) -> Any:
    """Return a member as it is if it is a number, a type or an id; replace any other one by its
    size.
    """
    raw = bytes(member)
    if (
        raw[:1] not in (b'"', b"[", b"{")
        or len(raw) <= len('""')
        or name == "type"
        or name.endswith("_id")
    ):
        return member

    text = decode(_TEXT, raw) if raw[:1] == b'"' else None
    if text is None:
        return {"omitted": "text", "bytes": len(raw)}

    return {"omitted": "text", "characters": len(text)}


def _without_cut(data: bytes) -> bytes:
    """Keep only the names of a piece that was cut or is not JSON.

    In doubt, a message is a piece.
    """
    members = members_at_start(data, _RAW_NAMES, _MAX_TOKENS)
    if members:
        found = {name.decode(): value for name, value in members[0].items()}
    else:
        found = {}

    kind = decode_text(found.get("type"))
    if kind in _AUDIO or (
        not kind.endswith(_ENDING) if kind is not None else _DELTA.search(data) is None
    ):
        return data

    named = {
        name: text for name, value in found.items() if (text := decode_text(value)) is not None
    }
    return msgspec.json.encode(named | {"delta": {"omitted": "text", "truncated": True}})
