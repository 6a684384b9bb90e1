"""What the kernel tells about a connection that stands still."""

import asyncio
import socket
from typing import cast

import pytest

from proxy.network import socket_queues
from proxy.network.socket_queues import is_reset_by_peer, last_bytes, unsent_bytes
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
    monkeypatch.setattr(socket_queues, "unsent_bytes", lambda transport: unsent)
    assert socket_queues.is_flushing(cast(asyncio.Transport, Secured())) is is_busy
