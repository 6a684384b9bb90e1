"""The borrower of a lane: what a connection of either protocol asks and says of the exchange that
it carries.
"""

from typing import Protocol

from proxy.http1.errors import UpstreamError
from proxy.http1.response_head import ResponseHead
from proxy.ring.http2_notes import StreamState


class ResponseHandler(Protocol):
    """Gets the response. Called in this order, never concurrently."""

    method: bytes
    is_request_complete: bool
    """Whether the connection has been given all of the request."""
    is_continue_due: bool
    """Whether the request waits for a 100: until then the upstream has not promised to read its
    body.
    """
    upstream_head: bytes
    """The head of the request as HTTP/1.1 has it, `Host` first."""
    request_trailers: bytes
    """Lines that follow the body of a complete request in HTTP/2."""
    stream: StreamState | None
    """Of a client that speaks HTTP/2."""
    has_long_body: bool
    """Whether our buffer may still hold a part of the body; for a request without one, that of an
    earlier request.
    """

    @property
    def wants_websocket(self) -> bool:
        """Whether the request asked to become a WebSocket."""

    def open_tunnel(self, head: ResponseHead, raw: bytes, data: bytes) -> None:
        """Handle the 101, with the bytes that came along."""

    def tunnel_data(self, data: bytes) -> None:
        """Handle more bytes of an open tunnel."""

    def send_informational(self, head: ResponseHead) -> None:
        """Handle a 1xx response."""

    def send_full_response(self, head: ResponseHead, raw: bytes, body: bytes, now_ns: int) -> None:
        """Handle a whole response, its head as parsed and as received."""

    def start_response(self, head: ResponseHead, raw: bytes, now_ns: int) -> None:
        """Handle the head of a response whose body follows."""

    def response_data(self, data: bytes) -> None:
        """Handle more body."""

    def response_end(self, data: bytes, trailers: bytes) -> None:
        """Handle the last of the body, possibly nothing, and its trailer lines, each with its CRLF."""

    def upstream_failed(self, error: UpstreamError, *, is_stale: bool) -> None:
        """Handle the failure; `is_stale`: a reused connection was closed before it sent anything."""

    def upstream_refused(self, error: UpstreamError, sent: bytes | None) -> None:
        """Handle a refusal before any work was done; what was sent of the body is there if it was
        short.
        """

    def pause_request(self) -> None:
        """Stop sending request body: the upstream's buffer is full."""

    def resume_request(self) -> None:
        """Send on."""
