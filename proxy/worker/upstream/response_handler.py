"""The borrower of a lane, as connections of both protocols see it: they read from it and report to
it.

The relay of an exchange implements this. It is a protocol because the relay imports the
connections.
"""

from typing import Protocol

from proxy.http1.errors import UpstreamError
from proxy.http1.response_head import ResponseHead
from proxy.ring.http2_notes import StreamState


class ResponseHandler(Protocol):
    """Gets the response. Methods are called in the order below, never concurrently."""

    method: bytes
    is_request_complete: bool
    """True if the connection was given all of the request."""
    is_continue_due: bool
    """True if the request waits for a 100: the upstream has not promised to read its body yet."""
    upstream_head: bytes
    """The head of the request as text of HTTP/1.1, `Host` first."""
    request_trailers: bytes
    """The trailer lines of a complete request, for an upstream that speaks HTTP/2."""
    stream: StreamState | None
    """The stream of a client that speaks HTTP/2; None for a client of HTTP/1.1."""
    has_long_body: bool
    """True if our send buffer may still hold a part of the request body, or of an earlier one."""

    @property
    def wants_websocket(self) -> bool:
        """Return True if the request asked for an upgrade to WebSocket."""

    def open_tunnel(self, head: ResponseHead, raw: bytes, data: bytes) -> None:
        """Handle the response 101, with the bytes after its head, which belong to the tunnel."""

    def tunnel_data(self, data: bytes) -> None:
        """Handle more bytes of an open tunnel."""

    def send_informational(self, head: ResponseHead) -> None:
        """Handle a 1xx response."""

    def send_full_response(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
        """Handle a whole response, its head as parsed and as received."""

    def start_response(self, head: ResponseHead, raw: bytes, now_ns: int) -> None:
        """Handle the head of a response whose body follows."""

    def response_data(self, data: bytes) -> None:
        """Handle the next bytes of the response's body."""

    def response_end(self, data: bytes, trailers: bytes) -> None:
        """Handle the last of the body, perhaps empty, and trailer lines, each with its CRLF."""

    def upstream_failed(self, error: UpstreamError, *, is_stale: bool) -> None:
        """Handle a failure; `is_stale`: a reused connection was closed before anything came."""

    def upstream_refused(self, error: UpstreamError, sent: bytes | None) -> None:
        """Handle a refusal before any work was done; `sent` is a short body, to be sent again."""

    def pause_request(self) -> None:
        """Stop sending request body, because the upstream's buffer is full."""

    def resume_request(self) -> None:
        """Send request body again, because the upstream's buffer has drained."""
