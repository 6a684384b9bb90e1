"""One gRPC request over HTTP/2, on a connection of its own.

The socket blocks; the codec is the one of the data port (`proxy/http2`). The caller reads until it
has what it waits for, and stops if that is too much.
"""

import socket
import ssl
import time
from typing import Final

from proxy.http2.budget import Limits
from proxy.http2.connection import Connection
from proxy.http2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from proxy.http2.hpack.encoder import LineEncoder
from proxy.http2.request_fields import RequestFields
from proxy.http2.response_fields import ResponseFields
from proxy.settings.addresses import UpstreamAddress

_LIMITS: Final = Limits(max_header_bytes=1 << 16)
_PIECE_BYTES: Final = 1 << 16


class CallEnded(OSError):
    """The peer ended a call early; the message has the reason."""


def connect(
    address: UpstreamAddress, timeout_s: float, tls: ssl.SSLContext | None
) -> socket.socket:
    """Open a connection to a service; for TLS, with a context that offers HTTP/2.

    Raises:
        OSError: the connection failed.
    """
    plain = socket.create_connection((address.host, address.port), timeout_s)
    if tls is None:
        return plain
    try:
        return tls.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


class Http2Call:
    """A request and the part of its response that was read."""

    def __init__(
        self,
        connection: socket.socket,
        address: UpstreamAddress,
        path: bytes,
        lines: bytes,
    ) -> None:
        """Begin a POST with field lines, each with its CRLF and without `Host`."""
        self._socket = connection
        self._codec = Connection(_LIMITS, LineEncoder(), time.monotonic_ns(), is_server=False)
        authority = address.authority.encode()
        lines = b"Host: %b\r\n%b" % (authority, lines)
        head = RequestFields(b"POST", path, address.scheme.encode(), lines, -1, None)
        self._stream = self._codec.send_request(head, authority)
        self.head: ResponseFields | None = None
        self.body = bytearray()
        self.trailers: bytes | None = None
        """Trailer lines; None before they have come."""
        self.is_ended = False

    def send(self, data: bytes, *, is_end: bool = False) -> None:
        """Send a part of the request's body as fast as the peer takes it."""
        self._codec.send_data(self._stream, data, time.monotonic_ns(), is_end=is_end)

    def read(self) -> None:
        """Wait for the next event of the connection.

        Raises:
            CallEnded: the peer ended the call or the connection before its response ended.
            OSError: nothing came in time.
        """
        self._socket.sendall(self._codec.output.take())
        data = self._socket.recv(_PIECE_BYTES)
        if not data:
            raise CallEnded("the service closed the connection")

        found = self._codec.receive(data, time.monotonic_ns())
        while self._codec.has_more:
            found += self._codec.receive(b"", time.monotonic_ns())
        for event in found:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self.body += event.data
            self.is_ended |= event.is_end
            self._codec.credit(self._stream, len(event.data))
        elif isinstance(event, ResponseReceived):
            self.head = event.head
            self.is_ended |= event.is_end
        elif isinstance(event, TrailersReceived):
            self.trailers = event.lines
            self.is_ended = True
        elif isinstance(event, StreamReset | ConnectionEnded):
            raise CallEnded(f"the service ended the call: {event.reason or event.code}")
