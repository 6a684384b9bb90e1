"""A connection at either end: what is sent, when, and what the consumer is told."""

import sys

import pytest

from proxy.http2 import events, frames
from proxy.http2.connection import MAX_UNSENT_BYTES, STEP_FRAMES, STEP_HEADS, Connection
from proxy.http2.errors import ErrorCode
from proxy.http2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    PING,
    PREFACE,
    frame,
    rst_stream,
    settings,
    window_update,
)
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.inbound import DRAIN_WAIT_NS, USUAL_FIELDS
from proxy.http2.stream import MAX_RESET_IDS
from tests.proxy.http2.wire import (
    GET,
    HELLO,
    NOW_NS,
    POST,
    block,
    data,
    head,
    limits,
    opened,
    receive,
    sent,
    sent_fields,
    server,
    verdict,
)

OPEN = head(1, POST, END_HEADERS)


# The beginning (F1).


def test_a_server_says_what_it_allows_first() -> None:
    """Its SETTINGS come before all else, and the window of the connection is widened."""
    connection = Connection(limits(max_streams=7), LineEncoder(), NOW_NS, is_server=True)
    (first, second) = sent(connection)
    assert first == (frames.SETTINGS, 0, 0, settings([(4, 65535), (6, 32768), (3, 7), (8, 1)])[9:])
    assert second == (frames.WINDOW_UPDATE, 0, 0, ((1 << 20) - 65535).to_bytes(4, "big"))


def test_a_client_begins_with_the_preface_and_takes_no_push() -> None:
    """ENABLE_PUSH is 0, so a PUSH_PROMISE is a fault, and so is a server that enables it."""
    connection = Connection(limits(), LineEncoder(), NOW_NS, is_server=False)
    raw = connection.output.take()
    assert raw.startswith(PREFACE + settings([(4, 65535), (6, 32768), (2, 0)]))
    for bad in (settings([]) + frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), settings([(2, 1)])):
        other = Connection(limits(), LineEncoder(), NOW_NS, is_server=False)
        assert verdict(other, receive(other, bad)) == "connection 1"


@pytest.mark.parametrize("hello", [b"", PREFACE[:5], PREFACE, PREFACE + settings([(1, 1)])[:-1]])
def test_a_connection_that_does_not_begin_in_time_ends(hello: bytes) -> None:
    """Preface and SETTINGS have the time of a request head."""
    connection = server(hello)
    due_ns = connection.next_check_ns
    assert due_ns == NOW_NS + limits().timeout_settings_ns
    assert connection.check(due_ns - 1) == []
    (ended,) = connection.check(due_ns)
    assert isinstance(ended, events.ConnectionEnded)
    assert ended.code == ErrorCode.SETTINGS_TIMEOUT
    assert (connection.next_check_ns, connection.receive(HELLO, due_ns), connection.has_more) == (
        0,
        [],
        False,
    )


def test_settings_and_pings_are_acknowledged() -> None:
    """The answer to a PING has its bytes; acknowledgements are not answered."""
    connection = server()
    receive(
        connection,
        settings([(1, 0)]) + frame(PING, 0, 0, b"abcdefgh") + frame(PING, ACK, 0, bytes(8)),
    )
    assert sent(connection) == [(frames.SETTINGS, ACK, 0, b""), (PING, ACK, 0, b"abcdefgh")]


# Requests and responses.


def test_a_request_becomes_text_and_its_response_frames() -> None:
    """Head, body and trailers in both directions; then the place is free."""
    connection = server()
    came = receive(connection, OPEN + data(1, b"ping") + head(1, [(b"x", b"y")]))
    assert [type(event) for event in came] == [
        events.RequestReceived,
        events.DataReceived,
        events.TrailersReceived,
    ]
    begun, body, trailers = came
    assert isinstance(begun, events.RequestReceived)
    assert begun.head.text == b"POST / HTTP/2\r\nHost: a\r\n\r\n"
    assert isinstance(body, events.DataReceived)
    assert (body.data, body.is_end) == (b"ping", False)
    assert isinstance(trailers, events.TrailersReceived)
    assert trailers.lines == b"x: y\r\n"
    connection.send_response(1, 103, b"Link: x\r\n")
    connection.send_response(1, 200, b"Content-Type: a/b\r\n")
    assert connection.send_data(1, b"pong", NOW_NS)
    assert len(connection.streams.open) == 1
    assert connection.send_trailers(1, b"Grpc-Status: 0\r\n", NOW_NS)
    assert len(connection.streams.open) == 0
    early, final, pong, end = sent(connection)
    assert early[3].startswith(b"\x20")  # the table that the peer keeps for us is closed
    assert sent_fields(early[3]) == [(b":status", b"103"), (b"link", b"x")]
    assert sent_fields(final[3]) == [(b":status", b"200"), (b"content-type", b"a/b")]
    assert pong == (DATA, 0, 1, b"pong")
    assert end[1:3] == (END_HEADERS | frames.END_STREAM, 1)
    assert sent_fields(end[3]) == [(b"grpc-status", b"0")]


