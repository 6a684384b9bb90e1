"""Responses on a connection of HTTP/1.1 or 1.0: status line, framing, keep-alive, and a visible
break of incomplete responses.

A response goes out in as few writes as possible; measured with bench/macro (bench/results).
"""

import asyncio
from contextlib import suppress
from typing import Final

from proxy.http1.chunked import LAST_CHUNK, frame, last_chunk
from proxy.http1.response_head import ResponseHead
from proxy.http1.trailers import without_trailer_field
from proxy.network.sockets import bound_buffers, reset
from proxy.worker.engine import Engine
from proxy.worker.exits.exit import Exit

_JOINED_BYTES: Final = 8192
"""Longest body that is written together with its head: below it, a second write costs more than the
copy.
"""


class Http1Exit(Exit):
    """Writes to the transport of one client connection."""

    __slots__ = ("_body", "_format", "_is_http10", "_method", "_out", "_transport", "_write")

    def __init__(self, engine: Engine, transport: asyncio.Transport) -> None:
        super().__init__(engine)
        self._format = engine.head_end_format
        self._transport = transport
        self._write = bound_buffers(transport)
        self._method = b""
        self._is_http10 = False
        self._out = b""
        """Prepared bytes that are not released yet."""
        self._body = b""
        """The body after them, if it is too long to be copied."""

    def begin(self, method: bytes, *, is_keep_alive: bool, is_http10: bool) -> None:
        self._method = method
        self.is_keep_alive = is_keep_alive
        self._is_http10 = is_http10

    def inform(self, head: ResponseHead) -> None:
        if not self._is_http10:
            self._write(head.status_line + head.fields + b"\r\n")

    def whole(self, head: ResponseHead, body: bytes, id_text: bytes) -> None:
        if self.is_keep_alive and not self._is_http10:
            prefix = head.prefix
        else:
            prefix = self._prefix(head)
        head_end = self._format % (prefix, id_text)
        if len(body) <= _JOINED_BYTES:
            self._out = head_end + body
        else:
            self._out = head_end
            self._body = body

    def start(self, head: ResponseHead, id_text: bytes) -> None:
        self._write(self._format % (self._prefix(head), id_text))
        self.takes_trailers = head.body_length(self._method) < 0 and not self._is_http10

    def _prefix(self, head: ResponseHead) -> bytes:
        if self._is_http10:
            return self._prefix_for_http10(head)
        if self.is_keep_alive:
            return head.prefix
        return head.prefix + b"Connection: close\r\n"

    def _prefix_for_http10(self, head: ResponseHead) -> bytes:
        """Return a head for HTTP/1.0. There are no chunks: without a length, the end of the
        connection ends the body.
        """
        length = head.content_length
        if length < 0 and head.body_length(self._method) < 0:
            self.is_keep_alive = False
        if length >= 0 and head.status != 204:
            framing = b"Content-Length: %d\r\n" % length
        else:
            framing = b""
        if self.is_keep_alive:
            connection = b"Connection: keep-alive\r\n"
        else:
            connection = b"Connection: close\r\n"
        return head.status_line + without_trailer_field(head.fields) + framing + connection

    def data(self, data: bytes) -> None:
        self._write(frame(data) if self.takes_trailers else data)

    def end(self, data: bytes, trailers: bytes) -> None:
        if self.takes_trailers:
            end = last_chunk(trailers) if trailers else LAST_CHUNK
            data = frame(data) + end if data else end
        self._out = data

    def refuse(self, code: str, message: str, id_text: bytes) -> tuple[bytes, bytes]:
        head, body = self._own_response(code, message, id_text, close=not self.is_keep_alive)
        if self._method == b"HEAD":
            body = b""
        self._out = head + body
        return head, body

    def release(self) -> None:
        out = self._out
        if out:
            self._out = b""
            self._write(out)
        if self._body:
            self._write(self._body)
            self._body = b""

    @property
    def unsent_bytes(self) -> int:
        return len(self._out) + len(self._body)

    def half_close(self) -> None:
        if self._transport.can_write_eof():
            # The client may have reset the connection.
            with suppress(OSError):
                self._transport.write_eof()

    def break_off(self) -> None:
        # So that a truncated response does not look complete (P14).
        reset(self._transport)

    def switch(self, head: ResponseHead, id_text: bytes) -> None:
        self.takes_trailers = False
        self._write(self._format % (head.prefix, id_text))
