"""Windows: ours are enforced and given back, the peer's are used in turns and not in crumbs."""

import pytest

from proxy.http2 import events, frames
from proxy.http2.connection import Connection
from proxy.http2.errors import ErrorCode
from proxy.http2.frames import (
    DATA,
    END_HEADERS,
    PREFACE,
    frame,
    rst_stream,
    settings,
    window_update,
)
from proxy.http2.output import SMALL_WAIT_NS
from tests.proxy.http2.wire import (
    HELLO,
    NOW_NS,
    POST,
    data,
    head,
    receive,
    sent,
    server,
    verdict,
)

OPEN = head(1, POST, END_HEADERS)


def queued(connection: Connection) -> int:
    stream = connection.streams.open.get(1)
    return stream.queued_bytes if stream else 0


def sizes(connection: Connection) -> list[int]:
    return [len(payload) for kind, _, _, payload in sent(connection) if kind == DATA]


# Windows of ours (F13).


def test_credit_is_given_for_what_was_forwarded() -> None:
    """Half a window at a time, on stream and connection; padding at once."""
    connection = server(connection_window_bytes=65535)
    receive(connection, OPEN + data(1, bytes(16384)) * 3)
    assert sent(connection) == []
    connection.credit(1, 32767)
    assert sent(connection) == []
    connection.credit(1, 1)
    update = (32768).to_bytes(4, "big")
    assert sent(connection) == [
        (frames.WINDOW_UPDATE, 0, 1, update),
        (frames.WINDOW_UPDATE, 0, 0, update),
    ]
    receive(connection, frame(DATA, frames.PADDED, 1, b"\xff" + bytes(256)) * 128)
    assert [payload for _, _, _, payload in sent(connection)] == [update, update]


def test_windows_are_enforced() -> None:
    """A byte more than a stream's window resets it; more than the connection's ends that."""
    full = OPEN + data(1, bytes(16384)) * 3 + data(1, bytes(16383))
    connection = server()
    assert verdict(connection, receive(connection, full)) == ""
    assert verdict(connection, receive(connection, data(1, b"x"))) == "stream 3"
    connection = server(connection_window_bytes=65535)
    assert verdict(connection, receive(connection, full)) == ""
    assert (
        verdict(connection, receive(connection, head(3, POST, 4) + data(3, b"x"))) == "connection 3"
    )


def test_no_credit_is_given_on_a_stream_that_has_ended() -> None:
    """Only the connection needs it."""
    connection = server(connection_window_bytes=65535)
    receive(connection, OPEN + data(1, bytes(16384)) * 2 + data(1, b"", is_end=True))
    connection.credit(1, 40000)
    assert [stream for _, _, stream, _ in sent(connection)] == [0]


@pytest.mark.parametrize("way", ["peer", "us", "fault", "complete"])
def test_a_stream_that_ends_gives_its_credit_back(way: str) -> None:
    """However it ends, the connection's window is whole again, and DATA under way does not narrow
    it.
    """
    connection = server(connection_window_bytes=65535)
    for stream in range(1, 401, 2):
        receive(connection, head(stream, POST, 4) + data(stream, bytes(16384)))
        if way == "peer":
            receive(connection, rst_stream(stream, 8))
        elif way == "us":
            connection.reset(stream, ErrorCode.CANCEL)
            receive(connection, data(stream, bytes(16384)))
        elif way == "fault":
            receive(connection, window_update(stream, 0) + data(stream, bytes(16384)))
        else:
            connection.send_response(stream, 200, b"", is_end=True)
            receive(connection, data(stream, b"", is_end=True))

        connection.release(stream)
        connection.output.take()
        assert not connection.is_ended
        connection._budget.pass_time(NOW_NS + stream * 10**9)


# Windows of the peer (F12, F13).


def responding(hello: bytes, *streams: int) -> Connection:
    connection = server(hello)
    receive(connection, b"".join(head(stream) for stream in streams))
    for stream in streams:
        connection.send_response(stream, 200, b"")
    sent(connection)
    return connection


def test_a_body_goes_as_far_as_the_window() -> None:
    """The rest waits, in order, and the consumer is told when it is out; then comes the end."""
    connection = responding(HELLO, 1)
    assert connection.send_data(1, bytes(60000), NOW_NS)
    assert not connection.send_data(1, b"x" * 10000, NOW_NS)
    assert not connection.send_trailers(1, b"x: y\r\n", NOW_NS)
    assert queued(connection) == 4465
    assert sizes(connection) == [16384, 16384, 16384, 10848, 5535]
    assert receive(connection, window_update(1, 5000)) == []
    (drained,) = receive(connection, window_update(0, 5000))
    assert isinstance(drained, events.StreamDrained)
    rest, end = sent(connection)
    assert (rest[1], rest[3], end[0], end[1]) == (0, b"x" * 4465, frames.HEADERS, 5)
    assert (len(connection.streams.open), queued(connection)) == (0, 0)


