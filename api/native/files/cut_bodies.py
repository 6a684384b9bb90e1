"""A stored body as one text or byte string, with a mark for a missing part.

Head and tail are never joined without the mark, so that two ends are not taken for a whole. The mark
is ASCII on a line of its own. Its numbers are bytes as stored, after decoding and redaction; the
size is that on the wire.
"""

import base64
from typing import Literal

from api.http.responses import ApiObject
from api.native.projection import decode_window
from storage.record import Body

Encoding = Literal["utf-8", "base64"]


class Kept(ApiObject):
    """The kept bytes of a cut body."""

    head: int
    """Kept at the beginning."""
    tail: int
    """Kept at the end."""
    size: int
    """Size of the whole body on the wire."""


def kept_of(body: Body) -> Kept:
    return Kept(len(body.head), len(body.tail), body.size)


def describe_kept(body: Body) -> str:
    """Describe the kept parts of a cut body: `the first 10 and the last 5 of 100 bytes`."""
    ends = [
        f"the {name} {len(window)}"
        for name, window in (("first", body.head), ("last", body.tail))
        if window
    ]
    shown = " and ".join(ends) or "none"
    if body.coding is not None:
        return f"{shown} bytes (decoded; {body.size} bytes of {body.coding} on the wire)"

    return f"{shown} of {body.size} bytes"


def describe_loss(body: Body) -> str:
    """Describe which part of a body is missing, and why; empty for a complete body."""
    if body.omitted is not None:
        return f"not kept: {body.omitted}"
    if body.truncated:
        return f"cut: {describe_kept(body)} were kept"
    return ""


def describe_body(body: Body) -> str:
    """Describe the missing part of a body and how its text differs from the original; empty for
    most.
    """
    if body.coding_error:
        coding = f"content coding not undone ({body.coding_error})"
    else:
        coding = ""
    return ", ".join(
        filter(
            None, (describe_loss(body), coding, f"sent in {body.charset}" if body.charset else "")
        )
    )


def joined_text(body: Body) -> tuple[Encoding, str]:
    """Return a body as text if it is UTF-8, else as base64; a cut one has its mark inside."""
    if not body.truncated:
        whole = body.head + body.tail
        text = decode_window(whole)
        if text is None:
            return ("base64", base64.b64encode(whole).decode())
        return ("utf-8", text)

    head = decode_window(body.head, cut_end=True)
    tail = decode_window(body.tail, cut_start=True)
    if head is None or tail is None:
        return "base64", base64.b64encode(joined_bytes(body)).decode()

    return "utf-8", head + _mark(body) + tail


def joined_bytes(body: Body) -> bytes:
    """Return the kept bytes of a body; both ends as they came, with the mark between them when it
    was cut.
    """
    head, tail = sent_windows(body)
    if body.truncated:
        return head + _mark(body).encode() + tail
    return head + tail


def sent_windows(body: Body) -> tuple[bytes, bytes]:
    """Return both windows in their original charset, or unchanged if they are not text."""
    if body.charset is None:
        return body.head, body.tail
    head = decode_window(body.head, cut_end=True)
    tail = decode_window(body.tail, cut_start=True)
    if head is None or tail is None:
        return body.head, body.tail

    return sent_text(head, body.charset), sent_text(tail, body.charset.removesuffix("-sig"))


def sent_text(text: str, charset: str) -> bytes:
    """Return text encoded in a charset as `Body` names it, with a byte order mark if it had one."""
    codec = charset.removesuffix("-sig")
    return (text if codec == charset else f"\ufeff{text}").encode(codec, "replace")


def _mark(body: Body) -> str:
    before = "\n" if body.head else ""
    after = "\n" if body.tail else ""
    return f"{before}[{describe_loss(body)}]{after}"
