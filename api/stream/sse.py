"""Server-sent events on the wire: events and comments as bytes, and the ids that clients send back.

Standard: WHATWG HTML, "Server-sent events" (event stream interpretation).
"""

from typing import Final

HEARTBEAT: Final = b":\n\n"
"""An empty comment: keeps the connection alive, and clients ignore it."""
MAX_EVENT_ID: Final = (1 << 63) - 1


def encode_event(data: bytes, *, event_id: int | None, name: str = "") -> bytes:
    """Return one event. `data` must be JSON without line ends; the client returns the id in
    `Last-Event-ID`.
    """
    if event_id is None:
        head = b""
    else:
        head = b"id: %d\n" % event_id
    return b"%b%bdata: %b\n\n" % (b"event: %b\n" % name.encode() if name else b"", head, data)


def encode_retry(milliseconds: int, event_id: int) -> bytes:
    """Return the delay before a client reconnects, and the id after which it then continues.

    An id without data dispatches no event, but the client sends it back all the same.
    """
    return b"retry: %d\nid: %d\n\n" % (milliseconds, event_id)


def read_event_id(text: str | None) -> int | None:
    """Return the id in a `Last-Event-ID`; None if it is missing or not one of ours.

    Without an id the client starts live.
    """
    text = (text or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    number = int(text)
    if number <= MAX_EVENT_ID:
        return number
    return None
