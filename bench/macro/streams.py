"""Event streams: `python -m bench.macro.streams URL --source PORT`, many at once, and what is added
to each chunk.

This process is both ends. As the source it sends every stream's next chunk at its time, spread
evenly, with the clock's reading in it; as the clients it reads what comes out of the proxy and
compares. Chunks of one stream that arrive in one read have been held, or written together. Prints
one line of JSON; the proxy's upstream passes `/live` on to the source.
"""

import argparse
import json
import re
import select
import socket
import time
from typing import Final
from urllib.parse import urlsplit

from bench.macro.measure import percentile
from bench.macro.scripts import RESULT_MARK

START_S: Final = 10.0
"""For all streams to begin."""
PATIENCE_S: Final = 2.0
"""After the last chunk."""
READ_BYTES: Final = 65536
HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: "
    b"no-cache\r\nX-Accel-Buffering: no\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_EVENT: Final = re.compile(rb"data: ([0-9]{20}) [^\n]*\n\n")
_TEXT: Final = b'{"index":0,"delta":{"content":"word"}}'


def chunk(now_ns: int) -> bytes:
    """Return one event as a chunk, with the time in it."""
    event = b"data: %020d %s\n\n" % (now_ns, _TEXT)
    return b"%x\r\n%s\r\n" % (len(event), event)


class Streams:
    """Clients of a proxy and the source behind it, in one loop."""

    def __init__(self, target: tuple[str, int], listener: socket.socket, count: int) -> None:
        """Ask for all streams; the source answers in `open_all`."""
        self._target = target
        self._listener = listener
        self._count = count
        self._poller = select.epoll()
        self._poller.register(listener.fileno(), select.EPOLLIN)
        self._clients: dict[int, tuple[socket.socket, bytes]] = {}
        """With what came of an event whose end is still missing."""
        self._requests: dict[int, socket.socket] = {}
        self._sources: list[socket.socket] = []
        self.delays_us: list[int] = []
        self.reads = 0
        """Reads of a client that brought at least the end of an event."""
        self.errors = 0

    def open_all(self) -> None:
        """Open the streams one behind the other, until each client's request has reached the
        source.

        Raises:
            TimeoutError: they have not, in time.
        """
        deadline_ns = time.monotonic_ns() + int(START_S * 1e9)
        while len(self._sources) < self._count:
            if len(self._clients) == len(self._sources):
                client = socket.create_connection(self._target, timeout=START_S)
                client.sendall(
                    b"GET /live HTTP/1.1\r\nHost: bench.local\r\nAccept: text/event-stream\r\n\r\n"
                )
                self._clients[client.fileno()] = (client, b"")
                self._poller.register(client.fileno(), select.EPOLLIN)

            if not self._take(self._ready(deadline_ns)) and time.monotonic_ns() > deadline_ns:
                raise TimeoutError(
                    f"only {len(self._sources)} of {self._count} streams began in {START_S:g} s"
                )

    def run(self, *, interval_s: float, seconds: float) -> None:
        """Send each stream a chunk per interval, and measure how late each arrives."""
        total = round(seconds / interval_s) * self._count
        begun_ns = time.monotonic_ns()
        step_ns = interval_s * 1e9 / self._count

        for number in range(total):
            due_ns = begun_ns + int(number * step_ns)
            while time.monotonic_ns() < due_ns:
                self._take(self._ready(due_ns))
            try:
                self._sources[number % self._count].sendall(chunk(time.monotonic_ns()))
            except OSError:
                self.errors += 1

        end_ns = time.monotonic_ns() + int(PATIENCE_S * 1e9)
        while len(self.delays_us) < total - self.errors and time.monotonic_ns() < end_ns:
            self._take(self._ready(end_ns))
        self.errors = total - len(self.delays_us)

    def close(self) -> None:
        """End all streams in order."""
        for source in self._sources:
            try:
                source.sendall(b"0\r\n\r\n")
            except OSError:
                self.errors += 1
            source.close()

        for client, _ in self._clients.values():
            client.close()
        self._poller.close()

    def _ready(self, until_ns: int) -> list[int]:
        """Wait for descriptors that are ready, at most until a time: by select, for epoll counts
        whole milliseconds.
        """
        select.select([self._poller], [], [], max(0.0, (until_ns - time.monotonic_ns()) / 1e9))
        return [descriptor for descriptor, _ in self._poller.poll(0)]

    def _take(self, ready: list[int]) -> bool:
        """Do what can be done; return whether that was anything."""
        for descriptor in ready:
            if descriptor in self._clients:
                self._read(descriptor)
            elif descriptor in self._requests:
                self._answer(descriptor)
            else:
                request, _ = self._listener.accept()
                request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._requests[request.fileno()] = request
                self._poller.register(request.fileno(), select.EPOLLIN)

        return bool(ready)

    def _answer(self, descriptor: int) -> None:
        """Begin a stream: its request is one read, so small is it."""
        request = self._requests.pop(descriptor)
        self._poller.unregister(descriptor)
        request.recv(READ_BYTES)
        request.sendall(HEAD)
        self._sources.append(request)

    def _read(self, descriptor: int) -> None:
        client, begun = self._clients[descriptor]
        data = client.recv(READ_BYTES)
        now_ns = time.monotonic_ns()
        if not data:
            self._poller.unregister(descriptor)
            return

        text = begun + data
        end = 0
        for event in _EVENT.finditer(text):
            self.delays_us.append((now_ns - int(event[1])) // 1000)
            end = event.end()
        self.reads += end > 0
        self._clients[descriptor] = (client, text[end:])


def main() -> None:
    """Open, measure, print one line."""
    parser = argparse.ArgumentParser(prog="python -m bench.macro.streams", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--source", type=int, required=True, help="port to listen on as the source")
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument(
        "--interval", type=float, default=0.05, help="seconds between chunks of a stream"
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    url = urlsplit(options.url)

    with socket.create_server(("127.0.0.1", options.source), backlog=1024) as listener:
        streams = Streams((url.hostname or "127.0.0.1", url.port or 80), listener, options.streams)
        streams.open_all()
        begun = time.monotonic()
        streams.run(interval_s=options.interval, seconds=options.seconds)
        duration_s = time.monotonic() - begun
        streams.close()

    delays = sorted(streams.delays_us)
    found = {
        "requests": len(delays),
        "duration_us": round(duration_s * 1e6),
        "p50_us": percentile(delays, 0.5),
        "p99_us": percentile(delays, 0.99),
        "max_us": delays[-1] if delays else 0,
        "errors": streams.errors,
        "reads": streams.reads,
    }
    print(RESULT_MARK + json.dumps(found))


if __name__ == "__main__":
    main()
