"""Accepting goes on whatever the kernel says: without descriptors it pauses, says so once, and
takes up again.
"""

import asyncio
import errno
import logging
import os
import socket

import pytest

from proxy.network import accept
from proxy.network.accept import Acceptor


class Reluctant:
    """A listening socket whose `accept` fails as often as it is told to, as that of a busy kernel
    does.
    """

    def __init__(self, listener: socket.socket, error: int, failures: int) -> None:
        self._listener = listener
        self._error = error
        self.failures = failures
        self.has_failed = asyncio.Event()

    def accept(self) -> tuple[socket.socket, object]:
        """Fail, or accept."""
        if self.failures:
            self.failures -= 1
            self.has_failed.set()
            raise OSError(self._error, os.strerror(self._error))
        return self._listener.accept()

    def __getattr__(self, name: str) -> object:
        """Everything else is the socket's."""
        return getattr(self._listener, name)


async def connected(listener: socket.socket) -> socket.socket:
    """A client of it."""
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, listener.getsockname())
    return client


@pytest.mark.parametrize(
    "error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED]
)
async def test_an_error_of_accept_ends_nothing(
    error: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients wait in the kernel's queue until there is room; the log has one line of it, however
    long it takes.
    """
    monkeypatch.setattr(accept, "PAUSE_S", 0.01)
    listener = socket.create_server(("127.0.0.1", 0))
    reluctant = Reluctant(listener, error, 3)
    accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
    address = listener.getsockname()
    accepting = Acceptor(reluctant, accepted.put_nowait)  # type: ignore[arg-type]

    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with await connected(listener), await accepted.get() as connection:
                assert not connection.getblocking()
            reluctant.failures = 0

    assert len(caplog.messages) == (0 if error == errno.ECONNABORTED else 1)
    accepting.close()
    accepting.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_it_can_be_closed_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it pauses, and by what it accepted: nothing is accepted any more."""
    monkeypatch.setattr(accept, "PAUSE_S", 0.01)
    listener = socket.create_server(("127.0.0.1", 0))
    reluctant = Reluctant(listener, errno.EMFILE, 1 << 30)
    accepting = Acceptor(reluctant, socket.socket.close)  # type: ignore[arg-type]
    address = listener.getsockname()

    with await connected(listener):
        await reluctant.has_failed.wait()
        accepting.close()
        await asyncio.sleep(0.03)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)

    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []
    ended = asyncio.Event()

    def take(connection: socket.socket) -> None:
        taken.append(connection)
        accepting.close()
        ended.set()

    with (
        socket.create_connection(listener.getsockname()),
        socket.create_connection(listener.getsockname()),
    ):
        accepting = Acceptor(listener, take)
        await ended.wait()

    assert len(taken) == 1
    taken[0].close()
