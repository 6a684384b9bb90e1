"""Streams go on in their worker however many reloads follow; a stop alone ends them."""

import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from proxy.process.shared_memory import RING_OVERHEAD_BYTES, allocated_bytes
from tests.e2e.test_grpc_streams import CALL, GRPC, framed
from tests.e2e.test_reload import hang_up
from tests.e2e.test_rings import rings_of
from tests.proxy.worker.test_fairness import HANDSHAKE, SWITCH
from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import Connection, Http2Upstream, Request
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import read_head, scripted

MIB: Final = 1 << 20
PREFACE: Final = b"PRI "
MASKED: Final = b"\x81\x82\0\0\0\0hi"
ECHOED: Final = b"\x81\x02hi"


def echo_each(connection: Connection, request: Request) -> None:
    """Send back whatever comes, at once."""
    if not request.is_answered:
        connection.respond(request, fields=GRPC, is_end=False)
    body = request.body
    request.body = b""
    if body:
        connection.h2.send_data(request.id, body)
        connection.flush()


def service(connection: socket.socket, number: int) -> None:
    """Speak HTTP/2 to who begins with it; else a WebSocket that echoes, or an event every tenth of
    a second.
    """
    if connection.recv(len(PREFACE), socket.MSG_PEEK | socket.MSG_WAITALL) == PREFACE:
        Http2Upstream(echo_each)(connection, number)
        return
    head = read_head(connection)
    if b"websocket" in head.lower():
        connection.sendall(SWITCH)
        while connection.recv(100):
            connection.sendall(ECHOED)
        return

    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    try:
        while True:
            connection.sendall(b"data: 1\n\n")
            time.sleep(0.1)
    except OSError:
        return


class Call:
    """A call of gRPC that goes on."""

    def __init__(self, stack: ExitStack, port: int) -> None:
        """Begin it."""
        self.client = stack.enter_context(
            Http2Client(socket.create_connection(("127.0.0.1", port), 240))
        )
        self.id = self.client.begin(CALL, is_end=False)

    def speak(self) -> None:
        """Say something, and hear it."""
        received = self.client.streams[self.id]
        wanted = len(received.body) + len(framed("x"))
        self.client.h2.send_data(self.id, framed("x"))
        self.client.flush()
        while len(received.body) < wanted:
            assert self.client.read()


class Chat:
    """A WebSocket."""

    def __init__(self, stack: ExitStack, port: int) -> None:
        """Open it."""
        self._socket = stack.enter_context(socket.create_connection(("127.0.0.1", port), 240))
        self._socket.sendall(HANDSHAKE)
        read_head(self._socket)

    def speak(self) -> None:
        """Say something, and hear it."""
        self._socket.sendall(MASKED)
        assert self._socket.recv(100) == ECHOED


class Events:
    """An event stream."""

    def __init__(self, stack: ExitStack, port: int) -> None:
        """Ask for it."""
        self._socket = stack.enter_context(socket.create_connection(("127.0.0.1", port), 240))
        self._socket.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        read_head(self._socket)

    def speak(self) -> None:
        """Hear the newest event, and whatever came before it."""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(1 << 16):
                pass
        except BlockingIOError:
            pass

        self._socket.settimeout(240)
        assert b"data" in self._socket.recv(1 << 16)


@contextmanager
def streaming(
    directory: Path, *arguments: str
) -> Iterator[tuple[Sidelog, Callable[[], list[Call | Chat | Events]]]]:
    """Start; yield it, and what begins one stream of each kind."""
    with ExitStack() as stack:
        url = stack.enter_context(scripted(service))
        sidelog = stack.enter_context(
            Sidelog(
                directory,
                url,
                *arguments,
                environ={"SIDELOG_PROXY__LIMITS__DRAIN_TIMEOUT_S": "0.5"},
            )
        )
        clients = stack.enter_context(ExitStack())
        yield sidelog, lambda: [kind(clients, sidelog.port) for kind in (Call, Chat, Events)]


def old_workers(sidelog: Sidelog) -> int:
    """How many the metrics say there are; -1 while a collector makes room for the next."""
    try:
        text = urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60).read().decode()
    except OSError:
        return -1
    return int(float(text.partition("\nsidelog_old_workers ")[2].partition("\n")[0]))


def reload(sidelog: Sidelog) -> None:
    """Ask for a reload, and wait until it is done."""
    before = sidelog.log.count('"message": "reloaded')
    hang_up(sidelog)
    eventually(lambda: sidelog.log.count('"message": "reloaded') > before)


@pytest.mark.parametrize(
    ("times", "streams"),
    [(3, 1), pytest.param(10, 20, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
)
def test_no_reload_cuts_a_stream(tmp_path: Path, times: int, streams: int) -> None:
    """Each generation of workers has some of its own; old rings take little, and the metrics count
    who is left.
    """
    with streaming(tmp_path / "data") as (sidelog, begin):
        running: list[Call | Chat | Events] = []
        for _ in range(times):
            running += [stream for _ in range(streams) for stream in begin()]
            reload(sidelog)
            for stream in running:
                stream.speak()

        eventually(lambda: old_workers(sidelog) == times)
        assert len(sidelog.pids("proxy.worker")) == times + 1
        lean = times * (RING_OVERHEAD_BYTES + MIB)
        eventually(
            lambda: allocated_bytes(rings_of(sidelog), ()) <= 8 * MIB + RING_OVERHEAD_BYTES + lean
        )
        for stream in running:
            stream.speak()
        calls = [stream for stream in running if isinstance(stream, Call)]
        assert sidelog.process is not None
        os.kill(sidelog.process.pid, signal.SIGTERM)
        for call in calls:
            assert call.client.answer(call.id).trailers["grpc-status"] == "14"
        assert sidelog.process.wait(240) == 0  # a second signal would kill what is left


def test_old_workers_end_with_their_last_streams(tmp_path: Path) -> None:
    """They are seen to end, and the next reload finds none."""
    with ExitStack() as stack:
        url = stack.enter_context(scripted(service))
        sidelog = stack.enter_context(Sidelog(tmp_path / "data", url))
        with ExitStack() as clients:
            call = Call(clients, sidelog.port)
            reload(sidelog)
            call.speak()
            assert len(sidelog.pids("proxy.worker")) == 2

        eventually(lambda: len(sidelog.pids("proxy.worker")) == 1)
        reload(sidelog)
        eventually(lambda: old_workers(sidelog) == 0)
