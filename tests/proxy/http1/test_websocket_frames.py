"""The WebSocket frame scanner: any split of any frames gives the same messages, within bounds."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.websocket_frames import STEP_FRAMES, Message, MessageScanner, Opcode, close_code
from tests.support.cases import each_of

CAP = 64


def each(found: list[Message]) -> list[Message]:
    """Write rows of empty messages out."""
    return [message._replace(times=1) for message in found for _ in range(message.times)]


def frame(
    opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"", rsv1: bool = False
) -> bytes:
    """Write one frame."""
    first = opcode | (0x80 if final else 0) | (0x40 if rsv1 else 0)
    length = len(payload)
    if length < 126:
        head = bytes((first, length | (0x80 if mask else 0)))
    elif length < 1 << 16:
        head = bytes((first, 126 | (0x80 if mask else 0))) + length.to_bytes(2, "big")
    else:
        head = bytes((first, 127 | (0x80 if mask else 0))) + length.to_bytes(8, "big")

    masked = (
        bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)) if mask else payload
    )
    return head + mask + masked


masks = st.one_of(st.just(b""), st.binary(min_size=4, max_size=4))
controls = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """Messages in one to three frames each, with control frames between them, and what the scanner
    must say.
    """
    raw = b""
    expected = []
    for _ in range(draw(st.integers(0, 4))):
        opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
        parts = draw(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
        rsv1 = draw(st.booleans())

        for index, part in enumerate(parts):
            is_last = index == len(parts) - 1
            kind = opcode if index == 0 else Opcode.CONTINUATION
            raw += frame(kind, part, final=is_last, mask=draw(masks), rsv1=rsv1 and index == 0)
            if is_last:
                payload = b"".join(parts)
                expected.append(Message(opcode, len(payload), payload[:CAP], rsv1))
            if draw(st.booleans()):
                control, text = draw(controls)
                raw += frame(control, text, mask=draw(masks))
                expected.append(Message(control, len(text), text[:CAP], False))

    return raw, expected


@given(streams(), st.lists(st.integers(1, 40), max_size=30))
def test_any_split_gives_the_same_messages(
    stream: tuple[bytes, list[Message]], cuts: list[int]
) -> None:
    """Whole, byte by byte, or cut anywhere: the same messages in the same order."""
    raw, expected = stream
    assert each(MessageScanner(CAP).feed(raw)) == expected
    assert each(MessageScanner(CAP).feed(raw, len(expected))) == expected
    slow = MessageScanner(CAP)
    found = []
    for index in range(len(raw)):
        found += slow.feed(raw[index : index + 1])
    assert found == expected
    cut = MessageScanner(CAP)
    found = []
    at = 0
    for size in [*cuts, len(raw)]:
        found += cut.feed(raw[at : at + size])
        at += size
    assert each(found) == expected


@given(streams(), st.integers(0, 12), st.lists(st.integers(1, 40), max_size=30), st.integers(0, 70))
def test_messages_without_room_are_counted(
    stream: tuple[bytes, list[Message]], room: int, cuts: list[int], times: int
) -> None:
    """What is not returned is counted, rows of equal frames as well, and the next messages are read
    as ever.
    """
    raw, expected = stream
    row = frame(Opcode.PING, b"x", mask=b"abcd") * times + frame(Opcode.TEXT, b"") * times
    scanner = MessageScanner(CAP)
    found = 0
    at = 0

    whole = row + raw + row
    for size in [*cuts, len(whole)]:
        found += len(each(scanner.feed(whole[at : at + size], room)))
        at += size
        while scanner.has_more:
            found += len(each(scanner.feed(b"", room)))

    assert found + scanner.dropped == len(expected) + 4 * times
    assert scanner.feed(frame(Opcode.TEXT, b"next")) == [Message(Opcode.TEXT, 4, b"next", False)]


def test_a_close_is_returned_without_room() -> None:
    """How a session ended is on record whatever was said before."""
    raw = frame(Opcode.TEXT, b"x") * 10 + frame(Opcode.CLOSE, b"\x03\xe8")
    scanner = MessageScanner(CAP)
    assert [message.opcode for message in scanner.feed(raw, 0)] == [Opcode.CLOSE]
    assert scanner.dropped == 10


TINY = [
    frame(Opcode.TEXT, b""),
    frame(Opcode.TEXT, b"", mask=b"abcd"),
    frame(Opcode.PING, b"", mask=b"abcd"),
    frame(Opcode.TEXT, b"") + frame(Opcode.TEXT, b"x"),
    frame(Opcode.TEXT, b"", final=False) + frame(Opcode.CONTINUATION, b""),
]


@each_of("room", [0, 1 << 30])
@each_of("raw", TINY)
def test_one_call_reads_a_bounded_number_of_frames(raw: bytes, room: int) -> None:
    """Of 256 KB in tiny frames a call reads a part; the rest is in hand, and nothing of it is lost."""
    scanner = MessageScanner(CAP)
    count = 256_000 // len(raw)
    found = 0
    steps = 0

    data = raw * count
    while data or scanner.has_more:
        some = scanner.feed(data, room)
        assert len(some) <= STEP_FRAMES
        found += len(each(some))
        steps += 1
        data = b""

    messages = MessageScanner(CAP)
    assert found + scanner.dropped == count * len(messages.feed(raw))
    assert room == 0 or steps > 4


@each_of("mask", [b"", b"abcd"])
@each_of("opcode", [Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG])
@each_of("times", [2, 3, 100, 5000])
def test_a_row_of_empty_messages_is_one_with_a_count(
    times: int, opcode: Opcode, mask: bytes
) -> None:
    """They say nothing but how many they are; the message behind them is read as ever."""
    scanner = MessageScanner(CAP)
    found = []
    data = frame(opcode, b"", mask=mask) * times + frame(Opcode.TEXT, b"next", mask=mask)
    while data or scanner.has_more:
        found += scanner.feed(data)
        data = b""
    *rows, last = found
    assert {row._replace(times=1) for row in rows} == {Message(opcode, 0, b"", False)}
    assert sum(row.times for row in rows) == times
    assert len(rows) <= 1 + times * (6 if mask else 2) // 8192
    assert last == Message(Opcode.TEXT, 4, b"next", False)


@pytest.mark.parametrize(
    "raw",
    [
        frame(Opcode.TEXT, b"", rsv1=True) * 9,
        (frame(Opcode.TEXT, b"") + frame(Opcode.PING, b"")) * 4,
        frame(Opcode.TEXT, b"x") * 9,
        frame(Opcode.TEXT, b"", final=False)
        + frame(Opcode.PONG, b"") * 9
        + frame(Opcode.CONTINUATION, b""),
    ],
    ids=["compressed", "kinds in turn", "not empty", "between the frames of another"],
)
def test_other_messages_are_no_row(raw: bytes) -> None:
    assert {message.times for message in MessageScanner(CAP).feed(raw)} == {1}


def test_a_row_that_is_not_whole_yet_goes_on() -> None:
    """Of a frame that is cut nothing is counted before it is there."""
    row = frame(Opcode.TEXT, b"", mask=b"abcd") * 3
    scanner = MessageScanner(CAP)
    assert [message.times for message in scanner.feed(row[:-3])] == [2]
    assert [message.times for message in scanner.feed(row[-3:])] == [1]


def test_a_large_message_costs_only_its_cap() -> None:
    """Sixteen MiB pass by and leave 64 bytes behind."""
    scanner = MessageScanner(CAP)
    payload = os.urandom(1 << 20)
    raw = frame(Opcode.BINARY, payload * 16)
    found = [m for at in range(0, len(raw), 65536) for m in scanner.feed(raw[at : at + 65536])]
    assert found == [Message(Opcode.BINARY, 16 << 20, payload[:CAP], False)]


@each_of(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        frame(3, b"x"),
        frame(11, b"x"),
        frame(Opcode.CONTINUATION, b"x"),
        frame(Opcode.TEXT, b"x", final=False) + frame(Opcode.TEXT, b"y"),
        frame(Opcode.PING, b"x", final=False),
        b"\x89\x7e\x00\x80" + bytes(128),
        b"\xa1\x01x",
        b"\x82\x7f" + b"\xff" * 8,
    ],
)
def test_bytes_that_are_no_frames_end_the_scan(raw: bytes) -> None:
    """The scanner gives up on what RFC 6455 forbids, says so, and stays quiet from then on."""
    scanner = MessageScanner(CAP)
    scanner.feed(raw)
    assert scanner.is_lost
    assert scanner.feed(frame(Opcode.TEXT, b"later")) == []


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_garbage_never_raises(pieces: list[bytes]) -> None:
    """Whatever comes, the relay is not disturbed."""
    scanner = MessageScanner(CAP)
    for piece in pieces:
        for message in scanner.feed(piece):
            assert len(message.data) <= CAP


def test_close_codes() -> None:
    """A close frame's code is its first two bytes, if it has them."""
    (with_code,) = MessageScanner(CAP).feed(
        frame(Opcode.CLOSE, (1000).to_bytes(2, "big") + b"bye", mask=b"abcd")
    )
    assert close_code(with_code) == 1000
    (without,) = MessageScanner(CAP).feed(frame(Opcode.CLOSE, b""))
    assert close_code(without) is None
