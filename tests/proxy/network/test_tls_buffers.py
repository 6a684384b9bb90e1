"""What a connection holds for a peer that does not read."""

import asyncio
from typing import Any, cast

from proxy.network.tls_buffers import PIECE_BYTES, RECORD_BYTES, bound_buffers
from tests.support.cases import each_of


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
