"""The chunked decoder: whole, byte by byte, in any pieces, with trailing junk, malformed, bounded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.chunked import (
    LAST_CHUNK,
    MAX_LINE_BYTES,
    MAX_TRAILER_BYTES,
    MAX_TRAILER_FIELDS,
    STEP_CHUNKS,
    ChunkedDecoder,
    ChunkError,
    frame,
    last_chunk,
)
from tests.support.cases import each_of

JUNK = b"GET / HTTP/1.1\r\n"


def decode(raw: bytes, cuts: list[int] | None = None) -> tuple[bytes, bytes, bool]:
    """Feed in pieces; return body, rest and whether it is done."""
    decoder = ChunkedDecoder()
    body = b""
    rest = b""

    edges = [0, *sorted(cuts or []), len(raw)]
    for start, end in itertools.pairwise(edges):
        if decoder.is_done:
            rest += raw[start:end]
            continue
        data = raw[start:end]
        while data or decoder.has_more:
            pieces, after = decoder.feed(data)
            body += b"".join(pieces)
            rest += after
            assert all(pieces)
            assert not after or decoder.is_done
            data = b""

    return body, rest, decoder.is_done


WELL_FORMED = [
    (b"0\r\n\r\n", b""),
    (b"000\r\n\r\n", b""),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"A\r\n0123456789\r\n00a\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
    (b'3;name=value\r\nabc\r\n2 ; a="b;c"\r\nde\r\n0;last\r\n\r\n', b"abcde"),
    (b"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", b"\r\n"),
    (b"2\r\nok\r\n0\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"ok"),
    (b"2;x=\xe4\t\r\nok\r\n0\r\nT: \xe4\r\n\r\n", b"ok"),
]

MALFORMED = [
    b"\r\n",
    b"x\r\n",
    b"0x5\r\nhello\r\n",
    b"+5\r\nhello\r\n",
    b"-5\r\nhello\r\n",
    b" 5\r\nhello\r\n",
    b"5 \r\nhello\r\n",
    b"5_0\r\n",
    b"5,5\r\n",
    b"\xd9\xa5\r\nhello\r\n",  # an Arabic-Indic five
    b"5\nhello\n0\n\n\r\n",
    b"5\rhello\r\n",
    b"5;a\x00b\r\nhello\r\n",
    b"5;\r\nhello\r\n",
    b"5; \r\nhello\r\n",
    b"5;=x\r\nhello\r\n",
    b"5\nhello\n",
    b"5;a\nhello",
    b"0\r\nT: x\n",
    b"5;a\nb\r\nhello\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhelloworld\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n",
    b"10000000000000000\r\n",
    b"8000000000000000\r\n",
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nname : value\r\n\r\n",
    b"0\r\n folded: x\r\n\r\n",
    b"0\r\nA: \x00\r\n\r\n",
    b"0\r\nA: x\ny: z\r\n\r\n",
    b"5;" + b"e" * MAX_LINE_BYTES + b"\r\n",
    b"5;" + b"e" * (64 << 10),
    b"0\r\n" + b"T: x\r\n" * (MAX_TRAILER_FIELDS + 1) + b"\r\n",
    b"0\r\n" + b"T: %b\r\n" % (b"x" * 4000) * (MAX_TRAILER_BYTES // 4000 + 1) + b"\r\n",
    b"0\r\n: nameless\r\n\r\n",
    b"0\r\nA: x\ry: z\r\n\r\n",
    b"0\r\nA\xc3: x\r\n\r\n",
    b"0\r\nT: " + b"x" * MAX_LINE_BYTES + b"\r\n\r\n",
]


@each_of(("raw", "body"), WELL_FORMED)
def test_a_body_is_the_same_whole_and_byte_by_byte(raw: bytes, body: bytes) -> None:
    """Sizes, extensions and trailers are not part of it; what follows the body is left alone."""
    assert decode(raw) == (body, b"", True)
    assert decode(raw + JUNK) == (body, JUNK, True)
    assert decode(raw + JUNK, list(range(len(raw + JUNK)))) == (body, JUNK, True)


@each_of(("raw", "body"), WELL_FORMED)
def test_a_cut_body_is_never_done(raw: bytes, body: bytes) -> None:
    """Every proper prefix of a body is unfinished, and gives a prefix of it."""
    for end in range(len(raw)):
        found, rest, is_done = decode(raw[:end])
        assert body.startswith(found)
        assert (rest, is_done) == (b"", False)


@pytest.mark.parametrize(
    "section",
    [b"", b"A: b\r\n", b"A: b\r\na:\tc;d \r\nX_Y:\r\n", b"T: \xff\r\n" * MAX_TRAILER_FIELDS],
)
def test_trailers_are_kept_as_they_came(section: bytes) -> None:
    """Each line with its CRLF, in any pieces; written again they are read the same."""
    raw = b"2\r\nok\r\n" + last_chunk(section) + JUNK
    for step in (1, 7, len(raw)):
        decoder = ChunkedDecoder()
        rest = b""
        for at in range(0, len(raw), step):
            rest += raw[at : at + step] if decoder.is_done else decoder.feed(raw[at : at + step])[1]
        assert (decoder.trailers, rest) == (section, JUNK)


@each_of("raw", MALFORMED)
def test_malformed_bodies_are_refused_however_they_are_cut(raw: bytes) -> None:
    """What another parser might read otherwise is an error, whole and byte by byte."""
    with pytest.raises(ChunkError):
        decode(raw)
    with pytest.raises(ChunkError):
        decode(raw, list(range(len(raw))))


def test_the_longest_size_line_is_the_same_in_any_pieces() -> None:
    """The limit of a line counts the line, not the packets it came in."""
    raw = b"2;" + b"e" * (MAX_LINE_BYTES - 2) + b"\r\nok\r\n0\r\n\r\n"
    for cut in range(MAX_LINE_BYTES - 3, MAX_LINE_BYTES + 5):
        assert decode(raw, [cut]) == (b"ok", b"", True)


@given(st.binary(max_size=400), st.lists(st.integers(1, 60), max_size=20), st.data())
def test_any_split_gives_the_same_body(body: bytes, sizes: list[int], data: st.DataObject) -> None:
    """However a body is chunked, and its bytes are cut, the decoder gives it back, and the rest
    untouched.
    """
    raw = b""
    left = body
    for size in sizes:
        if left:
            raw += frame(left[:size])
            left = left[size:]

    raw += (frame(left) if left else b"") + LAST_CHUNK + JUNK
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=12))
    assert decode(raw, cuts) == (body, JUNK, True)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_arbitrary_bytes_give_the_same_verdict_in_any_pieces(raw: bytes, cuts: list[int]) -> None:
    """Garbage is refused, finished or waited for, independent of how it is cut."""

    def verdict(pieces: list[int]) -> object:
        try:
            return decode(raw, [min(cut, len(raw)) for cut in pieces])
        except ChunkError:
            return ChunkError

    assert verdict(cuts) == verdict([])


SMALL = st.one_of(
    st.binary(min_size=1, max_size=3),
    st.sampled_from(
        [
            b"\r\n",
            b"\r\n\r\n",
            b"x\r\n1\r\ny",
            b"\n",
            b"\r",
            b"0\r\n\r\n",
            b"q" * 20,
            b"r" * 300,
            b"s" * 2000,
        ]
    ),
)
LINES = st.sampled_from([b"%x", b"%X", b"%04x", b"%x;a=b", b'%x ; q="1;2"'])


@given(
    st.lists(st.tuples(LINES, SMALL, st.integers(1, 40)), max_size=60),
    st.lists(st.integers(0, 9999), max_size=6),
)
def test_small_chunks_in_a_row_are_the_same_body(
    chunks: list[tuple[bytes, bytes, int]], cuts: list[int]
) -> None:
    """Rows of equal and of mixed chunks, with line ends in their data, extensions and breaks
    between them.
    """
    raw = b"".join(
        (line % len(data) + b"\r\n" + data + b"\r\n") * times for line, data, times in chunks
    )
    body = b"".join(data * times for _, data, times in chunks)
    raw += LAST_CHUNK + JUNK
    assert decode(raw, [min(cut, len(raw)) for cut in cuts]) == (body, JUNK, True)


@each_of(
    "bad",
    [b"1\r\nxx\r\n", b"1 \r\nx\r\n", b"1\nx\r\n", b"1;\x00\r\nx\r\n", b"-1\r\n\r\n", b"\r\n\r\n"],
)
@each_of("place", [0, 5, 200, 5000])
def test_what_is_malformed_is_found_in_a_row(bad: bytes, place: int) -> None:
    """Chunks before it pass; it is refused wherever it lies."""
    with pytest.raises(ChunkError):
        decode(b"1\r\nx\r\n" * place + bad + b"1\r\nx\r\n" * 300 + LAST_CHUNK)


@pytest.mark.parametrize(
    "chunk",
    [b"1\r\nx\r\n", b"2\r\n\r\n\r\n", b"1;a\r\nx\r\n", b"1\r\nx\r\n" * 5 + b"2\r\n\r\n\r\n"],
)
def test_one_call_does_a_bounded_amount(chunk: bytes) -> None:
    """Of 256 KB in tiny chunks, a call reads a part; the rest is in hand, and nothing of it is
    lost.
    """
    decoder = ChunkedDecoder()
    raw = chunk * (256_000 // len(chunk)) + LAST_CHUNK
    steps = 0
    size = 0
    rest = b""

    data = raw
    while data or decoder.has_more:
        pieces, rest = decoder.feed(data)
        assert len(pieces) <= 2 * STEP_CHUNKS
        size += sum(map(len, pieces))
        steps += 1
        data = b""

    assert (decoder.is_done, rest, decoder._buffer) == (True, b"", b"")
    assert size == len(decode(raw)[0])
    assert steps >= 8


@each_of("step", [1, 3, 1000])
@each_of("times", [1, 400])
def test_blanks_that_servers_write_are_read_in_responses_only(times: int, step: int) -> None:
    """Behind a size, and before the colon of a trailer; of a request neither is one reading of two."""
    raw = b"1 \r\nx\r\n2\t \r\nyz\r\n" * times + b"0  \r\nA : b\r\nC:d\r\n\r\n" + JUNK
    decoder = ChunkedDecoder(is_response=True)
    body = b""
    rest = b""
    for at in range(0, len(raw) - len(JUNK), step):
        pieces, rest = decoder.feed(raw[at : min(at + step, len(raw) - len(JUNK))])
        body += b"".join(pieces)
    while decoder.has_more:
        pieces, rest = decoder.feed(b"")
        body += b"".join(pieces)
    assert (decoder.is_done, body, rest, decoder.trailers) == (
        True,
        b"xyz" * times,
        b"",
        b"A: b\r\nC:d\r\n",
    )
    for line in (b"1 \r\nx\r\n", b"0 \r\n", b"0\r\nA : b\r\n"):
        with pytest.raises(ChunkError):
            decode(line)


def test_large_chunks_are_read_in_one_call() -> None:
    """Ordinary bodies are not cut into steps."""
    decoder = ChunkedDecoder()
    pieces, _ = decoder.feed(frame(b"x" * 1024) * 250)
    assert (sum(map(len, pieces)), decoder.has_more) == (250 * 1024, False)


def test_what_is_not_data_is_not_held() -> None:
    """The decoder keeps at most one unfinished line, whatever is fed."""
    decoder = ChunkedDecoder()
    decoder.feed(b"ffffff\r\n")
    for _ in range(100):
        pieces, _ = decoder.feed(b"x" * 1000)
        assert pieces == [b"x" * 1000]
    assert decoder._buffer == b""


@pytest.mark.parametrize(
    "raw",
    [
        b'{"password":"SECRET"}\r\n',
        b"password=SECRET\r\n",
        b"0\r\nX-Api-Key : SECRET\r\n\r\n",
        b"0\r\nX-Api-Key: SECRET\n\r\n",
    ],
)
def test_what_is_wrong_is_shown_without_values(raw: bytes) -> None:
    """The message is recorded, and what stands in a wrong place may be anything."""
    with pytest.raises(ChunkError) as refusal:
        decode(raw)
    assert "SECRET" not in str(refusal.value)
