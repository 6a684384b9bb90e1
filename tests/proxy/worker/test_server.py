"""A process' data plane: its segment, and the sockets it accepts on, its own and a dead worker's."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from proxy.process.shared_memory import RING_OVERHEAD_BYTES, SharedMemoryError
from proxy.ring.segment import Segment
from proxy.ring.segment_layout import SegmentError
from proxy.settings.model import (
    ProxySettings,
    RingSettings,
    RouteSettings,
    Settings,
    freeze,
    read_settings,
)
from proxy.worker.routes import compile_routes
from proxy.worker.server import DataPlane, data_plane, make_segment


def is_served(address: tuple[str, int], patience_s: float = 60.0) -> bool:
    """Send one request; whether it is answered in time."""
    with socket.create_connection(address, timeout=patience_s) as client:
        client.sendall(b"no request\r\n\r\n")
        try:
            return client.recv(100).startswith(b"HTTP/1.1 400")
        except TimeoutError:
            return False


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[DataPlane]:
    """A data plane that listens on nothing yet."""
    chosen = settings(tmp_path, tmp_path)
    segment = make_segment(chosen, tmp_path)
    async with asyncio.TaskGroup() as tasks:
        made = data_plane(chosen, compile_routes(chosen), segment, lambda: None, tasks, "Side-1")
        made.start()
        yield made
        await made.drain()

    segment.close()


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """Two listening sockets of the supervisor."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield sockets
    for listener in sockets:
        listener.close()


async def test_a_dead_workers_socket_is_adopted_and_released(
    plane: DataPlane, listeners: list[socket.socket]
) -> None:
    """The plane accepts on both, then only on its own again; a released socket stays open for its
    owner.
    """
    addresses = [listener.getsockname() for listener in listeners]
    plane.listen(listeners[0])
    plane.listen(listeners[1])
    assert [await asyncio.to_thread(is_served, address) for address in addresses] == [True, True]
    plane.release(listeners[1])
    plane.release(listeners[1])
    await asyncio.sleep(0)
    assert await asyncio.to_thread(is_served, addresses[0])
    assert not await asyncio.to_thread(is_served, addresses[1], 0.5)
    plane.stop_listening()
    await asyncio.sleep(0)
    assert not await asyncio.to_thread(is_served, addresses[0], 0.5)


async def test_the_last_one_to_close_ends_the_queue(
    plane: DataPlane, listeners: list[socket.socket]
) -> None:
    """Once plane and owner have closed a socket, a connection is refused."""
    address = listeners[0].getsockname()
    plane.listen(listeners[0])
    listeners[0].close()
    assert await asyncio.to_thread(is_served, address)
    plane.stop_listening()
    await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(is_served, address)


def settings(tmp_path: Path, directory: Path | str) -> Settings:
    """One route, a small ring."""
    return Settings(
        data_dir=str(tmp_path),
        proxy=ProxySettings(stage="test"),
        ring=RingSettings(bytes=1 << 20, directory=str(directory)),
        routes=(RouteSettings(id="a", upstream="http://x"),),
    )


def test_a_segment_is_made_and_held(tmp_path: Path) -> None:
    """In the ring directory, described, and alive until it is closed."""
    segment = make_segment(settings(tmp_path, tmp_path), tmp_path)
    assert segment.path is not None
    assert segment.path.parent == tmp_path
    assert b'"stage": "test"' in segment.descriptor
    other = Segment.attach(segment.path)
    assert other.producer_alive()
    segment.close()
    assert not other.producer_alive()
    other.close()


def test_without_a_directory_a_segment_is_anonymous(tmp_path: Path) -> None:
    """Who is handed its file sees it and that its producer lives; a second holder is refused."""
    made = make_segment(settings(tmp_path, ""), None)
    fd = made.share()
    seen = Segment.from_fd(fd)
    assert (made.path, made.source) == (None, seen.source)
    assert seen.producer_alive()
    with pytest.raises(SegmentError, match="held by another producer"):
        seen.hold()
    made.close()
    assert not seen.producer_alive()
    os.close(fd)
    seen.close()


def test_a_ring_that_no_longer_fits_is_anonymous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker took the room between the look and the allocation; a configured directory must
    have it.
    """

    def no_space(fd: int, total: int, needed: int) -> None:
        if not os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
            raise OSError(errno.ENOSPC, "No space left on device")
        os.ftruncate(fd, total)

    monkeypatch.setattr("proxy.ring.segment.allocate", no_space)
    made = make_segment(settings(tmp_path, ""), tmp_path)
    assert made.path is None
    assert list(tmp_path.glob("*.new")) == []
    made.close()
    with pytest.raises(SegmentError, match="No space left"):
        make_segment(settings(tmp_path, tmp_path), tmp_path)
    made = make_segment(settings(tmp_path, tmp_path / "gone"), tmp_path / "gone")
    assert made.path is None
    made.close()


def test_settings_are_read_whatever_the_offset(tmp_path: Path) -> None:
    """Siblings share the file offset of the descriptor."""
    expected = settings(tmp_path, tmp_path)
    (tmp_path / "settings").write_bytes(freeze(expected))
    fd = os.open(tmp_path / "settings", os.O_RDONLY)
    os.lseek(fd, 10, os.SEEK_SET)
    assert read_settings(fd) == expected
    assert read_settings(fd) == expected
    os.close(fd)


class SmallSharedMemory:
    """A system that refuses anonymous memory, and has little room for files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room_bytes: int) -> None:
        """Take the place of the real one."""
        self._room_bytes = room_bytes
        self._allocate = os.posix_fallocate
        monkeypatch.setattr(os, "memfd_create", self.refuse)
        monkeypatch.setattr(os, "posix_fallocate", self.allocate)

    def refuse(self, name: str, flags: int) -> int:
        """As seccomp does."""
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def allocate(self, fd: int, at: int, size: int) -> None:
        """Have no more than there is."""
        if size > self._room_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._allocate(fd, at, size)


def test_a_small_place_has_a_small_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rather than none, without which no worker starts; the log names call, size and limit."""
    SmallSharedMemory(monkeypatch, RING_OVERHEAD_BYTES + (1 << 20))
    chosen = settings(tmp_path, "")
    made = make_segment(replace(chosen, ring=RingSettings(bytes=8 << 20)), None)
    assert made.capacity == 1 << 20
    made.close()
    (line,) = caplog.messages
    assert line.startswith(
        "the ring has 1048576 bytes instead of 8388608 ([ring] bytes): memfd_create is refused"
    )
    assert "/dev/shm has" in line


def test_no_place_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that can be done about it."""
    SmallSharedMemory(monkeypatch, 1 << 20)
    with pytest.raises(SharedMemoryError) as caught:
        make_segment(settings(tmp_path, ""), None)
    message = str(caught.value)
    assert "cannot make an anonymous ring of" in message
    assert (
        "No space left on device: memfd_create is refused (Operation not permitted), and /dev/shm "
        "has" in message
    )
    assert message.endswith("bytes free: allow the call, or make that larger")
