"""The supervisor's probes: answered at once, whatever other clients do or leave undone."""

import errno
import http.client
import json
import selectors
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from proxy.supervisor import health_port
from proxy.supervisor.health_port import MAX_CONNECTIONS, MAX_HEAD_BYTES, HealthPort
from tests.support.cases import each_of
from tests.support.plane import eventually


class Running:
    """A health port in a loop like the supervisor's."""

    def __init__(self) -> None:
        """Begin."""
        self.is_ready = True
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.selector = selectors.DefaultSelector()
        self.health = HealthPort(
            self.listener, self.selector, lambda: (self.is_ready, {"draining": False})
        )
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            due_s = self.health.due_s()
            for key, _ in self.selector.select(0.01 if due_s is None else min(due_s, 0.01)):
                key.data()
            self.health.expire()

    @property
    def open_connections(self) -> int:
        """How many are held."""
        return len(self.health._connections)

    def connect(self) -> socket.socket:
        """Open a connection; the caller closes it."""
        return socket.create_connection(self.listener.getsockname(), timeout=60)

    def ask(self, raw: bytes) -> bytes:
        """Send bytes, read to the end."""
        with self.connect() as connection:
            connection.sendall(raw)
            return everything(connection)

    def probe(self, method: str = "GET", path: str = "/healthz") -> tuple[int, bytes]:
        """Ask as an ordinary client does."""
        client = http.client.HTTPConnection("127.0.0.1", self.listener.getsockname()[1], timeout=60)
        try:
            client.request(method, path)
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()

    def stop(self) -> None:
        """End it; nothing stays registered."""
        self._is_stopping.set()
        self._thread.join(60)
        self.health.close()
        assert not self.selector.get_map()
        self.selector.close()
        self.listener.close()


def everything(connection: socket.socket) -> bytes:
    """Read to the end, which must be an orderly one."""
    found = b""
    while data := connection.recv(65536):
        found += data
    return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients here may wait for their turn for longer than those that probe."""
    monkeypatch.setattr(health_port, "REQUEST_TIMEOUT_S", 60.0)


@pytest.fixture
def port() -> Iterator[Running]:
    """A running one."""
    running = Running()
    yield running
    running.stop()


def test_probes_get_their_answers(port: Running) -> None:
    """Alive is 200; ready is 200 or 503 with its reasons; a query does not matter."""
    assert port.probe() == (200, b'{"status": "ok"}')
    assert port.probe(path="/readyz?verbose") == (200, b'{"ready": true, "draining": false}')
    port.is_ready = False
    status, body = port.probe(path="/readyz")
    assert (status, json.loads(body)["ready"]) == (503, False)
    assert port.probe() == (200, b'{"status": "ok"}')
    assert port.probe("HEAD", "/readyz") == (503, b"")


@each_of(
    ("raw", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", 404),
        (b"GET / HTTP/1.0\n\n", 404),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /healthz\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /healthz HTTP/2.0\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nA: " + b"x" * (MAX_HEAD_BYTES + 1), 431),
        (b"GET /healthz HTTP/1.1\r\n\r\nGET /readyz HTTP/1.1\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, 200),
    ],
)
def test_whatever_else_is_sent_is_one_answer_and_the_end(
    port: Running, raw: bytes, status: int
) -> None:
    """Other paths and methods, other protocols, heads without end, more than was asked for."""
    answer = port.ask(raw)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    eventually(lambda: port.open_connections == 0)


def test_a_request_may_come_byte_by_byte(port: Running) -> None:
    """As long as it comes in time."""
    with port.connect() as connection:
        for byte in b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert everything(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_silent_are_closed_after_their_time(port: Running) -> None:
    """So are those that never stop sending, or never close."""
    with port.connect() as silent, port.connect() as answered:
        answered.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert everything(answered).startswith(b"HTTP/1.1 200")
        eventually(lambda: port.open_connections == 2)

        for connection in list(port.health._connections.values()):
            assert (
                time.monotonic()
                < connection.ends_s
                <= time.monotonic() + health_port.REQUEST_TIMEOUT_S
            )
            connection.ends_s = 0.0

        assert everything(silent) == b""
        eventually(lambda: port.open_connections == 0)


def test_those_who_hold_connections_open_keep_out_nobody(port: Running) -> None:
    """Above the limit the oldest gives way."""
    held = [port.connect() for _ in range(3 * MAX_CONNECTIONS)]
    try:
        for connection in held[::2]:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nA: ")
        assert port.probe() == (200, b'{"status": "ok"}')
        assert port.open_connections <= MAX_CONNECTIONS
    finally:
        for connection in held:
            connection.close()


def test_a_flood_is_cut_off(port: Running) -> None:
    """Who sends without end, also behind an answer, is closed; the next probe is served."""
    with port.connect() as flood:
        flood.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            flood.sendall(b"x" * (1 << 28))
    assert port.probe()[0] == 200


def test_a_reset_is_nobodys_business(port: Running) -> None:
    """Clients that reset before, and right after, asking."""
    for raw in (b"", b"GET /healthz HTTP/1.1\r\n\r\n"):
        with port.connect() as connection:
            connection.sendall(raw)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert port.probe()[0] == 200
    eventually(lambda: port.open_connections == 0)


def test_without_descriptors_it_pauses_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither ends nor spins; who holds connections open gives way first."""

    class Reluctant:
        """A listening socket without descriptors, until it is told otherwise."""

        def __init__(self, listener: socket.socket) -> None:
            self._listener = listener
            self.asked = 0
            self.is_full = True

        def accept(self) -> object:
            self.asked += 1
            if self.is_full:
                raise OSError(errno.EMFILE, "Too many open files")
            return self._listener.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(self._listener, name)

    monkeypatch.setattr(health_port, "PAUSE_S", 0.05)
    selector = selectors.DefaultSelector()
    with socket.create_server(("127.0.0.1", 0)) as listener, selector:
        reluctant = Reluctant(listener)
        health = HealthPort(reluctant, selector, lambda: (True, {}))  # type: ignore[arg-type]
        with socket.create_connection(listener.getsockname(), timeout=60) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            for _ in range(5):
                if health._connections:
                    break
                for key, _ in selector.select(health.due_s()):
                    key.data()
                reluctant.is_full = reluctant.asked < 2
                health.expire()

            assert 2 <= reluctant.asked <= 5
            while not selector.get_map() or not health._connections:
                for key, _ in selector.select(health.due_s()):
                    key.data()
                health.expire()

            assert b"200 OK" in client.recv(1000)

        health.close()