def test_an_end_is_said_with_the_last_bytes_where_it_is_known() -> None:
    """With the head, with the last DATA, or with an empty one behind them."""
    connection = server()
    receive(connection, head(1) + head(3) + head(5) + head(7))
    connection.send_response(1, 204, b"", is_end=True)
    connection.send_response(3, 200, b"")
    assert connection.send_data(3, b"x", NOW_NS, is_end=True)
    connection.send_response(5, 200, b"")
    assert connection.send_data(5, b"x", NOW_NS)
    assert connection.send_data(5, b"", NOW_NS, is_end=True)
    connection.send_response(7, 200, b"")
    assert connection.send_trailers(7, b"", NOW_NS)
    ends = [
        (kind, stream)
        for kind, flags, stream, _ in sent(connection)
        if flags & frames.END_STREAM and kind < 2
    ]
    assert ends == [(frames.HEADERS, 1), (DATA, 3), (DATA, 5), (DATA, 7)]
    assert len(connection.streams.open) == 0


def test_a_long_head_goes_in_continuations() -> None:
    """No frame is over 16 KiB, whatever the peer would take."""
    connection = server(PREFACE + settings([(5, 1 << 20)]))
    receive(connection, head(1))
    connection.send_response(1, 200, b"x: %b\r\n" % (b"y" * 40000), is_end=True)
    found = sent(connection)
    assert [(kind, flags) for kind, flags, _, _ in found] == [
        (frames.HEADERS, 1),
        (frames.CONTINUATION, 0),
        (frames.CONTINUATION, 4),
    ]
    assert sent_fields(b"".join(payload for _, _, _, payload in found))[1] == (b"x", b"y" * 40000)


def test_a_malformed_request_is_reset_and_can_be_recorded() -> None:
    """It takes no place; what is no text in it is replaced."""
    connection = server()
    (refused,) = receive(connection, head(1, [*POST, (b"x", b"y\r\nz\0")]))
    assert isinstance(refused, events.RequestRefused)
    fields = b":method: POST\r\n:scheme: http\r\n:path: /\r\n:authority: a\r\nx: y\r\nz?\r\n"
    assert refused.text == b"POST / HTTP/2\r\n%b\r\n" % fields
    assert len(connection.streams.open) == 0
    assert opened(receive(connection, data(1, b"under way") + head(3))) == [3]
    assert [kind for kind, _, _, _ in sent(connection)] == [frames.RST_STREAM]


def test_a_head_over_the_limit_is_answered() -> None:
    """431, and the connection goes on."""
    connection = server(max_header_bytes=1000)
    came = receive(connection, head(1, [*POST, *((b"x", b"y") for _ in range(40))]) + head(3))
    assert opened(came) == [1, 3]
    assert isinstance(came[0], events.RequestReceived)
    assert came[0].head.refusal is not None
    assert came[0].head.refusal.code == "header_too_large"
    assert isinstance(came[1], events.RequestReceived)
    assert came[1].head.refusal is None


def test_pieces_of_a_body_that_come_in_one_step_are_one() -> None:
    """Those of each stream, in the place of its first; their end is with the last. The next step
    begins anew (F14).
    """
    connection = server()
    receive(connection, OPEN + head(3, POST, frames.END_HEADERS))
    crumbs = (
        data(1, b"a")
        + data(1, b"b")
        + data(3, b"x")
        + data(1, bytes(4096))
        + data(1, b"", is_end=True)
    )
    found = [
        event for event in receive(connection, crumbs) if isinstance(event, events.DataReceived)
    ]
    assert [(event.stream_id, len(event.data), event.is_end) for event in found] == [
        *((1, 4098, True), (3, 1, False)),
    ]
    assert found[0].data == b"ab" + bytes(4096)
    later = receive(connection, data(3, b"y"))
    assert [event.data for event in later if isinstance(event, events.DataReceived)] == [b"y"]


