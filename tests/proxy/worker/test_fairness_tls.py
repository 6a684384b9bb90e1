"""Turns of connections over TLS (P23): what the loop holds decrypted comes later, and nothing of it
is lost.
"""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

import pytest

from proxy.network.pacing import HELD_BYTES
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Connection
from storage.record import Outcome
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import MASKED_CLOSE, connect
from tests.proxy.worker.records import dropped, number_of, outcome
from tests.proxy.worker.rows import (
    Row,
    Stage,
    ask,
    hear,
    leave,
    open_websocket,
    played,
    recorded,
)
from tests.proxy.worker.services import answers, ends, gone, heard, switches, taken
from tests.proxy.worker.test_fairness import LAST, MASKED_EMPTY, PATIENCE_S, SMALL, UPLOAD, sink
from tests.support.client import GET, Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane, eventually
from tests.support.upstream import read_head, scripted

BODY: Final = os.urandom(600_000)
"""Little enough that nobody is held back."""
FRAMES: Final = (HELD_BYTES - 1024) // len(MASKED_EMPTY)


def has_all_frames(stage: Stage) -> None:
    """Find each frame recorded, or counted as dropped."""
    session = stage.take_record()
    assert (session.close_code, outcome(session)) == (1000, Outcome.OK)
    assert number_of(stage.messages) + dropped(session) == FRAMES + 1


ROWS = [
    *(
        Row(
            f"all of an upload in small chunks arrives, {kind}, and the next request is served",
            [
                *(UPLOAD + chunk * (400_000 // len(chunk)) + LAST + GET, hear(body=b"ok")),
                *(hear(body=b"ok"), recorded(200, request_bytes=400_000 // len(chunk) * size)),
                recorded(200),
            ],
            over=("tls",),
            rule="P23",
        )
        for kind, (chunk, size) in SMALL.items()
        if kind in ("one byte", "line ends")
    ),
    Row(
        "a client that says as much as is held of it, and leaves at once, has said all of it",
        [open_websocket, MASKED_EMPTY * FRAMES + MASKED_CLOSE, leave(), has_all_frames],
        [heard, switches(), gone],
        ("tls",),
        "P23",
    ),
    Row(
        "reads of 64 KiB and more of an upstream end a turn, and nothing is lost when it leaves",
        [ask(), hear(body=BODY), recorded(200)],
        [
            *(taken, answers(body=b"", is_end=False)),
            *(BODY[at : at + 50_000] for at in range(0, len(BODY), 50_000)),
            ends(),
        ],
        ("h1-tls",),
        "P23",
    ),
]


test_fairness_tls = played(ROWS)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("framing", ["length", "close"])
def test_a_slow_client_gets_all_of_an_upstream_that_left(
    start: Start, certificate: tuple[str, str], framing: str, loop: Loop
) -> None:
    """What is held back when the connection ends is read first; such an end looks like the end of
    the body.
    """
    body = os.urandom(3_000_000)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    has_left = threading.Event()

    def upstream(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            read_head(secure)
            length = b"Content-Length: %d\r\n" % len(body) if framing == "length" else b""
            secure.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n%b\r\n" % length + body)
        connection.shutdown(socket.SHUT_RDWR)
        has_left.set()

    with scripted(upstream) as url, socket.socket() as slow:
        plane = start(
            url.replace("http://127.0.0.1", "https://localhost"),
            loop=loop,
            route={"upstream_ca_file": certificate[0]},
        )
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(PATIENCE_S)
        slow.connect(("127.0.0.1", plane.port))
        client = Client(slow)
        client.send(GET)
        has_left.wait(60)
        time.sleep(0.3)
        answer = client.answer()
        assert (len(answer.body), answer.body == body) == (len(body), True)
        assert outcome(plane.exchange()) is Outcome.OK


@pytest.mark.parametrize("loop", LOOPS)
def test_a_connection_that_its_loop_has_closed_can_be_drained(
    start_tls: Callable[..., Plane], loop: Loop
) -> None:
    """The plane is told of a lost connection a turn later than its transport; meanwhile it may
    begin to drain.
    """
    plane = start_tls(sink, loop=loop)
    with connect(plane) as client:
        client.send(GET)
        assert client.answer().body == b"ok"

        def drain() -> list[Connection]:
            found = list(plane.engine.connections)
            for connection in found:
                assert isinstance(connection, Downstream)
                connection._transport.close()  # as the loop does when the client leaves
                connection.close_if_idle(1 << 62)
            return found

        [connection] = plane.run(drain)
        eventually(lambda: not plane.run(lambda: connection.is_flushing))
