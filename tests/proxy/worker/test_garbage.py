"""What a connection leaves behind: nothing that only the collection of cycles would find.

Such collections walk everything that lives, so a worker makes them rarely.
"""

import contextlib
import gc
import socket
import ssl
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy.conftest import Start
from tests.proxy.worker.records import entries
from tests.proxy.worker.test_fairness import HANDSHAKE, MASKED_CLOSE
from tests.support.certificate import self_signed
from tests.support.client import GET, Client
from tests.support.plane import Plane, eventually, limit_requests
from tests.support.ports import free_port
from tests.support.script import OK
from tests.support.upstream import read_head, scripted, switching

COUNT = 20
PATIENCE_S = 3.0
OURS = (
    "proxy.",
    "traceback",
    "builtins.traceback",
    "uvloop.",
    "asyncio.",
    "_asyncio",
    "ssl",
    "_ssl",
)
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"


def upstream(connection: socket.socket, number: int) -> None:
    """Answer by the path."""
    while head := read_head(connection):
        if head.startswith(b"POST"):
            connection.recv(4)
        path = head.split(b" ", 2)[1]
        if path == b"/half":
            connection.sendall(STREAM)
            connection.recv(1)
        elif path == b"/gone":
            return
        elif path == b"/never":
            connection.recv(1)
        elif b"upgrade: websocket" in head.lower():
            connection.sendall(switching(head))
            connection.recv(100)
            return
        else:
            connection.sendall(OK)


def whole(client: Client, request: bytes) -> None:
    client.send(request)
    client.answer()


def silent(client: Client) -> None:
    client.socket.setblocking(True)


def half_a_head(client: Client) -> None:
    client.send(b"GET /")


def leaves(path: bytes) -> Callable[[Client], None]:
    """Ask, and leave before the answer is whole."""

    def act(client: Client) -> None:
        client.send(GET.replace(b" / ", b" %b " % path))
        if path == b"/half":
            client.head()

    return act


def broken_off(client: Client, path: bytes) -> None:
    """Ask, and reset the connection: its upstream may not even be open."""
    client.send(GET.replace(b" / ", b" %b " % path))
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def tunnel(client: Client) -> None:
    client.send(HANDSHAKE)
    client.head()
    client.send(MASKED_CLOSE)


ACTS: dict[str, Callable[[Client], None]] = {
    "a request": lambda client: whole(client, GET),
    "a body": lambda client: whole(client, POST),
    "a refused request": lambda client: whole(
        client, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    ),
    "an upstream that fails": lambda client: whole(client, POST.replace(b" / ", b" /gone ")),
    "a client that leaves within a response": leaves(b"/half"),
    "a client that leaves before a response": leaves(b"/never"),
    "a WebSocket": tunnel,
    "a client that resets before a response": lambda client: broken_off(client, b"/never"),
    "silence": silent,
    "half a head": half_a_head,
}


def client_context() -> ssl.SSLContext:
    """Return what trusts every certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    # What there is need neither be counted nor looked through: most of a second each time.
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def living() -> Counter[str]:
    """How many there are of each class of ours and of the loop's."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in map(type, gc.get_objects()))
    return Counter(name for name in names if name.startswith(OURS))


def left_behind(plane: Plane, visit: Callable[[], None], ask: Callable[[], None]) -> Counter[str]:
    """Let connections come and go; return the classes of which there is more than one for every
    second of them.

    `ask` opens one that gets an answer.
    """
    connections = plane.engine.connections

    def visits(count: int) -> None:
        for _ in range(count):
            visit()
        ask()  # who has an answer was accepted after all that came before
        eventually(lambda: not connections)

    visits(3)
    with without_collections():
        before = living()
        visits(COUNT)
        deadline_s = time.monotonic() + PATIENCE_S
        while (left := many(living() - before)) and time.monotonic() < deadline_s:
            time.sleep(0.05)

    return left


def visiting(connect: Callable[[], Client], act: Callable[[Client], None]) -> Callable[[], None]:
    """Return what opens a connection, does something on it and closes it."""

    def visit() -> None:
        with connect() as client:
            act(client)

    return visit


def asking(connect: Callable[[], Client]) -> Callable[[], None]:
    return visiting(connect, ACTS["a request"])


def many(counts: Counter[str]) -> Counter[str]:
    return Counter({name: count for name, count in counts.items() if count >= COUNT // 2})


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_connection_that_ends_is_freed_at_once(
    start: Start, act: Callable[[Client], None]
) -> None:
    """Whatever it was, nothing waits for a collection of cycles; asyncio's own transports do, and
    nobody uses them.
    """
    plane = start(upstream)
    assert left_behind(plane, visiting(plane.connect, act), asking(plane.connect)) == Counter()
    entries(plane, 0)


@pytest.mark.parametrize("act", [ACTS["a request"], ACTS["silence"]], ids=["a request", "silence"])
def test_so_is_one_over_tls(start: Start, tmp_path: Path, act: Callable[[Client], None]) -> None:
    """Handshake and all."""
    cert, key = self_signed(tmp_path)
    plane = start(upstream, tls_cert_file=str(cert), tls_key_file=str(key))
    context = client_context()

    def connect() -> Client:
        return Client(
            context.wrap_socket(
                socket.create_connection(("127.0.0.1", plane.port), timeout=PATIENCE_S)
            )
        )

    assert left_behind(plane, visiting(connect, act), asking(connect)) == Counter()
    entries(plane, 0)


@pytest.mark.parametrize(
    "hello", [b"", b"\x16\x03\x01\x02\0\1", b"\x16\x03\x01\0\5\xff\0\0\1x", GET], ids=str
)
def test_so_is_one_whose_handshake_fails(start: Start, tmp_path: Path, hello: bytes) -> None:
    """Cut short, malformed, or none of TLS."""
    cert, key = self_signed(tmp_path)
    plane = start(upstream, tls_cert_file=str(cert), tls_key_file=str(key))

    def visit() -> None:
        with plane.connect() as client:
            client.send(hello)
            if hello.endswith((b"x", b"\n")):
                client.socket.recv(1000)

    def ask() -> None:
        secured = client_context().wrap_socket(
            socket.create_connection(("127.0.0.1", plane.port), PATIENCE_S)
        )
        visiting(lambda: Client(secured), ACTS["a request"])()

    assert left_behind(plane, visit, ask) == Counter()
    entries(plane, 0)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_so_is_one_to_an_upstream_of_tls(start: Start, tmp_path: Path, is_trusted: bool) -> None:
    """Also one whose certificate is refused."""
    cert, key = self_signed(tmp_path)
    service = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    service.load_cert_chain(cert, key)

    def secured(connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), service.wrap_socket(connection, server_side=True) as own:
            upstream(own, number)

    with scripted(secured) as url:
        route = {"upstream_ca_file": str(cert)} if is_trusted else {}
        name = url.replace("http://127.0.0.1", "https://localhost")
        plane = start(name, route=route)
        limit_requests(plane, 1)
        visit = asking(plane.connect)
        assert left_behind(plane, visit, visit) == Counter()
        entries(plane, 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_so_is_one_whose_upstream_is_not_there(start: Start, host: str) -> None:
    """A failure knows where it happened, and is forgotten with the exchange."""
    plane = start(f"http://{host}:{free_port()}")
    assert left_behind(plane, asking(plane.connect), asking(plane.connect)) == Counter()
    entries(plane, 0)