def test_what_is_sent_on_a_stream_that_is_over_goes_nowhere() -> None:
    """Unknown, ended, reset: a consumer may be late."""
    connection = server()
    receive(connection, OPEN + head(3) + rst_stream(3, 8))
    connection.send_response(1, 200, b"", is_end=True)
    sent(connection)

    for stream in (1, 3, 5):
        connection.send_response(stream, 200, b"")
        assert connection.send_data(stream, b"x", NOW_NS)
        assert connection.send_trailers(stream, b"x: y\r\n", NOW_NS)
        connection.credit(stream, 5)

    connection.reset(3, ErrorCode.CANCEL)
    assert sent(connection) == []


# Lengths (F8).


@pytest.mark.parametrize(
    "raw", [data(1, b"123456"), data(1, b"123") + data(1, b"456"), data(1, b"1234", is_end=True)]
)
def test_nothing_is_given_out_that_the_length_does_not_allow(raw: bytes) -> None:
    """What came before it may have gone on; the rest never makes a message longer, or ends it
    early.
    """
    connection = server()
    came = receive(connection, head(1, [*POST, (b"content-length", b"5")], END_HEADERS) + raw)
    assert isinstance(came[-1], events.StreamReset)
    given = [event for event in came if isinstance(event, events.DataReceived)]
    assert sum(len(event.data) for event in given) <= 5
    assert not any(event.is_end for event in given)


# Places (F10) and streams that are over (F9).


def test_a_place_is_free_when_its_work_is_cancelled() -> None:
    """Not when the client resets the stream, nor when it makes us reset it."""
    connection = server(max_streams=2)
    receive(
        connection, head(1) + rst_stream(1, 8) + OPEN[:8] + b"\3" + OPEN[9:] + window_update(3, 0)
    )
    sent(connection)
    assert len(connection.streams.open) == 2
    (refused,) = receive(connection, head(5))
    assert isinstance(refused, events.RequestRefused)
    assert (refused.code, refused.reason) == (ErrorCode.REFUSED_STREAM, "")
    assert sent(connection) == [(frames.RST_STREAM, 0, 5, b"\0\0\0\7")]
    connection.release(1)
    connection.release(3)
    assert opened(receive(connection, head(7))) == [7]


def test_a_stream_released_while_it_runs_is_cancelled() -> None:
    """The consumer wants no more of it."""
    connection = server()
    receive(connection, OPEN)
    connection.release(1)
    assert sent(connection) == [(frames.RST_STREAM, 0, 1, b"\0\0\0\x08")]
    assert len(connection.streams.open) == 0


def test_trailers_under_way_to_a_stream_that_we_reset_keep_the_tables_in_step() -> None:
    """They are decoded, and ignored."""
    connection = server()
    receive(connection, OPEN)
    connection.reset(1, ErrorCode.NO_ERROR)
    connection.release(1)
    indexed = frame(frames.HEADERS, END_HEADERS | frames.END_STREAM, 1, b"\x40\1x\1y")
    (begun,) = receive(
        connection, data(1, b"x") + indexed + frame(frames.HEADERS, 5, 3, block(POST) + b"\xbe")
    )
    assert isinstance(begun, events.RequestReceived)
    assert begun.head.lines == b"Host: a\r\nx: y\r\n"


def test_only_so_many_ids_are_remembered() -> None:
    """Frames for streams that were reset long ago are faults."""
    connection = server()
    for at in range(MAX_RESET_IDS + 44):
        stream = 1 + 2 * at
        receive(connection, head(stream, POST, END_HEADERS), NOW_NS + at * 10**9)
        connection.release(stream)

    connection.output.take()
    assert verdict(connection, receive(connection, data(599, b"x"), NOW_NS + 10**12)) == ""
    assert verdict(connection, receive(connection, data(1, b"x"), NOW_NS + 10**12)) == "stream 5"


# Turns (F12, F14).


def test_one_step_is_bounded() -> None:
    """Frames and requests of one call; the rest is in hand, in order."""
    connection = server()
    assert (
        len(connection.receive(b"".join(head(1 + 2 * at) for at in range(20)), NOW_NS))
        == STEP_HEADS
    )
    assert connection.has_more
    assert len(connection.receive(b"", NOW_NS)) == 20 - STEP_HEADS
    assert not connection.has_more
    assert len(connection.receive(data(1, b"x")[:5], NOW_NS)) == 0
    connection = server()
    came = connection.receive(OPEN + data(1, b"x") * 500, NOW_NS)
    assert [len(event.data) for event in came if isinstance(event, events.DataReceived)] == [
        STEP_FRAMES - 1
    ]
    assert connection.reader.in_hand == (501 - STEP_FRAMES) * 10


