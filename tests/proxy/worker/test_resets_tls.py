"""An upstream over TLS that answers early and resets, while its client takes the answer slowly."""

import fcntl
import os
import socket
import ssl
import termios
import threading
import time
from pathlib import Path

import pytest

from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.records import outcome
from tests.proxy.worker.test_early_answers import post
from tests.support.certificate import self_signed
from tests.support.client import Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.upstream import read_head, scripted

PATIENCE_S = 60
HEAD = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


def is_taken(connection: socket.socket) -> bool:
    """Whether the other side's kernel has all that was sent: a reset drops the rest."""
    return fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)) == bytes(4)


def is_held_back(plane: Plane) -> bool:
    """Whether the client takes no more of the response."""
    return any(connection._relay.is_paused for connection in plane.downstreams)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_client_gets_what_came_before_a_reset(
    start: Start, tmp_path: Path, loop: Loop
) -> None:
    """What is held back when the reset comes, here and in the kernel, is read first, or the
    response says it is cut.
    """
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    planes: list[Plane] = []
    body = bytearray()
    has_left = threading.Event()

    def send(secure: ssl.SSLSocket) -> None:
        piece = os.urandom(32_000)
        body.extend(piece)
        secure.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        eventually(lambda: is_taken(secure))

    def refuse(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            read_head(secure)
            secure.sendall(HEAD)
            while not is_held_back(planes[0]):
                send(secure)
            send(secure)
            secure.sendall(b"0\r\n\r\n")
            eventually(lambda: is_taken(secure))

        connection.close()  # with the upload unread: a reset
        has_left.set()

    with scripted(refuse) as url, socket.socket() as slow:
        route = {"upstream_ca_file": str(cert)}
        planes.append(
            start(url.replace("http://127.0.0.1", "https://localhost"), loop=loop, route=route)
        )
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE_S)
        slow.connect(("127.0.0.1", planes[0].port))
        slow.sendall(post(5_000_000) + bytes(40_000))
        assert has_left.wait(PATIENCE_S)
        time.sleep(0.3)
        answer = Client(slow).answer("POST")
        is_whole = answer.body == body
        assert is_whole or (loop == "asyncio" and not answer.is_complete)
        exchange = planes[0].exchange()
        assert (exchange.status, outcome(exchange)) == (
            413,
            Outcome.OK if is_whole else Outcome.TRUNCATED,
        )
