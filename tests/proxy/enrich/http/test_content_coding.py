"""Decoding of copies: right, bounded, and never an exception."""

import gzip
import os
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.http.content_coding import (
    MAX_FRAMES,
    MAX_OUTPUT_BYTES,
    MAX_RATIO,
    MAX_WALK_BYTES,
    Decoded,
    codings_of,
    decode,
)
from storage.zstd import zstd
from tests.support.cases import each_of


def raw_deflate(data: bytes) -> bytes:
    """Compress without the zlib wrapper, as some servers do."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw": raw_deflate,
    "br": partial(brotli.compress, quality=5),
    "zstd": zstd.compress,
}


def decoded_of(data: bytes, names: list[str], **more: Any) -> Decoded:
    """Decode what can be."""
    decoded = decode(data, names, **more)
    assert decoded is not None
    return decoded


def whole(data: bytes, *undone: str) -> Decoded:
    """What is decoded to its end."""
    return Decoded(data, True, undone=undone)


codings = pytest.mark.parametrize("coding", list(ENCODERS))


def named(coding: str) -> str:
    """Return the name a coding has on the wire."""
    return "deflate" if coding == "raw" else coding


@codings
@given(data=st.binary(max_size=2000))
def test_round_trip(coding: str, data: bytes) -> None:
    """What was compressed comes back whole."""
    assert decode(ENCODERS[coding](data), [named(coding)]) == whole(data, named(coding))


@codings
@given(cut=st.integers(0, 2000))
def test_truncated_input_gives_the_decodable_prefix(coding: str, cut: int) -> None:
    """A prefix of the data, said to be incomplete, or nothing at all."""
    data = b"".join(b"line %d of some text\n" % number for number in range(1000))
    packed = ENCODERS[coding](data)
    decoded = decode(packed[:cut], [named(coding)])
    if decoded is not None and decoded.undone and cut and cut < len(packed):
        assert data.startswith(decoded.data)
        assert not decoded.is_complete


@codings
def test_half_of_the_input_gives_some_of_the_output(coding: str) -> None:
    """A long stream that was cut is readable up to about there."""
    data = os.urandom(200_000).hex().encode()
    packed = ENCODERS[coding](data)
    decoded = decoded_of(packed[: len(packed) // 2], [named(coding)])
    assert len(decoded.data) > len(data) // 4, "zstd comes in blocks of 128 KiB"
    assert data.startswith(decoded.data)


@codings
@pytest.mark.parametrize("size", [100_000, 30 << 20])
def test_bombs_are_bounded(coding: str, size: int) -> None:
    """Never more than the output cap, nor more than the ratio allows; the prefix is kept."""
    packed = ENCODERS[coding](bytes(size))
    decoded = decoded_of(packed, [named(coding)])
    assert not decoded.is_complete or size <= MAX_RATIO * len(packed)
    assert len(decoded.data) <= min(MAX_OUTPUT_BYTES, MAX_RATIO * len(packed))


@codings
def test_head_and_tail_of_long_text(coding: str) -> None:
    """The end is reached in bounded memory, and places on the wire become places in the text."""
    lines = [b"line %d of some text that goes on and on\n" % number for number in range(60_000)]
    text = b"".join(lines)
    packed = ENCODERS[coding](b"".join(lines))
    decoded = decoded_of(packed, [named(coding)], tail_bytes=10_000, marks=(100, len(packed)))
    assert (decoded.data, decoded.tail) == (text[:MAX_OUTPUT_BYTES], text[-10_000:])
    assert (decoded.size, decoded.is_complete, decoded.marks[1]) == (len(text), True, len(text))
    assert 0 <= decoded.marks[0] < len(text) // 10
    bomb = decoded_of(ENCODERS[coding](bytes(64 << 20)), [named(coding)], tail_bytes=10_000)
    assert (bomb.is_broken, bomb.is_complete) == (True, False)
    assert bomb.size <= MAX_WALK_BYTES


def test_marks_of_pieces_that_were_flushed_apart() -> None:
    """A server that flushes each event: the text of an event is there as soon as its bytes are."""
    compressor = zlib.compressobj(wbits=31)
    pieces = [
        compressor.compress(b"event %d\n" % n) + compressor.flush(zlib.Z_SYNC_FLUSH)
        for n in range(2000)
    ]
    ends = [sum(map(len, pieces[: n + 1])) for n in range(0, 2000, 100)]
    decoded = decoded_of(b"".join(pieces), ["gzip"], marks=ends)
    text = [b"event %d\n" % n for n in range(2000)]
    assert decoded.marks == tuple(len(b"".join(text[: n + 1])) for n in range(0, 2000, 100))
    assert (decoded.is_complete, decoded.is_broken, decoded.data) == (False, False, b"".join(text))
    twice = decoded_of(gzip.compress(b"".join(pieces)), ["gzip", "gzip"], marks=[5, 10**6])
    assert twice.marks[1] == len(decoded.data)


@codings
def test_first_octet_that_came_alone(coding: str) -> None:
    """It does not tell yet whether deflate has its wrapper."""
    packed = ENCODERS[coding](b"hello " * 50)
    decoded = decoded_of(packed, [named(coding)], marks=(0, 1, 2, len(packed)))
    assert (decoded.data, decoded.is_complete, decoded.marks[3]) == (b"hello " * 50, True, 300)


def test_bomb_in_a_bomb_is_bounded_by_the_outer_input() -> None:
    """Each stage is bounded by what came over the wire, not by the stage before."""
    packed = gzip.compress(gzip.compress(bytes(30 << 20)))
    decoded = decode(packed, ["gzip", "gzip"])
    assert decoded is None or len(decoded.data) <= MAX_RATIO * len(packed)


@pytest.mark.parametrize(
    "names", [["gzip"], ["deflate"], ["br"], ["zstd"], ["gzip", "br"], ["zstd", "deflate"]]
)
@given(data=st.binary(max_size=300))
def test_random_bytes_never_raise(names: list[str], data: bytes) -> None:
    """Anything may claim to be coded."""
    decoded = decode(data, names)
    assert decoded is None or len(decoded.data) <= MAX_RATIO * len(data)


@codings
@given(position=st.integers(0, 100_000), value=st.integers(0, 255))
def test_damage_never_raises(coding: str, position: int, value: int) -> None:
    """One changed byte gives some output or none."""
    data = os.urandom(3000).hex().encode()
    packed = bytearray(ENCODERS[coding](data))
    packed[position % len(packed)] = value
    decode(bytes(packed), [named(coding)])


def test_damage_in_the_middle_keeps_what_came_before() -> None:
    """The stored copy ends where the damage is."""
    data = b"".join(b"%d: %d\n" % (number, number * number) for number in range(9000))
    packed = bytearray(gzip.compress(data))
    packed[12_000:12_100] = b"\xff" * 100
    decoded = decoded_of(bytes(packed), ["gzip"])
    assert not decoded.is_complete
    assert len(decoded.data) > 20_000, "to the byte, not to the beginning of a piece"
    assert decoded.data[:20_000] == data[:20_000]


FALSE_ENDS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip, another sum": ("gzip", lambda packed: packed[:-8] + b"\1\2\3\4" + packed[-4:]),
    "gzip, another length": ("gzip", lambda packed: packed[:-4] + b"\1\2\3\4"),
    "deflate, another sum": ("deflate", lambda packed: packed[:-4] + b"\1\2\3\4"),
    "deflate, an end of line": ("deflate", lambda packed: packed + b"\r\n"),
    "br, an end of line": ("br", lambda packed: packed + b"\r\n"),
    "br twice": ("br", lambda packed: packed + packed),
    "br, much": ("br", lambda packed: packed + bytes(50_000)),
    "zstd, an end of line": ("zstd", lambda packed: packed + b"\r\n"),
}


@each_of("size", [0, 300, 5000, 50_000])
@each_of("false_end", FALSE_ENDS)
def test_what_is_wrong_behind_the_end_costs_nothing(false_end: str, size: int) -> None:
    """A checksum that is false, or octets that belong to nothing: clients read such answers."""
    coding, spoil = FALSE_ENDS[false_end]
    text = TEXT + os.urandom(size).hex().encode()
    decoded = decode(spoil(ENCODERS[coding](text)), [coding])
    assert decoded == Decoded(
        text, True, is_damaged=True, undone=(coding,), error=f"{coding}: damaged"
    )


@each_of("applied", ["gzip", "deflate", "br", "zstd"])
@each_of("named", ["", "gzip", "br", "deflate", "zstd", "snappy", "gzip, br"])
@each_of("count", [0, 60_000])
def test_a_coding_that_is_not_named_is_found_where_text_is_said_to_be(
    applied: str, named: str, count: int
) -> None:
    """Also where its end was not captured; octets that nothing has coded stay as they are."""
    text = TEXT + b", ".join(b"line %d" % number for number in range(count))
    packed = ENCODERS[applied](text)
    names = codings_of(named.encode())
    for part in (packed, packed[: len(packed) * 3 // 4]) if count else (packed,):
        decoded = decoded_of(part, names, is_of_text=True)
        assert decoded.undone == (applied,)
        assert text.startswith(decoded.data)
        assert len(decoded.data) > len(text) // 3
        assert decoded.is_complete == (part == packed)

    octets = os.urandom(9000).replace(b"\x1f\x8b", b"").replace(b"\x28\xb5", b"")
    kept = decoded_of(b"\0" + octets, [], is_of_text=True)
    assert (kept.data[1:], kept.undone) == (octets, ())


def test_chained_codings_are_undone_in_reverse() -> None:
    """Content-Encoding lists them in the order they were applied (RFC 9110 §8.4)."""
    packed = brotli.compress(gzip.compress(b"text"))
    assert codings_of(b"GZIP, identity,, br , None,utf-8") == ["gzip", "br"]
    assert decode(packed, codings_of(b"gzip, br")) == whole(b"text", "gzip", "br")
    in_wrong_order = decoded_of(packed, ["br", "gzip"])
    assert in_wrong_order.data == b"text"


TEXT = b'{"a": "words that nothing has coded", "password": "hunter2"}'


@each_of(
    "text",
    [
        TEXT,
        b"<p>no",
        b'{"ok":1}',
        "<p>\u2014 \u00fc</p>".encode() * 9,
        "\u8a9e\u3092".encode("shift_jis") * 20,
    ],
)
@each_of("coding", ["gzip", "deflate", "br", "zstd", "aws-chunked"])
def test_text_that_nothing_has_coded_is_left_as_it_is(coding: str, text: bytes) -> None:
    """Whatever the header says, also in part: what one coding gave is text, so the other was never
    applied.
    """
    assert decode(text, [coding]) == Decoded(text, True, error=f"{coding}: not coded")
    once = decode(gzip.compress(text), [coding, "gzip"])
    assert once == Decoded(text, True, undone=("gzip",), error=f"{coding}: not coded")


@each_of("named", ["br", "deflate", "zstd", "snappy"])
def test_what_shows_another_coding_is_undone(named: str) -> None:
    """The header is not true, but how the data begin."""
    decoded = decoded_of(gzip.compress(TEXT), [named])
    assert (decoded.data, decoded.undone) == (TEXT, ("gzip",))
    assert decoded.error is not None


def test_text_in_a_coding_that_is_unknown_can_be_read() -> None:
    """Other bytes stay as they are, too."""
    assert decode(TEXT, ["snappy"]) == Decoded(TEXT, True, error="snappy: unknown")
    assert decode(b"\x00\x01", ["snappy"]) == Decoded(b"\x00\x01", True, error="snappy: unknown")
    assert decode(b"x", []) == Decoded(b"x", True)
    assert decode(b"", ["gzip"]) == Decoded(b"", True)


def test_what_is_compressed_still_is_not_returned() -> None:
    """Its readers could decode what was never redacted."""
    packed = gzip.compress(TEXT)
    for _ in range(4):
        packed = gzip.compress(packed)
    assert decode(packed, ["gzip"] * 5) is None
    assert decode(TEXT, ["gzip"] * 5) == Decoded(TEXT, True, error="gzip: not coded")
    assert decode(gzip.compress(TEXT)[:10], ["gzip"]) is None


def test_names_that_code_nothing_are_left_out() -> None:
    """Those of MIME, of Amazon's protocols and of charsets."""
    assert codings_of(b"binary, 8bit, 7BIT, amz-1.0, aws-chunked, utf-8, chunked") == [
        "aws-chunked"
    ]