@pytest.mark.parametrize(
    ("begun", "is_head"), [(data(1, b"x" * 100), False), (head(99), True), (head(99)[:8], False)]
)
def test_a_frame_that_is_cut_behind_a_full_step_is_a_head_or_not(
    begun: bytes, is_head: bool
) -> None:
    """The time of a head counts from its beginning, and not while a body is under way."""
    connection = server()
    heads = [OPEN, *(head(1 + 2 * at) for at in range(1, STEP_HEADS))]
    connection.receive(b"".join(heads) + begun[:-1], NOW_NS)
    assert connection.reader.is_within_head == is_head
    assert not connection.has_more


def test_long_heads_fill_a_step_sooner() -> None:
    """Their fields take the time, whether they open a stream, end one, or are for one that is over."""
    fields = [(b"a", b"")] * (USUAL_FIELDS * STEP_HEADS)
    connection = server()
    assert (
        len(
            connection.receive(
                b"".join(head(1 + 2 * at, [*GET, *fields]) for at in range(3)), NOW_NS
            )
        )
        == 1
    )
    assert len(connection.receive(b"", NOW_NS)) == 1
    connection = server()
    raw = head(1, POST, END_HEADERS) + head(1, fields) + head(3)
    assert [len(connection.receive(piece, NOW_NS)) for piece in (raw, b"")] == [2, 1]
    connection.reset(3, ErrorCode.CANCEL)
    assert [
        len(connection.receive(piece, NOW_NS)) for piece in (head(3, fields) + head(5), b"")
    ] == [0, 1]


def test_reading_stops_while_the_peer_takes_nothing() -> None:
    """Answers are output, too; what the socket has not taken counts with them."""
    connection = server()
    pings = frame(PING, 0, 0, bytes(8)) * 5
    connection.receive(pings, NOW_NS, MAX_UNSENT_BYTES - 3 * 17)
    assert len(sent(connection)) == 4
    assert connection.has_more
    assert connection.receive(b"", NOW_NS, MAX_UNSENT_BYTES + 1) == []
    assert connection.output.size_bytes == 0
    connection.receive(b"", NOW_NS)
    assert connection.output.size_bytes == 17


# Ends.


def test_a_drain_serves_what_is_under_way() -> None:
    """GOAWAY without a last stream, a PING, and once that is answered the GOAWAY that names it."""
    connection = server()
    receive(connection, OPEN)
    connection.inbound.drain(NOW_NS)
    connection.inbound.drain(NOW_NS)
    first, ping = sent(connection)
    assert first == (frames.GOAWAY, 0, 0, frames.MAX_STREAM_ID.to_bytes(4, "big") + bytes(4))
    assert opened(receive(connection, head(3) + frame(PING, ACK, 0, b"another!"))) == [3]
    assert sent(connection) == []
    receive(connection, frame(PING, ACK, 0, ping[3]))
    assert sent(connection) == [(frames.GOAWAY, 0, 0, b"\0\0\0\3" + bytes(4))]
    assert receive(connection, head(5, POST, END_HEADERS) + data(5, b"x", is_end=True)) == []
    assert not connection.is_drained
    for stream in (1, 3):
        connection.send_response(stream, 204, b"", is_end=True)
    receive(connection, data(1, b"", is_end=True))
    assert not connection.is_drained
    sent(connection)
    assert connection.is_drained


def test_a_drain_whose_ping_is_not_answered_goes_on_after_a_second() -> None:
    """An idle connection is then drained."""
    connection = server()
    connection.inbound.drain(NOW_NS)
    sent(connection)
    assert connection.next_check_ns == NOW_NS + DRAIN_WAIT_NS
    connection.check(NOW_NS + DRAIN_WAIT_NS)
    assert sent(connection) == [(frames.GOAWAY, 0, 0, bytes(8))]
    assert (connection.is_drained, connection.next_check_ns) == (True, 0)


def test_an_end_is_said_once() -> None:
    """With the last stream that may have been worked on."""
    connection = server()
    receive(connection, head(1) + head(3))
    connection.end(ErrorCode.NO_ERROR, "done")
    connection.end(ErrorCode.INTERNAL_ERROR)
    assert sent(connection) == [(frames.GOAWAY, 0, 0, b"\0\0\0\3" + bytes(4) + b"done")]
    connection.send_response(1, 200, b"")
    assert (connection.receive(head(5), NOW_NS), sent(connection), connection.check(NOW_NS)) == (
        [],
        [],
        [],
    )


# At rest.


def test_an_idle_connection_keeps_nothing_of_what_it_read() -> None:
    """Thousands of them may have read a large body before."""
    connection = server()
    receive(connection, OPEN)
    raw = data(1, bytes(16000), is_end=True)
    references = sys.getrefcount(raw)
    assert len(receive(connection, raw)) == 1
    assert sys.getrefcount(raw) == references
    assert connection.reader.payload == b""
