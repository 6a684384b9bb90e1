"""Bodies of gRPC split into their messages, whole, cut and compressed."""

import base64
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.grpc.messages import (
    MAX_MESSAGE_BYTES,
    MAX_MESSAGES,
    WEB_TRAILERS,
    Message,
    Messages,
    last_frame,
    split,
    without_text_coding,
)
from proxy.enrich.http.bodies import decode_body
from proxy.enrich.http.exchange import DecodedBody


def framed(*messages: bytes, flags: int = 0) -> bytes:
    """Write messages as they go over the wire."""
    return b"".join(
        bytes((flags,)) + len(message).to_bytes(4, "big") + message for message in messages
    )


def body_of(wire: bytes, head: int | None = None, tail: int = 0) -> DecodedBody:
    """Capture a body, or the first and last bytes of it."""
    head = len(wire) if head is None else head
    kept = wire[len(wire) - tail :] if tail else b""
    body = decode_body(wire[:head], kept, len(wire), b"", content_type=b"application/grpc")
    assert body is not None
    return body


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_a_whole_body_gives_its_messages(messages: list[bytes]) -> None:
    """Each as it was sent."""
    found = split(body_of(framed(*messages)), None)
    assert [message.data for message in found.found] == messages
    assert found.is_whole


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=8), st.data())
def test_a_cut_body_gives_nothing_that_was_not_sent(
    messages: list[bytes], data: st.DataObject
) -> None:
    """What is there stands in its order, whole or as the beginning of a message; the rest is known
    to lack.
    """
    wire = framed(*messages)
    head = data.draw(st.integers(0, len(wire) - 1))
    tail = data.draw(st.integers(0, len(wire) - head - 1))
    found = split(body_of(wire, head, tail), None)
    assert not found.is_whole

    for sent, message in zip(messages, found.found, strict=False):
        assert message.size == len(sent)
        assert sent.startswith(message.data)
        assert message.is_whole == (message.data == sent)


def test_lengths_lead_over_what_was_not_captured() -> None:
    """A long message that ends in the tail leads to those behind it."""
    wire = framed(b"first", b"x" * 1000, b"last")
    found = split(body_of(wire, 50, 20), None)
    assert [(message.size, message.is_whole) for message in found.found] == [
        (5, True),
        (1000, False),
        (4, True),
    ]
    assert found.found[2].data == b"last"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", None), ("snappy", None)],
)
def test_compressed_messages_are_inflated(encoding: str, compress: object) -> None:
    """By the encoding of the call; of one that is unknown nothing is shown."""
    data = compress(b"hello" * 20) if callable(compress) else b"\x28\xb5\x2f\xfd\xff\xff"
    found = split(body_of(framed(data, flags=1) + framed(b"plain")), encoding)
    expected = Message(
        b"hello" * 20 if callable(compress) else b"", len(data), callable(compress), True
    )
    assert found.found == [expected, Message(b"plain", 5, True)]
    assert found.is_whole is callable(compress)


def test_a_bomb_is_inflated_within_bounds() -> None:
    """A message at most so far, all of them together at most so far."""
    bomb = gzip.compress(bytes(64 << 20))
    found = split(body_of(framed(*[bomb] * 20, flags=1)), "gzip")
    assert all(len(message.data) <= MAX_MESSAGE_BYTES for message in found.found)
    assert sum(len(message.data) for message in found.found) <= 1 << 20
    assert not found.is_whole


def test_a_stream_of_many_messages_is_listed_to_a_bound() -> None:
    """Those behind it are known to lack."""
    found = split(body_of(framed(*[b"x"] * (MAX_MESSAGES + 1))), None)
    assert (len(found.found), found.is_ended) == (MAX_MESSAGES, False)


@given(st.binary(max_size=300), st.sampled_from([None, "gzip", "zstd", "nonsense"]))
def test_any_octets_are_split(wire: bytes, encoding: str | None) -> None:
    """Whatever they are, nothing raises; what is no prefix ends the list."""
    for message in split(body_of(wire), encoding).found:
        assert len(message.data) <= max(len(wire) * 100, 1)
    without_text_coding(body_of(wire))
    last_frame(body_of(wire), WEB_TRAILERS, is_text=True)


def test_what_is_no_prefix_ends_the_list() -> None:
    """A flag that does not exist says that these are no messages."""
    assert split(body_of(framed(b"a") + b"\x40\0\0\0\0"), None) == Messages(
        [Message(b"a", 1, True)], False
    )


def test_trailers_of_grpc_web_are_known() -> None:
    """They are the last frame; as text each part may have padding of its own."""
    wire = [framed(b"ab"), framed(b"grpc-status:0\r\n", flags=0x80)]
    text = without_text_coding(body_of(b"".join(map(base64.b64encode, wire))))
    for body in (body_of(b"".join(wire)), text):
        assert split(body, None) == Messages([Message(b"ab", 2, True)], True)
        assert last_frame(body, WEB_TRAILERS) == b"grpc-status:0\r\n"
    for written in (b"=a==", b"not base64", base64.b64encode(wire[0])[:-1]):
        assert not split(without_text_coding(body_of(written)), None).is_whole


def test_of_cut_text_the_beginning_is_read() -> None:
    """Whole groups of its characters; the trailers are in its tail, wherever that begins."""
    wire = base64.b64encode(framed(b"first", b"x" * 90)) + base64.b64encode(
        framed(b"grpc-status:5", flags=0x80)
    )
    for head, tail in ((30, 33), (31, 32), (32, 30)):
        cut = body_of(wire, head, tail)
        text = without_text_coding(cut)
        found = split(text, None)
        assert (found.found[0], found.is_ended) == (Message(b"first", 5, True), False)
        assert last_frame(cut, WEB_TRAILERS, is_text=True) == b"grpc-status:5"
