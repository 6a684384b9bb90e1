"""What the kernel reports about a connection, and what one holds for a peer that does not read.

What the kernel tells about a connection that stands still.

What a connection holds for a peer that does not read.

Pages of a buffer that holds nothing go back to the kernel.
"""

import asyncio
import mmap
import socket
from typing import Any, cast

import pytest

from proxy.network import sockets
from proxy.network.sockets import (
    PIECE_BYTES,
    RECORD_BYTES,
    bound_buffers,
    give_back,
    is_reset_by_peer,
    last_bytes,
    unsent_bytes,
)
from tests.support.cases import each_of
from tests.support.client import Client
from tests.support.plane import eventually


async def _connected() -> tuple[asyncio.Transport, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        own, _ = listener.accept()
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, own)
    return transport, peer


async def test_a_reset_is_seen_without_reading() -> None:
    """An orderly end is none: the peer may still want its answer."""
    transport, peer = await _connected()
    transport.pause_reading()
    assert not is_reset_by_peer(transport)
    peer.shutdown(socket.SHUT_WR)
    assert not is_reset_by_peer(transport)
    Client(peer).reset()
    await asyncio.to_thread(eventually, lambda: is_reset_by_peer(transport))
    transport.abort()
    assert not is_reset_by_peer(transport)
    assert unsent_bytes(transport) == 0


async def test_what_was_not_taken_is_counted() -> None:
    """Ours and the kernel's together, less what the peer's kernel has: nothing once all is read."""
    transport, peer = await _connected()
    size = 20_000_000
    with peer:
        transport.write(bytes(size))
        assert size // 2 < unsent_bytes(transport) <= size
        left = size
        while left:
            left -= len(await asyncio.to_thread(peer.recv, 1 << 20))
        await asyncio.to_thread(eventually, lambda: not unsent_bytes(transport))
        transport.abort()

    await asyncio.sleep(0)


async def test_what_a_lost_peer_sent_last_can_be_read() -> None:
    """The kernel keeps it over the reset, until the socket is closed; of a live peer without news
    there is nothing.
    """
    transport, peer = await _connected()
    transport.pause_reading()
    assert last_bytes(transport) == b""
    peer.sendall(b"last words")
    Client(peer).reset()
    await asyncio.to_thread(eventually, lambda: is_reset_by_peer(transport))
    assert last_bytes(transport) == b"last words"
    assert last_bytes(transport) == b""
    transport.abort()


class Secured:
    """A transport over TLS that has handed all it had to the layer below."""

    def get_extra_info(self, name: str) -> object:
        return True if name == "sslcontext" else None

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.mark.parametrize(("unsent", "is_busy"), [(0, False), (24, False), (100_000, True)])
def test_a_goodbye_that_is_not_acknowledged_holds_nobody(
    monkeypatch: pytest.MonkeyPatch, unsent: int, is_busy: bool
) -> None:
    """A peer that has vanished answers nothing; a layer that still has something keeps the kernel's
    queue full.
    """
    monkeypatch.setattr(sockets, "unsent_bytes", lambda transport: unsent)
    assert sockets.is_flushing(cast(asyncio.Transport, Secured())) is is_busy


class Transport:
    """Notes what it is given, and asked."""

    def __init__(self, context: object) -> None:
        self.written: list[bytes] = []
        self.limits: dict[str, int] = {}
        self._context = context

    def get_extra_info(self, name: str) -> object:
        """Say whether it is one over TLS."""
        return self._context

    def set_write_buffer_limits(self, high: int) -> None:
        self.limits["write"] = high

    def set_read_buffer_limits(self, high: int) -> None:
        self.limits["read"] = high

    def write(self, data: bytes | memoryview) -> None:
        self.written.append(bytes(data))


def bounded(context: object) -> tuple[Any, Transport]:
    transport = Transport(context)
    return bound_buffers(cast(asyncio.Transport, transport)), transport


@each_of("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 4 * PIECE_BYTES + 7])
def test_what_is_written_over_tls_goes_in_pieces(size: int) -> None:
    """All of it, in order; its layer keeps a buffer of the size of the largest."""
    data = bytes(index % 251 for index in range(size))
    write, transport = bounded("a context")
    write(data)
    assert b"".join(transport.written) == data
    assert max(map(len, transport.written)) <= PIECE_BYTES
    assert transport.limits == {"write": RECORD_BYTES, "read": PIECE_BYTES}


def test_what_is_written_in_plain_goes_as_it_is() -> None:
    """The kernel takes what it can of it at once."""
    write, transport = bounded(None)
    write(bytes(300_000))
    assert (transport.written, transport.limits) == ([bytes(300_000)], {"write": PIECE_BYTES})


@pytest.mark.parametrize("size", [1, mmap.PAGESIZE, 10 * mmap.PAGESIZE])
def test_what_is_given_back_is_a_buffer_as_before(size: int) -> None:
    """Its whole pages read as zeros and may be written; what lies beside them is not touched."""
    block = bytearray(b"x" * (size + 2 * mmap.PAGESIZE))
    inner = memoryview(block)[mmap.PAGESIZE : mmap.PAGESIZE + size]
    give_back(inner)
    assert block[: mmap.PAGESIZE] == b"x" * mmap.PAGESIZE
    assert block[mmap.PAGESIZE + size :] == b"x" * mmap.PAGESIZE
    assert set(bytes(inner)) <= set(b"x\0")
    assert bytes(inner).count(b"\0") >= size - 2 * mmap.PAGESIZE
    inner[:] = b"y" * size
    assert bytes(inner) == b"y" * size
