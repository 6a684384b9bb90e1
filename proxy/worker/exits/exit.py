"""Sending responses to one client: the relay decides on the content, an exit knows the protocol.

The invariant: `whole`, `end` and `refuse` prepare bytes, and `release` sends them. So an exchange
is on record before its client can have all of its response.
"""

from abc import ABC, abstractmethod

from proxy.http1.errors import error_response
from proxy.http1.response_head import ResponseHead
from proxy.worker.engine import Engine


class Exit(ABC):
    """Sends the responses to one client, one after the other."""

    __slots__ = ("_engine", "is_keep_alive", "takes_trailers")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.is_keep_alive = False
        """True if the connection serves another request after this one; the rest of this one is
        read first. Always False on an HTTP/2 stream.
        """
        self.takes_trailers = False
        """True if trailers can follow the body that was started."""

    @abstractmethod
    def begin(self, method: bytes, *, is_keep_alive: bool, is_http10: bool) -> None:
        """Prepare for the response to a new request. The method and HTTP/1.0 decide on its framing;
        `is_keep_alive` is True if the connection may stay open after it.
        """

    @abstractmethod
    def inform(self, head: ResponseHead) -> None:
        """Send an informational (1xx) response to the client, before the final response."""

    @abstractmethod
    def whole(self, head: ResponseHead, body: bytes, id_text: bytes) -> None:
        """Prepare a whole response, with the id of its record. `release` sends it."""

    @abstractmethod
    def start(self, head: ResponseHead, id_text: bytes) -> None:
        """Send the head of a response to the client; call `data` for its body."""

    @abstractmethod
    def data(self, data: bytes) -> None:
        """Send the next bytes of the response's body to the client."""

    @abstractmethod
    def end(self, data: bytes, trailers: bytes) -> None:
        """Prepare the end of the body: the last of it, possibly nothing, and trailer lines, each
        with its CRLF.
        """

    @abstractmethod
    def refuse(self, code: str, message: str, id_text: bytes) -> tuple[bytes, bytes]:
        """Prepare an error response of our own; return its head and its body, which is empty for
        HEAD.
        """

    def _own_response(
        self, code: str, message: str, id_text: bytes, *, close: bool
    ) -> tuple[bytes, bytes]:
        """Return head and body of an error response, as text of HTTP/1.1."""
        line = self._engine.record_id_format
        return error_response(
            code, message, close=close, record_id_line=line % id_text if line else b""
        )

    @abstractmethod
    def release(self) -> None:
        """Send the bytes that `whole`, `end` or `refuse` has prepared to the client."""

    @property
    @abstractmethod
    def unsent_bytes(self) -> int:
        """Return how many bytes of the response a stalled client never got."""

    @abstractmethod
    def half_close(self) -> None:
        """End our side after the last response, while the client may still be sending."""

    @abstractmethod
    def break_off(self) -> None:
        """End so that the client cannot mistake a part of the response for all of it (P14)."""

    @abstractmethod
    def switch(self, head: ResponseHead, id_text: bytes) -> None:
        """Send a 101; `data` sends bytes of the other protocol from now on."""
