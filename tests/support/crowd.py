"""Many connections at once, and what they cost."""

import random
import resource
import socket
import struct

import psutil


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