def aws_chunks(*chunks: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """Frame chunks as Amazon's clients do."""
    return (
        b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in (*chunks, b""))[
            :-2
        ]
        + trailer
        + b"\r\n"
    )


@pytest.mark.parametrize("extension", [b"", b";chunk-signature=" + b"0f" * 32])
@pytest.mark.parametrize("trailer", [b"", b"x-amz-checksum-crc32:sOO8/Q==\r\n"])
def test_chunks_of_amazon_are_put_together(extension: bytes, trailer: bytes) -> None:
    """Signed or not, of any size, with fields behind them or without; wherever the header names
    them.
    """
    chunks = [os.urandom(size) for size in (1, 5000, 8192, 3)]
    framed = aws_chunks(*chunks, extension=extension, trailer=trailer)
    assert decode(framed, ["aws-chunked"]) == whole(b"".join(chunks), "aws-chunked")
    packed = gzip.compress(TEXT)
    for names in (["aws-chunked", "gzip"], ["gzip", "aws-chunked"]):
        framed = aws_chunks(packed[:9], packed[9:], extension=extension, trailer=trailer)
        assert decode(framed, names) == whole(TEXT, "gzip", "aws-chunked")


@given(cut=st.integers(0, 12_000), junk=st.binary(max_size=600))
def test_chunks_that_break_off_give_what_came_before(cut: int, junk: bytes) -> None:
    """Nothing raises, however they go on."""
    data = b"some words " * 1000
    framed = aws_chunks(*(data[at : at + 700] for at in range(0, len(data), 700)))[:cut]
    decoded = decoded_of(framed, ["aws-chunked"])
    assert data.startswith(decoded.data) or not decoded.undone
    decode(framed + junk, ["aws-chunked"])


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_further_members_are_read(coding: str) -> None:
    """gzip members and zstd frames may follow each other, at any distance; padding after them is
    left out.
    """
    for size in (10, 4095, 4096, 4097, 5000):
        first = os.urandom(size)
        second = os.urandom(size)
        packed = ENCODERS[coding](first) + ENCODERS[coding](second)
        assert decode(packed, [coding]) == whole(first + second, coding)

    assert decode(gzip.compress(b"a") + bytes(9000), ["gzip"]) == whole(b"a", "gzip")
    for pad in range(40):  # the second member's magic falls on both sides of the edge of a piece
        filler = os.urandom(4080 - pad)
        packed = gzip.compress(filler, 0) + gzip.compress(b"tail")
        assert decode(packed, ["gzip"]) == whole(filler + b"tail", "gzip")


