"""What connections of HTTP/2 leave behind, of clients and to upstreams: nothing that waits for a
collection of cycles.

Each of a client left 33 objects, 3 KB, which only a full collection found: 31 to 170 MiB in 40 000
connections.
"""

import socket
import ssl
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.http2.errors import ErrorCode
from tests.proxy.conftest import Start
from tests.proxy.worker.clients import OPEN
from tests.proxy.worker.records import entries
from tests.proxy.worker.test_fairness import MASKED_CLOSE
from tests.proxy.worker.test_garbage import COUNT, left_behind, upstream
from tests.proxy.worker.upstream.http2_calls import (
    CALL,
    GRPC,
    HTTP1,
    HTTP2,
    MESSAGE,
    STATUS,
    with_path,
)
from tests.support.certificate import self_signed
from tests.support.http2_client import GET, POST, Fields, Http2Client
from tests.support.http2_upstream import Connection, Http2Upstream, Request, echo
from tests.support.plane import PATIENCE_S, Plane, limit_requests
from tests.support.ports import free_port

Act = Callable[[Http2Client], object]
POSTED: Fields = (*POST, ("content-length", "4"))
BROKEN_FRAME = b"\0\0\1\6\0\0\0\0\0x"
"""A PING of one byte (RFC 9113 §6.7)."""


def ask(client: Http2Client) -> None:
    assert client.ask().status == 200


def never(client: Http2Client) -> None:
    client.begin(with_path("/never"))


def half(client: Http2Client) -> None:
    stream = client.begin(with_path("/half"))
    while not client.streams[stream].status:
        assert client.read()


def reset(client: Http2Client) -> None:
    stream = client.begin(with_path("/never"))
    client.h2.reset_stream(stream, ErrorCode.CANCEL)
    client.flush()


def chat(client: Http2Client) -> None:
    stream = client.begin((*OPEN, ("sec-websocket-version", "13")), is_end=False)
    while not client.streams[stream].status:
        assert client.read()
    client.h2.send_data(stream, MASKED_CLOSE)
    client.flush()


def broken(client: Http2Client) -> None:
    client.socket.sendall(BROKEN_FRAME)
    client.hear_out()


def small_pieces(client: Http2Client) -> None:
    """Grant windows of a few bytes: the rest waits, and a timer with it (F12)."""
    stream = client.begin(with_path("/half"))
    for _ in range(3):
        client.h2.increment_flow_control_window(1, stream)
        client.flush()


ACTS: dict[str, Act] = {
    "a request": ask,
    "several": lambda client: [client.answer(each) for each in [client.begin() for _ in range(5)]],
    "a body": lambda client: client.ask(POSTED, b"body"),
    "a refused request": lambda client: client.ask((*GET, ("host", "b"))),
    "an upstream that fails": lambda client: client.ask(with_path("/gone", POSTED), b"body"),
    "a call of gRPC that is refused": lambda client: client.ask(
        (*CALL, ("host", "other")), MESSAGE
    ),
    "a client that leaves within a response": half,
    "a client that leaves before a response": never,
    "a client that resets": reset,
    "a WebSocket": chat,
    "silence": lambda client: None,
    "a rule that is broken": broken,
    "small windows": small_pieces,
}


def remembered(act: Act) -> Counter[str]:
    """Return what may stay: readers remember some heads, and each WebSocket has another key and an
    answer to it.
    """
    heads = {
        "proxy.http1.request_head.RequestHead": 2 * COUNT,
        "proxy.http1.response_head.ResponseHead": 2 * COUNT,
    }
    return Counter(heads if act is chat else {})


def plain(plane: Plane) -> Callable[[], Http2Client]:
    """Return what connects."""
    return lambda: Http2Client(socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S))


