"""Server-Sent Events on the wire: events and comments as bytes, and the ids clients send back.

Pure. A line ends at CR, LF or CRLF, so a field may hold none of them: text with several lines becomes several `data`
lines, a name with one is refused. NUL is left out, because readers drop an id that has one.
Standard: WHATWG HTML, "Server-sent events" (event stream interpretation).
"""

import re
from typing import Final

HEARTBEAT: Final = b":\n\n"
"""An empty comment: keeps the connection alive, and clients ignore it."""
MAX_EVENT_ID: Final = (1 << 63) - 1

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


def encode_event(data: bytes, *, event_id: int | None = None, name: str = "") -> bytes:
    """Write one event of UTF-8 data, which is always sent, even when empty: without it browsers dispatch nothing.

    The id is what the client gives back in `Last-Event-ID`; without a name it is a plain `message`.

    Raises:
        ValueError: the name holds CR, LF or NUL.
    """
    head = b"" if event_id is None else b"id: %d\n" % event_id
    if name:
        if any(character in name for character in "\r\n\0"):
            raise ValueError(f"the name of an event holds CR, LF or NUL: {name!r}")
        head = b"event: %b\n%b" % (name.encode(), head)
    if b"\n" in data or b"\r" in data or b"\0" in data:
        lines = _LINE_END.split(data.replace(b"\0", b""))
        return head + b"".join(b"data: %b\n" % line for line in lines) + b"\n"
    return b"%bdata: %b\n\n" % (head, data)


def encode_retry(milliseconds: int, event_id: int) -> bytes:
    """Encode how long the client waits before it connects again, and the id after which it then continues.

    An id without data dispatches no event, but the client sends it back all the same.
    """
    return b"retry: %d\nid: %d\n\n" % (milliseconds, event_id)


def read_event_id(text: str | None) -> int | None:
    """Read a `Last-Event-ID`; None when there is none, or it is no id of ours: the client then starts live."""
    text = (text or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    number = int(text)
    return number if number <= MAX_EVENT_ID else None