def test_settings_move_the_windows_of_open_streams() -> None:
    """They may become negative; what was sent counts."""
    connection = responding(PREFACE + settings([(4, 3)]), 1)
    assert not connection.send_data(1, b"abcdef", NOW_NS)
    assert sizes(connection) == []  # three bytes are waited for a while
    connection.check(NOW_NS + SMALL_WAIT_NS)
    assert sizes(connection) == [3]
    receive(connection, settings([(4, 1)]) + window_update(1, 2))
    assert sizes(connection) == []  # -2 + 2
    receive(connection, settings([(4, 4)]))
    assert sizes(connection) == [3]


def test_a_small_window_is_waited_for_ten_milliseconds() -> None:
    """Then it is used; a larger one is used at once, and a small body is not held up."""
    connection = responding(PREFACE + settings([(4, 100)]), 1, 3)
    assert not connection.send_data(1, bytes(5000), NOW_NS)
    assert connection.send_data(3, bytes(100), NOW_NS)
    assert sizes(connection) == [100]
    assert connection.next_check_ns == NOW_NS + SMALL_WAIT_NS
    connection.check(NOW_NS + SMALL_WAIT_NS - 1)
    assert sizes(connection) == []
    connection.check(NOW_NS + SMALL_WAIT_NS)
    assert sizes(connection) == [100]
    assert connection.next_check_ns == 0
    receive(connection, window_update(1, 10), NOW_NS + 2 * SMALL_WAIT_NS)
    assert connection.next_check_ns == NOW_NS + 3 * SMALL_WAIT_NS
    receive(connection, window_update(1, 1014), NOW_NS + 2 * SMALL_WAIT_NS)
    assert (sizes(connection), connection.next_check_ns) == ([1024], 0)


def test_a_window_of_nothing_is_waited_for_without_checks() -> None:
    """A small window of a stream, or of the connection, may be used up or taken back while its wait
    goes on.
    """
    late_ns = NOW_NS + SMALL_WAIT_NS
    connection = responding(PREFACE + settings([(4, 100)]), 1)
    assert not connection.send_data(1, bytes(5000), NOW_NS)
    receive(connection, settings([(4, 0)]))
    connection.check(late_ns)
    assert (sizes(connection), connection.next_check_ns) == ([], 0)
    receive(connection, settings([(4, 200)]), late_ns)
    assert connection.next_check_ns == late_ns + SMALL_WAIT_NS
    connection = responding(PREFACE + settings([(4, 1 << 20)]), 1, 3)
    connection.send_data(1, bytes(65535 - 500), NOW_NS)
    sent(connection)
    for stream in (1, 3):
        assert not connection.send_data(stream, bytes(5000), NOW_NS)
    connection.check(late_ns)
    assert (sizes(connection), connection.next_check_ns) == ([500], 0)
    receive(connection, window_update(0, 10000), late_ns)
    assert sorted(sizes(connection)) == [4500, 5000]


def test_streams_take_turns_at_the_connections_window() -> None:
    """None starves while others have much to send; one without a window of its own holds no other
    up.
    """
    connection = responding(PREFACE + settings([(4, 1 << 20)]), 1, 3, 5)
    connection.send_data(1, bytes(200000), NOW_NS)
    connection.send_data(3, bytes(200000), NOW_NS)
    sent(connection)
    turns = []
    for _ in range(8):
        receive(connection, window_update(0, 16384))
        turns += [stream for kind, _, stream, _ in sent(connection) if kind == DATA]
    assert turns == [1, 3] * 4
    connection = responding(HELLO, 1, 3)
    receive(connection, window_update(0, 1 << 20))
    connection.send_data(1, bytes(100000), NOW_NS)
    assert connection.send_data(3, bytes(60000), NOW_NS)


def test_a_stream_that_is_reset_sends_no_more() -> None:
    """What waited is dropped, whoever reset it; the others go on."""
    connection = responding(HELLO, 1, 3)
    receive(connection, window_update(0, 1 << 20))
    for stream in (1, 3):
        assert not connection.send_data(stream, bytes(70000), NOW_NS)
    sent(connection)
    (ended,) = receive(connection, rst_stream(1, 8))
    assert isinstance(ended, events.StreamReset)
    assert (ended.code, ended.reason, ended.is_retryable) == (8, "", False)
    connection.reset(3, ErrorCode.INTERNAL_ERROR)
    receive(
        connection, window_update(0, 10) + window_update(3, 1 << 20) + window_update(1, 1 << 20)
    )
    assert sent(connection) == [(frames.RST_STREAM, 0, 3, b"\0\0\0\2")]
