"""Serves an aiohttp application on a listening socket, and limits idle and slow connections.

aiohttp waits for a request head as long as for the next request, accepts a megabyte of it, holds
any number of connections, and lets clients send bodies and read responses at any pace. Here each of
these is limited. At the limit, the connection that has waited longest for a request is closed, or
else the one that has waited longest for the rest of a body, so idle clients cannot keep others out.
A stream may last as long as its client reads.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.streams import EMPTY_PAYLOAD

from proxy.network.accept import Acceptor
from proxy.network.sockets import unsent_bytes
from proxy.process.descriptors import max_client_connections

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 512
"""Connections per port; browsers, scrapers and scripts need tens."""
MAX_HEAD_BYTES: Final = 32768
"""Size of an incomplete request; together with `MAX_CONNECTIONS` this bounds the memory for
strangers.
"""
HEAD_S: Final = 10.0
"""Time from accept to the end of the first request's head, TLS included."""
IDLE_S: Final = 60.0
"""Time between two requests, including the second one's head."""
BODY_S: Final = 30.0
"""Time for a request's body; the largest is 64 KiB."""
STALL_S: Final = 60.0
"""Time without progress in sending a response."""
CHECK_EVERY_S: Final = 1.0
REASONS: Final = ("displaced", "full", "head", "body", "stall", "tls")
"""Reasons for closing a connection: displaced by a new one, no room, a deadline, or a failed
handshake (including plain HTTP on a TLS port).
"""


Refuse = Callable[[int, str], web.Response]
"""Makes the response to an invalid request, from its status and its fault."""


