"""Signed cursors: what was not written here is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.snapshot_cursor import SnapshotCursors, SnapshotPosition
from api.http.errors import Refused

SECRET = b"s" * 32
POSITIONS = st.builds(
    SnapshotPosition, st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 2**63)
)


@given(position=POSITIONS, binding=st.binary(min_size=32, max_size=32), flip=st.integers(0, 456))
def test_any_flipped_bit_is_refused(position: SnapshotPosition, binding: bytes, flip: int) -> None:
    """A cursor that was touched, cut or lengthened is 400, never 500; an untouched one is read as
    it was written.
    """
    cursors = SnapshotCursors(secret=SECRET, now_s=lambda: position.created_s)
    text = cursors.encode(position, binding)
    assert cursors.decode(text, binding) == position
    raw = bytearray(base64.urlsafe_b64decode(text + "=="))
    raw[flip % len(raw)] ^= 1 << flip % 8

    for broken in (bytes(raw), bytes(raw[:-1]), bytes(raw) + b"x", b""):
        with pytest.raises(Refused) as caught:
            cursors.decode(base64.urlsafe_b64encode(broken).rstrip(b"=").decode(), binding)
        assert caught.value.status == 400


@given(text=st.text(max_size=100))
def test_any_text_is_refused(text: str) -> None:
    """What was never a cursor is 400."""
    with pytest.raises(Refused) as caught:
        SnapshotCursors(secret=SECRET).decode(text, b"")
    assert caught.value.status == 400
