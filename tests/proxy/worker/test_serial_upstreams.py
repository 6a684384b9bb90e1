"""Upstreams that serve one connection at a time, as Python's `http.server` does: an idle connection
would hold them.
"""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.proxy.conftest import Start
from tests.support.client import GET, Client
from tests.support.long import LOOPS
from tests.support.plane import Loop, Plane

KEEP_S = 300
"""Far over any deadline here: whoever waits for it to pass has failed."""


class Handler(BaseHTTPRequestHandler):
    """Answers and keeps the connection, which is all the server sees until it ends."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def serial() -> Iterator[str]:
    """An upstream with one thread."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(port: int) -> bytes:
    """Get once over a connection of its own."""
    with Client(socket.create_connection(("127.0.0.1", port), timeout=30)) as client:
        client.send(GET)
        return client.answer().body


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def end_idle(plane: Plane) -> None:
    """Let the upstream's thread go before the server is stopped."""
    plane.run(plane.engine.pools[0].close)


@pytest.mark.parametrize("loop", LOOPS)
def test_two_clients_at_once(start: Start, serial: str, loop: Loop) -> None:
    """Each gets its turn, however long idle connections may be kept."""
    plane = start(serial, loop=loop, upstream_keep_alive_s=KEEP_S)
    with ThreadPoolExecutor(2) as clients:
        assert list(clients.map(ask, [plane.port] * 12)) == [b"ok"] * 12
    plane.exchanges(12)
    end_idle(plane)


def test_a_client_beside_the_proxy(start: Start, serial: str) -> None:
    """Who asks the upstream directly is served, although the proxy asked before."""
    plane = start(serial, upstream_keep_alive_s=KEEP_S)
    assert ask(plane.port) == b"ok"
    assert ask(port_of(serial)) == b"ok"
    plane.exchange()
    end_idle(plane)
