"""Bytes that a TLS layer has given to the layer below, and that are not with the peer's kernel yet."""

import os
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.proxy.conftest import Start
from tests.proxy.worker.clients import Http1Caller
from tests.proxy.worker.rows import (
    Row,
    Stage,
    ask,
    counted,
    ended,
    hear,
    pause,
    played,
    recorded,
    stops,
    then,
)
from tests.proxy.worker.services import answers, taken
from tests.support.certificate import self_signed
from tests.support.long import LOOPS
from tests.support.plane import PATIENCE_S, Loop, Plane
from tests.support.script import OK
from tests.support.upstream import read_head, scripted

BODY = os.urandom(8_000_000)
STEP_BYTES = 16_384
LARGE: Final = (taken, answers(body=BODY))
"""More than the kernels hold."""


CLOSES: Final = (("Connection", "close"),)
CLOSED: Final = counted("connections_downstream", 0)
SHORT: Final = {"proxy.worker.closing_connection.CLOSE_NS": 200_000_000}


def reads_until_handed_down(stage: Stage) -> None:
    """Read a response until its last bytes have left the worker's TLS layer."""
    assert isinstance(stage.caller, Http1Caller)
    client = stage.caller.client

    def is_upper_half_done() -> bool:
        [connection] = stage.plane.downstreams
        return (
            connection._relay.exchange is None and not connection._transport.get_write_buffer_size()
        )

    read = bytearray(client.socket.recv(STEP_BYTES))
    while not stage.plane.run(is_upper_half_done):
        read += client.socket.recv(STEP_BYTES)
    client._buffer += bytes(read)


def has_little_time(plane: Plane) -> None:
    """Let clients that take nothing be cut off soon."""
    plane.engine.pools[0].route.deadlines.write_stall_ns = 500_000_000


def says_goodbye(stage: Stage) -> None:
    """End TLS, and read no more."""
    assert isinstance(stage.caller, Http1Caller)
    assert isinstance(stage.caller.client.socket, ssl.SSLSocket)
    stage.caller.client.socket.settimeout(0.2)
    with suppress(OSError):
        stage.caller.client.socket.unwrap()


ROWS = [
    *(
        Row(
            f"a stop waits for a finished response to who asks for {connection}",
            [
                *(ask(fields=(("Connection", connection),)), reads_until_handed_down, stops),
                *(pause(0.5), hear(body=BODY), ended, recorded(200)),
            ],
            LARGE,
            ("tls",),
            settings={"drain_timeout_s": PATIENCE_S},
            is_slow=True,
        )
        for connection in ("keep-alive", "close")
    ),
    Row(
        "the limit for a client's own end begins when it has everything",
        [
            *(ask(fields=CLOSES), reads_until_handed_down, pause(1), hear(body=BODY), CLOSED),
            recorded(200),
        ],
        LARGE,
        ("tls",),
        patches=SHORT,
        is_slow=True,
    ),
    Row(
        "one that says goodbye and reads no more has the time of who stalls",
        [
            *(ask(), reads_until_handed_down, then(has_little_time), says_goodbye, CLOSED),
            recorded(200),
        ],
        LARGE,
        ("tls",),
        is_slow=True,
    ),
    Row(
        "one that answers no end of TLS is closed",
        [ask(fields=CLOSES), hear(body=b"ok"), CLOSED, recorded(200)],
        over=("tls",),
        patches=SHORT,
    ),
]


test_unsent_tls = played(ROWS)


@pytest.mark.parametrize("loop", LOOPS)
def test_an_upstream_that_has_not_taken_its_request_is_not_used_again(
    start: Start, tmp_path: Path, loop: Loop
) -> None:
    """It answers to half a body, and would read the other half, or the next request, as something
    else.
    """
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    is_over = threading.Event()

    def answer_early(connection: socket.socket, number: int) -> None:
        with context.wrap_socket(connection.dup(), server_side=True) as secure:
            read_head(secure)
            while not plane.run(is_upper_half_done):
                secure.recv(STEP_BYTES)
            secure.sendall(OK)
            is_over.wait(PATIENCE_S)

    with scripted(answer_early) as url:
        route = {"upstream_ca_file": str(cert)}
        plane = start(url.replace("http://127.0.0.1", "https://localhost"), loop=loop, route=route)
        pool = plane.engine.pools[0]

        def is_upper_half_done() -> bool:
            return any(
                upstream.handler is not None
                and upstream.handler.is_request_complete
                and not upstream.transport.get_write_buffer_size()
                for upstream in pool._connections
            )

        try:
            with plane.connect() as client:
                client.send(
                    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(BODY), BODY)
                )
                assert client.answer().body == b"ok"
                assert not plane.run(lambda: list(pool._idle))
        finally:
            is_over.set()
