"""What the ring of a plane has: exchanges, their outcomes and errors in words, and messages."""

from collections.abc import Callable
from typing import Final

from proxy.ring.exchange import (
    ERROR_CODES,
    FLAG_HTTP10,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    NOTE_GRPC_MESSAGES,
    NOTE_MESSAGE,
    NOTE_MESSAGES_DROPPED,
    NOTE_MESSAGES_UNREADABLE,
    NOTE_REFUSED_HEAD,
    NOTE_STREAM,
    NOTES_REQUEST_TRAILERS,
    NOTES_RESPONSE_TRAILERS,
    CapturedExchange,
)
from proxy.ring.http2_notes import StreamNote, read_messages_note, read_stream_note
from proxy.ring.message import KIND_GRPC, KIND_WEBSOCKET, CapturedMessage, decode_message
from storage.record import OUTCOMES, Outcome
from tests.support.plane import Plane, eventually


def outcome(exchange: CapturedExchange) -> Outcome:
    return Outcome(OUTCOMES[exchange.outcome])


def error(exchange: CapturedExchange) -> str:
    return str(ERROR_CODES[exchange.error])


def dropped(exchange: CapturedExchange) -> int:
    """Return how many messages passed unrecorded."""
    return int.from_bytes(exchange.notes.get(NOTE_MESSAGES_DROPPED, b""), "little")


def number_of(messages: list[CapturedMessage]) -> int:
    """Count messages, of which a row of equal ones is a record."""
    return sum(message.times for message in messages)


def entries(plane: Plane, count: int) -> tuple[list[CapturedExchange], list[CapturedMessage]]:
    """Wait for so many exchanges; return them, and the messages among them."""
    exchanges: list[CapturedExchange] = []
    messages: list[CapturedMessage] = []

    def has_all() -> bool:
        for kind, header, sections, end in plane.reader.read(10_000, 1 << 30):
            if kind in (KIND_WEBSOCKET, KIND_GRPC):
                messages.append(decode_message(kind, header, sections))
                plane.messages += 1
            else:
                exchanges.append(CapturedExchange(header, sections))
            plane.reader.release(end)

        return len(exchanges) >= count

    eventually(has_all)
    return exchanges, messages


def stream_note(exchange: CapturedExchange) -> StreamNote:
    note = read_stream_note(exchange.notes[NOTE_STREAM])
    assert note is not None
    return note


def reset_of(exchange: CapturedExchange) -> tuple[int, int]:
    """Return by whom the client's stream was reset, and the code."""
    note = stream_note(exchange)
    return note.reset_by, note.reset_code


VIEWS: Final[dict[str, Callable[[CapturedExchange], object]]] = {
    "outcome": outcome,
    "error": error,
    "line": lambda exchange: exchange.request_head.partition(b"\r\n")[0],
    "path": lambda exchange: exchange.request_head.split(b" ")[1],
    "request": lambda exchange: exchange.request_window,
    "response": lambda exchange: exchange.response_window,
    "is_request_whole": lambda exchange: bool(exchange.flags & FLAG_REQUEST_COMPLETE),
    "is_own": lambda exchange: bool(exchange.flags & FLAG_OWN_RESPONSE),
    "message": lambda exchange: exchange.notes.get(NOTE_MESSAGE, b""),
    "reason": lambda exchange: exchange.notes.get(NOTE_MESSAGE, b""),
    "request_head_has": lambda exchange: exchange.request_head,
    "response_head_has": lambda exchange: exchange.response_head,
    "response_trailers_have": lambda exchange: exchange.notes.get(NOTES_RESPONSE_TRAILERS[0], b""),
    "has_reason": lambda exchange: NOTE_MESSAGE in exchange.notes,
    "refused_head": lambda exchange: exchange.notes.get(NOTE_REFUSED_HEAD, b""),
    "is_timed": lambda exchange: bool(exchange.timeline),
    "was_sent": lambda exchange: exchange.sent_ns >= 0,
    "is_first_of_its_connection": lambda exchange: exchange.connect_ns >= 0,
    "dropped": dropped,
    "grpc_messages": lambda exchange: read_messages_note(exchange.notes[NOTE_GRPC_MESSAGES]),
    "stream": stream_note,
    "timeline": lambda exchange: [size for size, _ in exchange.timeline],
    "reset": reset_of,
    "request_trailers": lambda exchange: exchange.notes.get(NOTES_REQUEST_TRAILERS[0], b""),
    "request_dropped": lambda exchange: exchange.notes.get(NOTES_REQUEST_TRAILERS[1], b""),
    "response_trailers": lambda exchange: exchange.notes.get(NOTES_RESPONSE_TRAILERS[0], b""),
    "response_dropped": lambda exchange: exchange.notes.get(NOTES_RESPONSE_TRAILERS[1], b""),
    "is_chunked": lambda exchange: b"transfer-encoding" in exchange.request_head.lower(),
    "is_ended_within_1_s": lambda exchange: exchange.ended_ns < 1_000_000_000,
    "is_http2": lambda exchange: b" HTTP/2\r\n" in exchange.request_head,
    "is_http10": lambda exchange: bool(exchange.flags & FLAG_HTTP10),
    "unreadable": lambda exchange: exchange.notes.get(NOTE_MESSAGES_UNREADABLE, b""),
}
"""What tests say of a record beside its fields."""
PARTS: Final = ("message", "request_head_has", "response_head_has", "response_trailers_have")
"""Names of which a part is compared."""


def seen(exchange: CapturedExchange, names: set[str]) -> dict[str, object]:
    """Return some of what a record says, by its fields and by `VIEWS`."""
    return {
        name: VIEWS[name](exchange) if name in VIEWS else getattr(exchange, name) for name in names
    }
