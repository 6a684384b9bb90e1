"""Many connections at once, held by one thread: crowds that dribble, wait, or carry large bodies."""

import asyncio
import contextlib
import http.client
import random
import resource
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psutil

from proxy.process.event_loop import new_event_loop

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def raise_descriptor_limit() -> int:
    """Allow as many descriptors as the system lets us, for this process and those it starts; return
    the number.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connect(port: int) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process that is its own: shared pages, the ring's, are not counted."""
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - memory.shared)


def dribble(port: int, count: int, give_up_s: float, every_s: float) -> list[tuple[float, int]]:
    """Open connections that send a head byte by byte, never to its end, until they are closed.

    Returns:
        Of each that was closed: seconds since it was opened, and the status of the answer before that.
    """
    selector = selectors.DefaultSelector()
    began: dict[socket.socket, float] = {}
    seen: dict[socket.socket, bytes] = {}
    ended: list[tuple[float, int]] = []

    try:
        for _ in range(count):
            before = time.monotonic()
            connection = connect(port)
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
            began[connection] = before
            seen[connection] = b""
            connection.send(b"G")

        head = iter("ET / HTTP/1.1\r\nX-Dribble: " + "x" * 10_000)
        deadline = time.monotonic() + give_up_s
        next_byte = time.monotonic()

        while began and time.monotonic() < deadline:
            if time.monotonic() >= next_byte:
                next_byte += every_s
                _send_each(list(began), next(head).encode())
            for key, _ in selector.select(0.05):
                connection = key.fileobj  # type: ignore[assignment]
                if not _read(connection, seen):
                    selector.unregister(connection)
                    ended.append(
                        (time.monotonic() - began.pop(connection), int(seen[connection][9:12] or 0))
                    )
                    connection.close()
    finally:
        for connection in began:
            connection.close()
        selector.close()

    return ended


def _send_each(connections: list[socket.socket], byte: bytes) -> None:
    for connection in connections:
        with contextlib.suppress(OSError):  # it was closed just now
            connection.send(byte)


def _read(connection: socket.socket, seen: dict[socket.socket, bytes]) -> bool:
    try:
        data = connection.recv(4096)
    except OSError:
        return False
    seen[connection] += data
    return bool(data)


class Healthy:
    """An ordinary client that asks all the time; use it with `with`."""

    def __init__(self, port: int) -> None:
        """Ask at this port of this machine."""
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="healthy")
        self.statuses: Counter[int] = Counter()
        self.latencies_s: list[float] = []

    def __enter__(self) -> "Healthy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._is_over.wait(0.01):
            began = time.monotonic()
            client.request("GET", "/")
            response = client.getresponse()
            response.read()
            self.latencies_s.append(time.monotonic() - began)
            self.statuses[response.status] += 1

        client.close()

    def percentile_ms(self, share: float) -> float:
        """Latency that this share of the requests did not exceed."""
        ordered = sorted(self.latencies_s)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Fickle(asyncio.Protocol):
    """Answers, and now and then closes a connection some moments after an answer."""

    def __init__(self, seen: "Counter[bytes]", luck: random.Random) -> None:
        self._seen = seen
        self._luck = luck
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            size = 4 if head.startswith(b"POST") else 0
            if len(rest) < size:
                return

            self._buffer = rest[size:]
            self._seen[head.split(b" ", 2)[1]] += 1
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # type: ignore[attr-defined]

            if self._luck.random() < 0.2:
                asyncio.get_running_loop().call_later(
                    self._luck.random() * 0.003, self._transport.close
                )


