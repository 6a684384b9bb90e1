"""TLS on a connection that we opened."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import uvloop

from proxy.network.dial import secure
from tests.support.certificate import self_signed
from tests.support.upstream import scripted


class Heard(asyncio.Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.data = b""
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        cast(asyncio.Transport, transport).write(b"hello")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@contextmanager
def serving(
    tmp_path: Path, talk: Callable[[ssl.SSLSocket], None]
) -> Iterator[tuple[int, ssl.SSLContext]]:
    """Serve TLS; gives the port, and the context of who trusts it."""
    cert, key = self_signed(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)

    def handle(connection: socket.socket, number: int) -> None:
        with server.wrap_socket(connection.dup(), server_side=True) as secured:
            talk(secured)

    with scripted(handle) as url:
        yield int(url.rpartition(":")[2]), ssl.create_default_context(cafile=str(cert))


async def dial(port: int, context: ssl.SSLContext) -> tuple[asyncio.Transport, Heard]:
    raw, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
    heard = Heard()
    try:
        await secure(raw, heard, context, "localhost")
    except BaseException:
        assert raw.is_closing()
        raise

    return raw, heard


async def test_both_sides_are_heard(tmp_path: Path) -> None:
    """The protocol begins when the handshake is done, and hears the end."""

    def talk(secured: ssl.SSLSocket) -> None:
        secured.sendall(b"you said " + secured.recv(100))

    with serving(tmp_path, talk) as (port, context):
        async with asyncio.timeout(60):
            raw, heard = await dial(port, context)
            await heard.lost.wait()
        assert heard.data == b"you said hello"
        assert heard.transport is not raw


async def test_a_certificate_that_nobody_trusts_ends_it(tmp_path: Path) -> None:
    """The connection is closed, and the failure is that of the handshake."""
    with serving(tmp_path, lambda secured: None) as (port, _):
        async with asyncio.timeout(60):
            with pytest.raises(ssl.SSLCertVerificationError):
                await dial(port, ssl.create_default_context())


async def test_a_peer_that_leaves_within_the_handshake_ends_it() -> None:
    """Nobody waits for the rest."""

    def leave(connection: socket.socket, number: int) -> None:
        connection.recv(1)

    with scripted(leave) as url:
        async with asyncio.timeout(60):
            with pytest.raises(ConnectionResetError):
                await dial(int(url.rpartition(":")[2]), ssl.create_default_context())


@pytest.mark.parametrize("reads_on", [True, False])
async def test_so_does_a_reset(tmp_path: Path, *, reads_on: bool) -> None:
    """What came before it is read first, unless the reader gives up; no descriptor stays open."""
    may_leave = threading.Event()
    has_left = threading.Event()

    def talk(secured: ssl.SSLSocket) -> None:
        may_leave.wait(60)
        secured.sendall(bytes(60_000))
        time.sleep(0.1)  # or the reset overtakes what the kernel has not sent

    def handle(connection: socket.socket, number: int) -> None:
        with server.wrap_socket(connection.dup(), server_side=True) as secured:
            talk(secured)
        connection.close()  # with the greeting unread: a reset
        has_left.set()

    cert, key = self_signed(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)

    with scripted(handle) as url:
        async with asyncio.timeout(60):
            _, heard = await dial(
                int(url.rpartition(":")[2]), ssl.create_default_context(cafile=str(cert))
            )
            transport = cast(asyncio.Transport, heard.transport)
            transport.pause_reading()
            may_leave.set()
            await asyncio.to_thread(has_left.wait, 60)
            transport.write(b"to nobody")  # which is how it is noticed while nothing is read
            await asyncio.sleep(0.2)
            assert not heard.lost.is_set()

            if reads_on:
                transport.resume_reading()
            else:
                transport.abort()

            await heard.lost.wait()

    assert heard.data == (bytes(60_000) if reads_on else b"")


async def test_an_end_waits_for_who_is_paused(tmp_path: Path) -> None:
    """What came before it is read first."""
    may_leave = threading.Event()
    has_left = threading.Event()

    def talk(secured: ssl.SSLSocket) -> None:
        may_leave.wait(60)
        secured.sendall(bytes(20_000))
        secured.shutdown(socket.SHUT_RDWR)
        has_left.set()

    with serving(tmp_path, talk) as (port, context):
        async with asyncio.timeout(60):
            _, heard = await dial(port, context)
            transport = cast(asyncio.Transport, heard.transport)
            transport.pause_reading()
            may_leave.set()
            await asyncio.to_thread(has_left.wait, 60)
            await asyncio.sleep(0.2)
            assert not heard.lost.is_set()
            transport.resume_reading()
            await heard.lost.wait()

        assert heard.data == bytes(20_000)


def test_a_connection_that_has_ended_is_a_reset() -> None:
    """No handshake is begun, which uvloop would report as an error in a callback."""

    async def secure_late() -> list[object]:
        problems: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        raw, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        raw.close()
        with pytest.raises(ConnectionResetError, match="before the TLS handshake"):
            await secure(raw, Heard(), ssl.create_default_context(), "localhost")
        await asyncio.sleep(0)
        return problems

    ours, theirs = socket.socketpair()
    with theirs:
        assert uvloop.run(secure_late()) == []