@asynccontextmanager
async def http_port(
    app: web.Application,
    listener: socket.socket,
    refuse: Refuse,
    *,
    tls: ssl.SSLContext | None = None,
    shutdown_timeout_s: float = 5.0,
) -> AsyncIterator["HttpPort"]:
    """Serve an application on a listening socket until the context exits; the caller closes the
    socket.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout_s)
    await runner.setup()

    port = HttpPort(runner, listener.dup(), refuse, tls)
    try:
        yield port
    finally:
        port.close()
        await runner.cleanup()


class HttpPort:
    """A listening socket and the connections it has brought."""

    def __init__(
        self,
        runner: web.AppRunner,
        listener: socket.socket,
        refuse: Refuse,
        tls: ssl.SSLContext | None,
    ) -> None:
        """Start accepting."""
        assert runner.server is not None, "bug: the runner is not set up"
        self.refuse = refuse
        self.connections: dict[_Connection, None] = {}
        """Oldest first."""
        self.closed = dict.fromkeys(REASONS, 0)
        """By reason."""
        # There are two such ports.
        self._max_connections = min(MAX_CONNECTIONS, max_client_connections() // 3)
        self._server = runner.server
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._acceptor = Acceptor(listener, self._accept)

    def close(self) -> None:
        """Stop accepting, and close early connections; the runner ends all others."""
        self._acceptor.close()
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            if connection.transport is None:
                connection.opening.cancel()

    def _accept(self, accepted: socket.socket) -> None:
        if len(self.connections) >= self._max_connections:
            waiting = self._longest_waiting()
            if waiting is None:
                self.closed["full"] += 1
                accepted.close()
                return

            waiting.end("displaced")
            self.connections.pop(waiting, None)

        connection = _Connection(self, self._server, self._loop)
        self.connections[connection] = None
        connection.opening = self._loop.create_task(self._open(connection, accepted))
        if self._timer is None:
            self._timer = self._loop.call_later(CHECK_EVERY_S, self._check)

    def _longest_waiting(self) -> "_Connection | None":
        silent = next((c for c in self.connections if c.is_waiting), None)
        return silent or next((c for c in self.connections if c.is_uploading), None)

    async def _open(self, connection: "_Connection", accepted: socket.socket) -> None:
        options: dict[str, Any] = (
            {} if self._tls is None else {"ssl": self._tls, "ssl_handshake_timeout": 2 * HEAD_S}
        )
        try:
            await self._loop.connect_accepted_socket(lambda: connection, accepted, **options)
        except OSError as error:
            self.closed["tls"] += 1
            log.debug("a connection was not secured: %s", error)
        finally:
            if connection.transport is None:
                self.connections.pop(connection, None)

    def _check(self) -> None:
        now_s = self._loop.time()
        for connection in list(self.connections):
            connection.check(now_s)
        if self.connections:
            self._timer = self._loop.call_later(CHECK_EVERY_S, self._check)
        else:
            self._timer = None


class _Connection(web.RequestHandler):
    """One connection, from accept on."""

    __slots__ = (
        "_body",
        "_head_bytes",
        "_port",
        "_since_s",
        "_unsent_bytes",
        "_was_sending",
        "opening",
    )

    opening: asyncio.Task[None]

    def __init__(self, port: HttpPort, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, access_log=None, keepalive_timeout=IDLE_S)  # type: ignore[arg-type]
        self._port = port
        self._since_s = loop.time()
        """Time at which the current wait began, or last made progress."""
        self._unsent_bytes = 0
        self._was_sending = False
        self._body: StreamReader = EMPTY_PAYLOAD
        """Body of the newest request, which may still be queued."""
        self._head_bytes = 0
        """Size of the next request's head so far."""

    @property
    def is_waiting(self) -> bool:
        """Return True if the connection waits for its client's next request."""
        return (
            self._current_request is None and not self._request_in_progress and not self._messages
        )

    @property
    def is_uploading(self) -> bool:
        """Return True if the connection serves a request whose body has not arrived completely."""
        return self._current_request is not None and not self._current_request.content.is_eof()

    def end(self, reason: str) -> None:
        """Close the connection, counted under one of `REASONS`."""
        self._port.closed[reason] += 1
        if self.transport is None:
            self.opening.cancel()
        else:
            self.transport.abort()

    def check(self, now_s: float) -> None:
        """Enforce the deadlines, except between two requests, where aiohttp does."""
        if self.is_waiting:
            self._was_sending = False
            if self._request_count == 0 and now_s - self._since_s >= HEAD_S:
                self.end("head")
            return

        if not self._was_sending:
            self._was_sending = True
            self._since_s = now_s
        transport = self.transport
        if self.is_uploading:
            if now_s - self._since_s >= BODY_S:
                self.end("body")
        elif transport is not None:
            unsent = unsent_bytes(transport)
            if not unsent or unsent < self._unsent_bytes:
                self._since_s = now_s
            elif now_s - self._since_s >= STALL_S:
                self.end("stall")
            self._unsent_bytes = unsent

    def data_received(self, data: bytes) -> None:
        """Pass received data on; refuse a head beyond `MAX_HEAD_BYTES`."""
        known_requests = self._request_count
        super().data_received(data)
        if self._request_count > known_requests:
            self._body = self._messages[-1][1]
            self._head_bytes = 0
        elif self._body.is_eof():
            self._head_bytes += len(data)

        if self._head_bytes > MAX_HEAD_BYTES and self.transport is not None:
            self._port.closed["head"] += 1
            reason = f"the head of a request has at most {MAX_HEAD_BYTES} bytes"
            self.transport.write(_written(self._port.refuse(431, reason)))
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._port.connections.pop(self, None)
        super().connection_lost(exc)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log aiohttp's unexpected errors; a wrongly encoded body is its client's mistake and is
        not logged.
        """
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer an invalid request in the application's format, without logging an error."""
        if status >= 500:
            log.error("bug: a request failed outside of its handler", exc_info=exc)
        shown = (message or HTTPStatus(status).phrase).partition("\n")[0].rstrip(": ")
        response = self._port.refuse(
            status, f"this is not an HTTP request: {shown}" if status == 400 else shown
        )
        response.force_close()
        return response


def _written(response: web.Response) -> bytes:
    """Return the bytes of a whole response, after which the connection closes."""
    body = response.body if isinstance(response.body, bytes) else b""
    fields = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {response.status} {response.reason}\r\n{lines}\r\n".encode() + body