def visiting(connect: Callable[[], Http2Client], act: Act) -> Callable[[], None]:
    """Return what opens a connection, does something on it and closes it."""

    def visit() -> None:
        with connect() as client:
            act(client)

    return visit


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_connection_of_a_client_is_freed_at_once(start: Start, act: Act) -> None:
    """Whatever was on it."""
    plane = start(upstream, route=HTTP1)
    connect = plain(plane)
    assert (
        left_behind(plane, visiting(connect, act), visiting(connect, ask)) - remembered(act)
        == Counter()
    )
    entries(plane, 0)


@pytest.mark.parametrize("act", [ask, chat], ids=["a request", "a WebSocket"])
def test_so_is_one_over_tls(start: Start, tmp_path: Path, act: Act) -> None:
    """Two protocols have had its transport."""
    cert, key = self_signed(tmp_path)
    plane = start(upstream, route=HTTP1, tls_cert_file=str(cert), tls_key_file=str(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])

    def connect() -> Http2Client:
        connection = socket.create_connection(("127.0.0.1", plane.port), timeout=PATIENCE_S)
        return Http2Client(context.wrap_socket(connection))

    assert (
        left_behind(plane, visiting(connect, act), visiting(connect, ask)) - remembered(act)
        == Counter()
    )
    entries(plane, 0)


def answer(connection: Connection, request: Request) -> None:
    """Answer by the path, as a service of gRPC where the call is one."""
    path = request.fields[":path"]
    if path == "/goaway":
        connection.respond(request, b"ok")
        connection.h2.close_connection()
    elif path == "/reset":
        connection.h2.reset_stream(request.id, ErrorCode.INTERNAL_ERROR)
        connection.flush()
    elif path == "/gone":
        connection.socket.shutdown(socket.SHUT_RDWR)
    elif path == "/broken":
        connection.socket.sendall(BROKEN_FRAME)
    elif "grpc" in request.fields.get("content-type", "") and request.is_ended:
        connection.respond(request, request.body, GRPC, STATUS)
    else:
        echo(connection, request)


CALLS: dict[str, Act] = {
    "a request": ask,
    "a body": lambda client: client.ask(POSTED, b"body"),
    "a call of gRPC": lambda client: client.ask(CALL, MESSAGE),
    "a stream that is reset": lambda client: client.ask(with_path("/reset")),
    "an upstream that says goodbye": lambda client: client.ask(with_path("/goaway")),
    "an upstream that is lost": lambda client: client.ask(with_path("/gone", POSTED), b"body"),
    "an upstream that breaks a rule": lambda client: client.ask(
        with_path("/broken", POSTED), b"body"
    ),
}


@pytest.mark.parametrize("act", CALLS.values(), ids=CALLS)
def test_so_is_a_connection_to_an_upstream(start: Start, act: Act) -> None:
    """Each is used once, and closed by either side."""
    plane = start(Http2Upstream(answer), route=HTTP2)
    limit_requests(plane, 1)
    connect = plain(plane)
    assert left_behind(plane, visiting(connect, act), visiting(connect, ask)) == Counter()
    entries(plane, 0)


def test_so_is_one_that_turns_out_to_speak_something_else(start: Start) -> None:
    """What is wrong with it is raised for whoever waits for it, and not held by it."""

    def old(connection: socket.socket, number: int) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    plane = start(old, route=HTTP2)
    visit = visiting(plain(plane), lambda client: client.ask())
    assert left_behind(plane, visit, visit) == Counter()
    entries(plane, 0)


@pytest.mark.parametrize("route", [HTTP1, HTTP2], ids=["HTTP/1.1", "HTTP/2"])
def test_so_is_one_that_is_not_there(start: Start, route: dict[str, Any]) -> None:
    """A failure knows where it happened, and is forgotten with the exchange."""
    plane = start(f"http://127.0.0.1:{free_port()}", route=route)
    visit = visiting(plain(plane), lambda client: client.ask())
    assert left_behind(plane, visit, visit) == Counter()
    entries(plane, 0)
