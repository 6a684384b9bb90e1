"""The state of a relay: the running exchange, shared by both directions and the functions that end
it.

The functions of this folder work on it, each file on one part of an exchange. `RelayState` is the
base of `Relay`, so that these functions and `Relay` can call each other without a circle of
imports.

The `phase` of an exchange tells its position. It also tells the side that is to move next, and so
the deadline that runs:

    begun ─► BODY ⇄ CONNECTING ⇄ WAITING ─► STREAMING, or TUNNEL ─► ENDING ─► recorded
             the request goes up            the response comes      the rest of its request is
                                            down                    waited for (P24)

A response that is here as a whole skips STREAMING. A complete request skips BODY and ENDING. A
failure leads straight to the end. `relay` moves the phase forward, `request_side` back and forth on
the way up, `ending` to its end.

The invariant: an exchange is recorded exactly once, by `record`.
"""

import asyncio
from typing import Final, Protocol

from proxy.http1.request_head import RequestHead
from proxy.http2.grpc import expires_ns, is_grpc
from proxy.ring.exchange import FLAG_TLS, Exchange
from proxy.ring.http2_notes import StreamState
from proxy.worker.admission.admission import Admission
from proxy.worker.deadlines import Deadlines, Phase
from proxy.worker.engine import Engine
from proxy.worker.exits.exit import Exit
from proxy.worker.relay.message_log import MessageLog
from proxy.worker.routes import Route
from proxy.worker.tunnel import Side, Tunnel
from proxy.worker.upstream.places import Lane


class Client(Side, Protocol):
    """The client's side of an exchange, and of a tunnel: a connection, or a stream of HTTP/2."""

    @property
    def eof_ns(self) -> int:
        """Return the time at which the client ended its side of the connection; 0 if it has not
        done so.
        """

    def take_read_ahead(self) -> bytes:
        """Remove and return the bytes that were read after the request, to send them through the
        tunnel that the request opens.
        """

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None:
        """Go on to the next request, or close.

        Pass `linger` if the client may still be sending.
        """


class _DetachedClient:
    """Stands in for a client that is gone, after its last exchange is recorded."""

    eof_ns: Final = 0
    held_bytes: Final = 0

    def pause(self, reason: int) -> None: ...

    def resume(self, reason: int) -> None: ...

    def take_read_ahead(self) -> bytes:
        return b""

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None: ...


_DETACHED_CLIENT: Final = _DetachedClient()


class RelayState:
    """The state of the running exchange, and of its client."""

    __slots__ = (
        "admission", "arriving_bytes", "body_bytes", "client", "connecting", "continued_ns", "engine", "exchange",
        "exit", "expires_ns", "flags", "has_long_body", "head", "is_continue_due", "is_grpc", "is_http2", "is_paused",
        "is_request_complete", "is_retried", "is_upload_paused", "message_log", "method", "moving_bytes", "peer",
        "phase", "request_trailers", "route", "since_ns", "stream", "tunnel", "unsent", "unsent_bytes", "upstream",
        "upstream_head",
    )  # fmt: skip

    def __init__(
        self,
        engine: Engine,
        client: Client,
        exit: Exit,
        admission: Admission,
        peer: bytes,
        *,
        is_tls: bool,
    ) -> None:
        # The client. A relay lives as long as its connection, or stream of HTTP/2.
        self.engine = engine
        self.client: Client = client
        self.exit = exit
        self.admission = admission
        self.peer = peer
        self.flags = FLAG_TLS if is_tls else 0
        self.is_paused = False
        """True if the client takes no more of the response for now."""
        self.stream: StreamState | None = None
        """The stream of a client that speaks HTTP/2; None for a client of HTTP/1.1."""
        self.is_grpc = False
        self.expires_ns = 0
        """When a gRPC call is given up, somewhat after its `grpc-timeout`; 0 without one."""
        self.message_log: MessageLog | None = None
        """Records the messages of a gRPC stream; None until the call turns out to be a stream."""

        # The exchange.
        self.exchange: Exchange | None = None
        """The running exchange; None between two of them."""
        self.method = b""
        self.head: RequestHead | None = None
        self.route: Route | None = None
        self.phase: int = Phase.IDLE
        self.since_ns = 0
        """When the phase began, or last moved."""
        self.tunnel: Tunnel | None = None

        # Its request, on the way up.
        self.is_request_complete = True
        self.is_continue_due = False
        """True if the client waits for a 100 before it sends its body."""
        self.has_long_body = False
        """True if our send buffer may still hold a part of the body, or of an earlier one."""
        self.body_bytes = 0
        """The length of a body with Content-Length; negative for a chunked one."""
        self.continued_ns = 0
        """When the newest 100 came, possibly for an earlier request."""
        self.upstream_head = b""
        """The head for the upstream, as text of HTTP/1.1."""
        self.request_trailers = b""
        self.is_http2 = False
        """True if the request goes to its upstream by HTTP/2."""
        self.upstream: Lane | None = None
        """The lane that carries the exchange; None before it is lent, and after its return."""
        self.connecting: asyncio.Task[None] | None = None
        """The task that opens an upstream connection, while it runs."""
        self.is_retried = False
        self.unsent: list[bytes] = []
        """Bytes that wait for an upstream connection."""
        self.unsent_bytes = 0
        self.is_upload_paused = False
        """True if the upstream takes no more of the request for now."""
        self.arriving_bytes = self.moving_bytes = 0
        """Values at the last tick: the bytes here of an incomplete DATA frame of the body; and the
        bytes on their way to or from the upstream that no event reports.
        """

    @property
    def is_responding(self) -> bool:
        """Return True if the response has begun, so that the client may have received a part of it."""
        return self.phase >= Phase.STREAMING

    @property
    def is_answered(self) -> bool:
        """True if all of the response is sent, and the record waits for the rest of the request
        (P24).
        """
        return self.phase == Phase.ENDING

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of the newest request's route; before the first request, those of the
        engine.
        """
        if self.route is None:
            return self.engine.deadlines
        return self.route.deadlines

    def note_grpc(self, state: StreamState, lines: bytes, now_ns: int) -> None:
        """Note if a request with these field lines is a gRPC call, and how long its client waits."""
        if is_grpc(lines):
            state.count_messages()
            self.is_grpc = True
            self.expires_ns = expires_ns(lines, now_ns)

    def record(self, exchange: Exchange, now_ns: int) -> None:
        """Record the running exchange; afterwards the relay is free for the next one."""
        self.exchange = None
        self.phase = Phase.IDLE
        self.engine.in_flight.discard(exchange)
        self.engine.recorder.finish(exchange, now_ns)

    def drop_upstream(self) -> None:
        """Close the upstream lane, or give up opening one."""
        self.unsent = []
        if self.connecting is not None:
            self.connecting.cancel()
            self.connecting = None
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def detach(self) -> None:
        """Drop the reference to a client that is gone, if no exchange runs.

        The client refers to its relay: both would wait as a cycle for a garbage collection, and
        these are rare.
        """
        if self.exchange is None:
            self.client = _DETACHED_CLIENT
