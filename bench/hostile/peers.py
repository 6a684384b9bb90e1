"""The other processes of the benchmark: a quick upstream, a hostile one, and the hostile client."""

import asyncio
import contextlib
import multiprocessing
import select
import socket
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self, cast

import uvloop

from bench.hostile.crowd import run_crowd
from bench.hostile.kinds import BLOCK_BYTES, LARGE, LARGE_BODY, SWITCH, Kind, flood

_PROCESSES: Final = multiprocessing.get_context("fork")
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream(asyncio.Protocol):
    """Answers requests at once; below `/hostile` it takes everything, or sends without end."""

    def __init__(self) -> None:
        """Begin before the first request."""
        self._buffer = b""
        self._unit = b""
        self._is_taking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each head that is whole."""
        if self._is_taking:
            return
        *heads, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for head in heads:
            path = head.split(b" ", 2)[1].decode()
            if not path.startswith("/hostile"):
                self._transport.write(OK)
                continue
            if path == LARGE:
                self._transport.write(LARGE_BODY)
                continue

            self._is_taking = True
            if path.startswith("/hostile/frames"):
                self._transport.write(SWITCH)
            elif path.startswith("/hostile/down"):
                opening, unit = flood(path)
                self._unit = unit * (BLOCK_BYTES // len(unit))
                self._transport.write(opening)
                self.resume_writing()

            return

    def pause_writing(self) -> None:
        """Stop: the other side takes no more."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Send until the other side takes no more."""
        self._is_full = False
        while self._unit and not self._is_full and not self._transport.is_closing():
            self._transport.write(self._unit)


def _serve(ready: Connection) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(
            Upstream, "127.0.0.1", 0, backlog=1024
        )
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    """Run an upstream in a process of its own; gives its port."""
    here, there = _PROCESSES.Pipe()
    with _running(_PROCESSES.Process(target=_serve, args=(there,), daemon=True)):
        yield int(here.recv())


@contextlib.contextmanager
def hostile(kind: Kind, port: int) -> Iterator[None]:
    """Run a hostile client in a process of its own."""
    with _running(_PROCESSES.Process(target=_attack, args=(kind, port), daemon=True)):
        yield


@contextlib.contextmanager
def _running(process: "multiprocessing.process.BaseProcess") -> Iterator[None]:
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _attack(kind: Kind, port: int) -> None:
    """Send as fast as it is taken, and take whatever comes; begin anew when the connection is
    closed.
    """
    block = kind.unit * max(BLOCK_BYTES // max(len(kind.unit), 1), 1) if kind.unit else b""
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)) as connection,
        ):
            connection.sendall(kind.opening)
            if kind.waits:
                connection.recv(4096)
            _exchange(connection, block)

        time.sleep(0.01)


def _exchange(connection: socket.socket, block: bytes) -> None:
    connection.setblocking(False)
    sent = 0
    while True:
        readable, writable, _ = select.select([connection], [connection] if block else [], [])
        if readable and not connection.recv(1 << 20):
            return
        if writable:
            sent = (sent + connection.send(block[sent:])) % len(block)


class Crowd(contextlib.AbstractContextManager["Crowd"]):
    """A crowd in a process of its own; entered once all have been connected."""

    def __init__(self, size: int, mix: Mapping[str, int], port: int) -> None:
        """Connect so many, of each kind so many of a hundred, to a port of 127.0.0.1."""
        self._size = size
        self._mix = mix
        self._port = port
        self._acts = _PROCESSES.Value("Q", 0, lock=False)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start it."""
        here, there = _PROCESSES.Pipe()
        arguments = (self._size, self._mix, self._port, there, self._acts)
        self._stack.enter_context(
            _running(_PROCESSES.Process(target=run_crowd, args=arguments, daemon=True))
        )
        here.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, at once."""
        self._stack.close()

    @property
    def acts(self) -> int:
        """What it has done since all are connected."""
        return int(self._acts.value)