def test_zstd_frames_are_bounded() -> None:
    """Each takes a decoder of its own, which costs far more than the bytes of an empty one."""
    frame = zstd.compress(b"a")
    skipped = b"\x50\x2a\x4d\x18" + bytes(4)
    assert decode(frame * MAX_FRAMES, ["zstd"]) == whole(b"a" * MAX_FRAMES, "zstd")
    cut = decode(frame * (MAX_FRAMES - 1) + skipped * 1000 + frame, ["zstd"])
    assert cut == Decoded(
        b"a" * (MAX_FRAMES - 1),
        False,
        is_broken=True,
        is_damaged=True,
        undone=("zstd",),
        error="zstd: damaged",
    )


def test_zstd_windows_above_the_standard_are_refused() -> None:
    """A frame that wants more than 8 MiB of memory to decode is not decoded (RFC 9659)."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    packed = compressor.compress(os.urandom(1 << 20)) + compressor.flush()
    assert decode(packed, ["zstd"]) is None


@each_of("outer", ["gzip", "zstd"])
def test_what_was_coded_twice_under_one_name_is_text(outer: str) -> None:
    """A server compressed what came compressed; what is no text then stays as it is."""
    text = b'{"password": "hunter2"}' * 9
    inner = gzip.compress(text)
    twice = gzip.compress(inner) if outer == "gzip" else zstd.compress(inner)
    decoded = decoded_of(twice, [outer])
    assert (decoded.data, decoded.is_complete, decoded.undone) == (text, True, ("gzip", outer))
    archive = gzip.compress(bytes(range(256)) * 9)
    kept = decoded_of(gzip.compress(archive), ["gzip"])
    assert (kept.data, kept.undone) == (archive, ("gzip",))
