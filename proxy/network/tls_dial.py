"""TLS for outgoing connections that still delivers the peer's last bytes after a reset (P16).

A loop whose write fails stops reading. Without TLS the rest is read from the socket, which is still
open then (`socket_queues.last_bytes`). With TLS the loop only has ciphertext, which its TLS layer
discards. Therefore a protocol of ours stands between socket and TLS layer and delivers the last
bytes first. It also delays the end of a connection while its reader is paused, since uvloop drops
decrypted data at the end. Meanwhile a second descriptor keeps the kernel's data of a reset
connection.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Final, cast

from proxy.network.socket_queues import MAX_LAST_BYTES

_LOOK_S: Final = 0.05
"""Time between two checks whether a paused reader reads again; only for connections that have
ended.
"""
_PIECE_BYTES: Final = 1 << 16
"""Size of one read."""
_NONE: Final = -1


class _FinalBytes(asyncio.BufferedProtocol):
    """Passes all bytes to the loop's TLS layer, including those unread when the connection failed."""

    __slots__ = ("_failure", "_look", "_secured", "_tls", "_transport", "_unread")

    def __init__(
        self,
        transport: asyncio.Transport,
        tls: asyncio.BufferedProtocol,
        secured: asyncio.Transport,
    ) -> None:
        """Stand between a socket's transport and its TLS layer, which `secured` reads and writes."""
        self._transport = transport
        self._tls = tls
        self._secured = secured
        self._look: asyncio.Handle | None = None
        self._failure: Exception | None = None
        self._unread = _NONE
        """Descriptor of a failed socket, to read what the kernel still has."""

    def get_buffer(self, sizehint: int) -> memoryview:
        # What is read at once is held twice.
        return memoryview(self._tls.get_buffer(sizehint))[:_PIECE_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        self._tls.buffer_updated(nbytes)

    def eof_received(self) -> bool | None:
        """Report the peer's end once all bytes before it are read."""
        if self._secured.is_reading() or self._secured.is_closing():
            return self._tls.eof_received()
        self._await_reading(self._report_end)
        return True

    def _await_reading(self, then: Callable[[], None]) -> None:
        self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_again, then)

    def _look_again(self, then: Callable[[], None]) -> None:
        if self._secured.is_reading() or self._secured.is_closing():
            # Reading on is a call in the loop's queue, maybe behind us.
            self._look = asyncio.get_running_loop().call_soon(then)
        else:
            self._await_reading(then)

    def _report_end(self) -> None:
        if not self._secured.is_reading() and not self._secured.is_closing():
            self._await_reading(self._report_end)
        elif not self._tls.eof_received():
            self._transport.close()

    def pause_writing(self) -> None:
        self._tls.pause_writing()

    def resume_writing(self) -> None:
        self._tls.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        self._failure = exc
        if exc is not None:
            try:
                self._unread = os.dup(self._transport.get_extra_info("socket").fileno())
            except OSError:
                pass  # no descriptor is left, or none was: what came is all there is

        self._read_rest()

    def _read_rest(self) -> None:
        """Deliver the rest as fast as the reader takes it; afterwards, or if the reader has closed,
        report the loss.
        """
        if self._unread != _NONE:
            # Asyncio closes after any failure, too, and still delivers what it can.
            if self._secured.is_closing():
                self._feed(self._take_unread(MAX_LAST_BYTES))
            elif not self._secured.is_reading():
                self._await_reading(self._read_rest)
                return
            elif data := self._take_unread(_PIECE_BYTES):
                self._feed(data)
                self._look = asyncio.get_running_loop().call_soon(self._read_rest)
                return

            os.close(self._unread)
            self._unread = _NONE

        self._tls.connection_lost(self._failure)

    def _take_unread(self, most_bytes: int) -> bytes:
        try:
            return os.read(self._unread, most_bytes)
        except OSError:
            return b""  # nothing more: the reset itself, or an empty queue

    def _feed(self, data: bytes) -> None:
        while data:
            buffer = self.get_buffer(len(data))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            self._tls.buffer_updated(size)
            data = data[size:]


class _Placeholder(asyncio.Protocol):
    """Stands in for a protocol until the handshake is done."""

    has_data = False

    def data_received(self, data: bytes) -> None:
        self.has_data = True


async def secure(
    raw: asyncio.Transport, protocol: asyncio.Protocol, context: ssl.SSLContext, host: str
) -> None:
    """Run the handshake on a new connection and start the protocol; on failure the connection is
    closed.

    Raises:
        OSError: The handshake failed, or the peer sent data before it.
    """
    placeholder = _Placeholder()
    try:
        transport = await asyncio.get_running_loop().start_tls(
            raw, placeholder, context, server_hostname=host
        )
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection ended within the TLS handshake")
        if placeholder.has_data:
            raise ConnectionAbortedError("the upstream sent something before it was asked")
    except BaseException:
        raw.abort()
        raise

    raw.set_protocol(
        _FinalBytes(raw, cast(asyncio.BufferedProtocol, raw.get_protocol()), transport)
    )
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
