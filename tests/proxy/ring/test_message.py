"""The layout of a message in the ring: what is packed is read back, damage is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.websocket_frames import Message, Opcode
from proxy.ring.exchange import ACCESS
from proxy.ring.message import (
    FIXED,
    IN,
    KIND_GRPC,
    KIND_WEBSOCKET,
    OUT,
    CapturedMessage,
    decode_message,
    encode_message,
)

ID, OTHER = bytes(range(16)), bytes(range(16, 32))


@given(
    kind=st.sampled_from((KIND_WEBSOCKET, KIND_GRPC)),
    opcode=st.sampled_from(Opcode),
    direction=st.sampled_from((IN, OUT)),
    size=st.integers(0, 1 << 62),
    data=st.binary(max_size=40),
    is_compressed=st.booleans(),
    traceparent=st.binary(max_size=60),
    access=st.just(b"") | st.binary(min_size=ACCESS.size, max_size=ACCESS.size),
    session=st.binary(max_size=60),
    keeps_text=st.booleans(),
    follows_gap=st.booleans(),
    count=st.integers(1, 1 << 30),
    padding=st.integers(0, 7),
    opening=st.binary(max_size=60),
)
def test_every_field_is_read_back(
    kind: int, opcode: Opcode, direction: int, size: int, data: bytes, is_compressed: bool, traceparent: bytes,
    access: bytes, session: bytes, keeps_text: bool, follows_gap: bool, count: int, padding: int,
    opening: bytes,
) -> None:  # fmt: skip
    """Whatever a message holds, whoever's key its handshake had, and whatever the ring pads it
    with.
    """
    if count > 1:  # a row: empty messages
        size = 0
        data = b""
        is_compressed = False

    message = Message(opcode, size, data, is_compressed, count)
    header, sections = encode_message(
        ID,
        OTHER,
        5,
        3,
        direction,
        message,
        traceparent,
        access,
        session,
        keeps_text=keeps_text,
        follows_gap=follows_gap,
        opening=opening,
    )  # fmt: skip
    assert decode_message(kind, header, b"".join(sections) + b"\xff" * padding) == CapturedMessage(
        ID,
        OTHER,
        5,
        size,
        3,
        opcode,
        direction,
        is_compressed,
        traceparent,
        data,
        access,
        follows_gap,
        session,
        keeps_text,
        count,
        kind,
        opening,
    )


def test_damage_is_an_error() -> None:
    """A header of another length, sections that are too short, codes that do not exist."""
    message = Message(Opcode.TEXT, 4, b"text", False)
    header, sections = encode_message(ID, OTHER, 5, 3, IN, message, b"", bytes(ACCESS.size))

    raw = b"".join(sections)
    for bad_header, bad_sections in (
        (header[:-1], raw),
        (header, raw[:-1]),
        (FIXED.pack(ID, OTHER, 5, 4, 3, 3, IN, 0, 0, 4), raw),
        (FIXED.pack(ID, OTHER, 5, 4, 3, Opcode.TEXT, 2, 0, 0, 4), raw),
    ):
        with pytest.raises(ValueError, match="message"):
            decode_message(KIND_WEBSOCKET, bad_header, bad_sections)

    header, sections = encode_message(ID, OTHER, 5, 3, IN, message, b"", b"", b"upstream /target")
    with pytest.raises(ValueError, match="session"):
        decode_message(KIND_WEBSOCKET, header, b"".join(sections)[:-1])
    header, sections = encode_message(ID, OTHER, 5, 3, IN, message, b"", opening=b"what began")
    with pytest.raises(ValueError, match="opening"):
        decode_message(KIND_WEBSOCKET, header, b"".join(sections)[:-1])
