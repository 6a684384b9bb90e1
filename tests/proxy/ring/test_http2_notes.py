"""Notes of HTTP/2: what a worker notes of a stream and its messages, the collector reads."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.http1.websocket_frames import Message, Opcode
from proxy.ring.exchange import NOTE_GRPC_MESSAGES, NOTE_STREAM, CapturedExchange, Exchange
from proxy.ring.http2_notes import (
    BY_CLIENT,
    BY_UPSTREAM,
    BY_US,
    NOT_RESET,
    MessageCounter,
    MessagesNote,
    StreamNote,
    StreamState,
    read_messages_note,
    read_stream_note,
)


def notes_of(state: StreamState | None) -> dict[int, bytes]:
    exchange = Exchange(bytes(16), b"", 0, 0, b"")
    exchange.stream = state
    header, sections = exchange.encode(0)
    return CapturedExchange(header, b"".join(sections)).notes


def message(size: int, flag: int = 0) -> bytes:
    return bytes((flag,)) + size.to_bytes(4, "big") + bytes(size)


def test_an_exchange_of_http1_notes_no_stream() -> None:
    """The note says that the client spoke HTTP/2."""
    assert notes_of(None) == {}


def test_a_stream_is_read_back() -> None:
    """The note has the connection, the stream and no reset where there was none; no messages
    without gRPC.
    """
    notes = notes_of(StreamState(1 << 40, 7))
    assert read_stream_note(notes[NOTE_STREAM]) == StreamNote(1 << 40, 7, -1, NOT_RESET)
    assert NOTE_GRPC_MESSAGES not in notes


def test_the_first_reset_is_noted() -> None:
    """The reset that ended a stream is noted, not those that follow from it; codes have 32 bits."""
    state = StreamState(1, 1)
    state.note_reset(0xFFFFFFFF, BY_UPSTREAM)
    state.note_reset(2, BY_US)
    state.note_reset(8, BY_CLIENT)
    assert read_stream_note(notes_of(state)[NOTE_STREAM]) == StreamNote(
        1, 1, 0xFFFFFFFF, BY_UPSTREAM
    )


def test_messages_are_read_back() -> None:
    """The note has count and largest message of both directions."""
    state = StreamState(1, 1)
    state.count_messages()
    assert state.requests is not None
    assert state.responses is not None
    state.requests.add(message(3) + message(300))
    state.responses.add(message(0, flag=1))
    assert read_messages_note(notes_of(state)[NOTE_GRPC_MESSAGES]) == MessagesNote(2, 300, 1, 0)


@given(st.lists(st.integers(0, 40), max_size=20), st.lists(st.integers(0, 700), max_size=12))
@example([0, 0, 0], [1, 2, 6, 11])
def test_messages_count_however_they_are_cut(sizes: list[int], cuts: list[int]) -> None:
    """A stream of messages has the same count and largest message in whatever pieces it comes."""
    body = b"".join(map(message, sizes))
    counter = MessageCounter()
    ends = sorted(min(cut, len(body)) for cut in cuts)
    for start, end in zip([0, *ends], [*ends, len(body)], strict=True):
        counter.add(body[start:end])
    assert (counter.messages, counter.largest_bytes) == (len(sizes), max(sizes, default=0))


def test_a_message_counts_with_its_prefix() -> None:
    """One that did not come whole counts, with the length that it names; half a prefix does not."""
    counter = MessageCounter()
    counter.add(b"\0\xff\xff\xff\xff....")
    assert (counter.messages, counter.largest_bytes) == (1, 0xFFFFFFFF)
    other = MessageCounter()
    other.add(message(2) + b"\0\0\0\0")
    assert other.messages == 1


def test_a_note_of_another_size_says_nothing() -> None:
    """What a later version may write is no error."""
    assert read_stream_note(bytes(22)) is None
    assert read_messages_note(bytes(34)) is None


@given(
    sizes=st.lists(st.integers(0, 20), max_size=8),
    cuts=st.lists(st.integers(0, 150), max_size=8),
    room=st.integers(0, 9),
    max_bytes=st.integers(1, 21),
)
def test_messages_are_copied_however_they_are_cut(
    sizes: list[int], cuts: list[int], room: int, max_bytes: int
) -> None:
    """The beginning of each, in order, as long as there is room; all are counted."""
    sent = [message(size, flag=size & 1) for size in sizes]
    data = b"".join(sent)
    places = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    counter = MessageCounter(max_bytes)
    counter.room = room
    for start, end in pairwise(places):
        counter.add(data[start:end])
    assert counter.found == [
        Message(Opcode.BINARY, len(each) - 5, each[5 : 5 + max_bytes], each[0] == 1)
        for each in sent[:room]
    ]
    assert (counter.messages, counter.room) == (len(sizes), max(0, room - len(sizes)))


@given(size=st.integers(20, 100), kept=st.integers(5, 20), lost=st.integers(0, 120))
def test_the_rest_of_a_message_may_be_missing(size: int, kept: int, lost: int) -> None:
    """Its copy ends before the gap, the next one is found behind it; where more is missing, nothing
    can be.
    """
    counter = MessageCounter(40)
    counter.room = 2
    data = message(size) + message(3)
    counter.add(data[:kept])
    is_found = counter.skip(lost)
    assert is_found == (kept + lost <= 5 + size)

    if is_found:
        counter.add(data[kept + lost :])
        copied = kept - 5 if lost else min(size, 40)
        assert [(each.size, len(each.data)) for each in counter.found or ()] == [
            (size, copied),
            (3, 3),
        ]
