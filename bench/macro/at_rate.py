"""Load at a rate: `python -m bench.macro.at_rate URL --rate N --seconds N`, since wrk knows no rate.

Open loop: request number n is due at n / rate whatever became of those before, and its latency counts from then, so a
proxy that stalls is charged for every request that had to wait meanwhile. The requests are those of `getvar`, or of
`postvar`. Ends with the line of JSON that wrk's scripts end with.
"""

import argparse
import json
import re
import socket
import time
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from bench.macro.pace import Poller
from bench.macro.scenarios import REQUESTS, RESULT_MARK, varying_get

Number = TypeVar("Number", int, float)

PATIENCE_S: Final = 5.0
"""After the last request was due: what is not answered by then has failed."""
READ_BYTES: Final = 65536
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Answer:
    """One answer while it comes in, framed by its Content-Length."""

    def __init__(self) -> None:
        """Begin before its first byte."""
        self._head = b""
        self._missing_bytes = -1

    def feed(self, data: bytes) -> bool:
        """Take bytes; return whether the answer is whole.

        Raises:
            ValueError: it is no 200 with a Content-Length, or more came than it has.
        """
        if self._missing_bytes < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            found = _LENGTH.search(self._head, 0, end)
            if found is None or not self._head.startswith(b"HTTP/1.1 200"):
                raise ValueError(f"expected a 200 with a Content-Length, got {self._head[:80]!r}")
            self._missing_bytes = int(found[1]) - (len(self._head) - end - 4)
        else:
            self._missing_bytes -= len(data)
        if self._missing_bytes < 0:
            raise ValueError(f"{-self._missing_bytes} bytes came behind the end of an answer")
        return self._missing_bytes == 0


class Load:
    """A number of requests, each due at its time, over connections that carry one at a time."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        rate: int,
        requests: int,
        connections: int,
        make: Callable[[int, int], bytes] = varying_get,
    ) -> None:
        """Connect; `make` writes a request, by its number and that of the run."""
        self._make = make
        self._interval_ns = 1e9 / rate
        self._requests = requests
        self._poller = Poller()
        self._sockets: dict[int, socket.socket] = {}
        self._waiting: dict[int, tuple[int, Answer]] = {}
        """Connections with a request on the way: when it was due, ns, and its answer so far."""
        self.latencies_us: list[int] = []
        self.errors = 0
        self.duration_s = 0.0
        for _ in range(connections):
            connection = socket.create_connection(address, timeout=PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[connection.fileno()] = connection
            self._poller.watch(connection.fileno())
        self._idle = list(self._sockets)

    def run(self) -> None:
        """Send all requests and wait for their answers."""
        run_number, begun_ns = time.time_ns() & 0x7FFFFFFF, time.monotonic_ns()
        end_ns = begun_ns + int(self._requests * self._interval_ns + PATIENCE_S * 1e9)
        sent = 0
        while sent < self._requests or self._waiting:
            due_ns = begun_ns + int(sent * self._interval_ns) if sent < self._requests else end_ns
            now_ns = time.monotonic_ns()
            if now_ns > end_ns or not self._sockets:
                break
            if sent < self._requests and self._idle and now_ns >= due_ns:
                self._send(self._make(sent, run_number), due_ns)
                sent += 1
                continue
            for descriptor in self._poller.wait(due_ns if self._idle else end_ns):
                self._read(descriptor)
        self.duration_s = (time.monotonic_ns() - begun_ns) / 1e9
        self.errors += self._requests - sent + len(self._waiting)

    def _send(self, request: bytes, due_ns: int) -> None:
        descriptor = self._idle.pop()
        self._waiting[descriptor] = (due_ns, Answer())
        try:
            self._sockets[descriptor].sendall(request)
        except OSError:
            self._fail(descriptor)

    def _read(self, descriptor: int) -> None:
        due_ns, answer = self._waiting.get(descriptor, (0, None))
        try:
            data = self._sockets[descriptor].recv(READ_BYTES)
            is_whole = answer.feed(data) if data and answer else None
        except (OSError, ValueError):
            is_whole = None
        if is_whole is None:
            self._fail(descriptor)
        elif is_whole:
            self.latencies_us.append((time.monotonic_ns() - due_ns) // 1000)
            del self._waiting[descriptor]
            self._idle.append(descriptor)

    def _fail(self, descriptor: int) -> None:
        """Give up a connection that ended, or answered what it should not."""
        self.errors += self._waiting.pop(descriptor, None) is not None
        self._poller.forget(descriptor)
        self._sockets.pop(descriptor).close()
        if descriptor in self._idle:
            self._idle.remove(descriptor)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._sockets.values():
            connection.close()
        self._poller.close()


def percentile(sorted_values: list[Number], share: float) -> Number:
    """Return the value that a share of all is not above; 0 of none."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))] if sorted_values else 0


def summary(latencies_us: list[int], duration_s: float, errors: int) -> dict[str, int]:
    """Return what the line of results says."""
    found = sorted(latencies_us)
    return {
        "requests": len(found),
        "duration_us": round(duration_s * 1e6),
        "p50_us": percentile(found, 0.5),
        "p99_us": percentile(found, 0.99),
        "max_us": found[-1] if found else 0,
        "errors": errors,
    }


def main() -> None:
    """Send, and print one line."""
    parser = argparse.ArgumentParser(prog="python -m bench.macro.at_rate", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=int, required=True, help="requests a second")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--scenario", choices=sorted(REQUESTS), default="getvar")
    options = parser.parse_args()
    url = urlsplit(options.url)
    load = Load(
        (url.hostname or "127.0.0.1", url.port or 80),
        rate=options.rate,
        requests=round(options.rate * options.seconds),
        connections=options.connections,
        make=REQUESTS[options.scenario],
    )
    try:
        load.run()
    finally:
        load.close()
    print(RESULT_MARK + json.dumps(summary(load.latencies_us, load.duration_s, load.errors)))


if __name__ == "__main__":
    main()
