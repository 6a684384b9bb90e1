"""The two directions of a client connection: who waits for whom, and what happens when the client
leaves.
"""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.worker.downstream import Downstream
from tests.proxy.conftest import Start
from tests.support.client import GET
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.script import OK
from tests.support.upstream import read_head

BUFFERED_BYTES = 8_000_000 + sum(
    int(Path("/proc/sys/net/ipv4", name).read_text().split()[2])
    for name in ("tcp_rmem", "tcp_wmem")
)
"""More than the kernel holds for a client that does not read, with our own buffers."""


def _written(plane: Plane) -> int:
    engine = plane.engine

    def written() -> int:
        return sum(
            c._transport.get_write_buffer_size()
            for c in engine.connections
            if isinstance(c, Downstream)
        )

    return plane.run(written)


def _endless(sent: list[int]) -> Callable[[socket.socket, int], None]:
    def upstream(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BUFFERED_BYTES)
            left = BUFFERED_BYTES
            while left:
                left -= connection.send(b"x" * min(65536, left))
                sent[0] = BUFFERED_BYTES - left

    return upstream


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_reader_holds_the_upstream_back(start: Start, loop: Loop) -> None:
    """What a client does not take is not read from the upstream either; later it gets all of it."""
    sent = [0]
    plane = start(_endless(sent), loop=loop)
    with plane.connect(65536) as client:
        client.send(GET)
        _settle(plane, sent)
        assert sent[0] < BUFFERED_BYTES
        assert _written(plane) < 600_000
        answer = client.answer()
        assert (len(answer.body), answer.is_complete) == (BUFFERED_BYTES, True)

    exchange = plane.exchange()
    assert exchange.response_bytes == BUFFERED_BYTES
    assert (len(exchange.response_window), len(exchange.response_tail)) == (65536, 16384)


def test_requests_of_a_client_that_does_not_read_wait(start: Start) -> None:
    """Answers that nobody takes are not piled up: the next request begins when the ones before have
    drained.
    """
    sent = [0]
    size = 100_000
    count = 200

    def upstream(connection: socket.socket, number: int) -> None:
        while read_head(connection):
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
            )
            sent[0] += 1

    plane = start(upstream)
    with plane.connect(65536) as client:
        for _ in range(count):
            client.send(GET)
            # One packet each: a request that comes after an answer that was not taken.
            time.sleep(0.002)

        _settle(plane, sent)
        assert sent[0] < count
        assert _written(plane) < 500_000
        assert [len(client.answer().body) for _ in range(count)] == [size] * count

    plane.exchanges(count)


def _settle(plane: Plane, sent: list[int]) -> None:
    """Wait until the client is seen to take nothing, and its upstream sends no more."""
    eventually(lambda: plane.has_downstream(lambda each: each._stalled_ns))
    before = -1
    while before != sent[0] or not sent[0]:
        before = sent[0]
        time.sleep(0.15)


def test_an_upstream_that_does_not_read_holds_the_client_back(start: Start) -> None:
    """A request body is not buffered beyond its bounds; later it passes in full."""
    may_read = threading.Event()
    size = 40_000_000

    def upstream(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        read_head(connection)
        may_read.wait(60)
        left = size
        while left and (data := connection.recv(1 << 20)):
            left -= len(data)
        connection.sendall(OK)

    plane = start(upstream)
    with plane.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        client.socket.settimeout(0.3)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        block = b"x" * 65536
        sent = 0

        is_held_back = False
        while not is_held_back and sent < size:
            try:
                sent += client.socket.send(block[: size - sent])
            except TimeoutError:
                is_held_back = plane.has_downstream(lambda each: each._relay.is_upload_paused)

        assert sent < size
        may_read.set()
        client.socket.settimeout(60)
        client.send(b"x" * (size - sent))
        assert client.answer().status == 200

    assert plane.exchange().request_bytes == size


"""What uvloop reads at once; reading pauses only after it."""
