"""Trailers from a ring entry to a record: redacted like heads, kept where heads are, named where
dropped.
"""

import json

from proxy.ring.exchange import (
    FLAG_HEADS_OFF,
    NOTE_MESSAGE,
    NOTES_REQUEST_TRAILERS,
    NOTES_RESPONSE_TRAILERS,
)
from storage.record import Entry
from tests.proxy.enrich.test_records import build, exchange

KEY = b"ghp_" + b"aB3dE5gH7jK9" * 3


def with_trailers(flags: int = 0, pressure: int = 0) -> Entry:
    """Build the record of an exchange with trailers of both sides."""
    made = exchange(flags=flags)
    made.note_trailers(
        NOTES_REQUEST_TRAILERS,
        b"Set-Cookie: a=SECRET\r\nX-Mine: SECRET\r\nx: " + KEY + b"\r\n",
        [b"a", b"a"],
    )
    made.note_trailers(NOTES_RESPONSE_TRAILERS, b"Grpc-Status: 0\r\n", [])
    return build(made, pressure)


def test_they_are_redacted_like_heads() -> None:
    """By name and by pattern; a ring under pressure keeps them as it keeps heads."""
    for pressure in (0, 1, 2):
        entry = with_trailers(pressure=pressure)
        assert entry.payload is not None
        lines = b"Set-Cookie: a=[REDACTED]\r\nX-Mine: [REDACTED]\r\nx: [REDACTED]"
        assert (entry.payload.request_trailers, entry.payload.response_trailers) == (
            lines,
            b"Grpc-Status: 0",
        )
        assert json.loads(entry.record.data or b"") == {"request_trailers_dropped": ["a"]}


def test_where_no_heads_are_kept_none_of_them_is() -> None:
    """Neither values nor names."""
    entry = with_trailers(flags=FLAG_HEADS_OFF)
    assert (entry.payload, entry.record.data) == (None, None)


def test_an_exchange_without_them_has_no_data_for_them() -> None:
    """A note of another kind does not bring them about."""
    made = exchange()
    made.note(NOTE_MESSAGE, b"why")
    entry = build(made)
    assert entry.payload is not None
    assert (entry.payload.request_trailers, entry.payload.response_trailers) == (b"", b"")
    assert json.loads(entry.record.data or b"") == {"error_message": "why"}