@contextlib.contextmanager
def fickle_upstream(seed: int) -> Iterator[tuple[str, "Counter[bytes]"]]:
    """An upstream that closes idle connections at random; gives its URL, and how often it saw each
    target.
    """
    seen: Counter[bytes] = Counter()
    luck = random.Random(seed)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    loop = new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        server = await loop.create_server(lambda: _Fickle(seen, luck), sock=listener)
        await stop.wait()
        server.close()
        await asyncio.sleep(0.05)  # connections that are about to be closed

    thread = threading.Thread(
        target=loop.run_until_complete, args=(serve(),), name="fickle upstream"
    )
    thread.start()
    try:
        yield url, seen
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def ask_many(port: int, count: int, clients: int) -> Counter[tuple[str, int]]:
    """Send GETs, every tenth request a POST, each with a target of its own; count (method, status)."""
    found: Counter[tuple[str, int]] = Counter()
    lock = threading.Lock()

    def ask(client_number: int) -> None:
        own: Counter[tuple[str, int]] = Counter()
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        ) as client:
            for number in range(count // clients):
                method = "POST" if number % 10 == 9 else "GET"
                client.request(
                    method, f"/{client_number}/{number}", body=b"body" if method == "POST" else None
                )
                response = client.getresponse()
                response.read()
                own[method, response.status] += 1
                if number % 16 == 0:
                    # So that pooled connections get old enough to be closed.
                    time.sleep(random.random() * 0.004)

        with lock:
            found.update(own)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


_BLOCK_BYTES = 1 << 18


class Blocks:
    """A body that can be checked as it passes: each block says whose it is and which, so none
    stands in for another.
    """

    def __init__(self, number: int, size: int) -> None:
        """Begin the body of one transfer."""
        self._number = number
        self._size = size
        self._block = bytearray(random.Random(number).randbytes(_BLOCK_BYTES))

    def send(self, connection: socket.socket) -> None:
        """Send all of it."""
        for at in range(0, self._size, _BLOCK_BYTES):
            connection.sendall(self._expected(at))

    def check(self, connection: socket.socket, begun: bytes) -> int:
        """Read all of it, of which some came with the head; return its size, or fail at the first
        wrong byte.
        """
        buffer = bytearray(_BLOCK_BYTES)
        view = memoryview(buffer)
        for at in range(0, self._size, _BLOCK_BYTES):
            size = min(_BLOCK_BYTES, self._size - at)
            got = min(size, len(begun))
            view[:got], begun = begun[:got], begun[got:]

            while got < size:
                step = connection.recv_into(view[got:size])
                assert step, f"transfer {self._number} cut at {at + got} of {self._size} bytes"
                got += step

            assert buffer[:size] == self._expected(at), (
                f"transfer {self._number} differs from byte {at} on"
            )

        assert not begun
        return self._size

    def _expected(self, at: int) -> bytearray:
        self._block[:12] = struct.pack("<IQ", self._number, at)
        rest = self._size - at
        if rest >= _BLOCK_BYTES:
            return self._block
        return self._block[:rest]


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read a head; return it and what came along, both empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b"", b""
        data += more

    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def sink_and_source(connection: socket.socket, size: int) -> None:
    """An upstream connection that sends a body to each GET and checks that of each POST; the path
    is its number.
    """
    connection.settimeout(120)
    while True:
        head, rest = _read_head(connection)
        if not head:
            return

        method, target, _ = head.split(b" ", 2)
        blocks = Blocks(int(target[1:]), size)
        if method == b"GET":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            blocks.send(connection)
        else:
            checked = b"%d" % blocks.check(connection, rest)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(checked) + checked
            )


def transfer(port: int, size: int, count: int) -> list[int]:
    """Run transfers at once, every other one an upload; return the bytes of each that the receiver
    found right.
    """
    found: list[int] = []

    def download(connection: socket.socket, number: int) -> int:
        connection.sendall(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        head, rest = _read_head(connection)
        assert head.startswith(b"HTTP/1.1 200"), head
        return Blocks(number, size).check(connection, rest)

    def upload(connection: socket.socket, number: int) -> int:
        connection.sendall(
            b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (number, size)
        )
        Blocks(number, size).send(connection)
        head, rest = _read_head(connection)
        assert head.startswith(b"HTTP/1.1 200"), head
        return int(rest)

    def run(number: int) -> None:
        with connect(port) as connection:
            connection.settimeout(120)
            found.append((upload if number % 2 else download)(connection, number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
