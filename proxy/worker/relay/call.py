"""The state of one exchange at a time, which both directions and its end share: what each does is
in a file of its own.

The state of an exchange is its `phase`, which also says whose turn it is, and so whose clock runs:

    begun ─► BODY ⇄ CONNECTING ⇄ WAITING ─► STREAMING, or TUNNEL ─► ENDING ─► recorded
             the request goes up            the response comes      the rest of its request is
                                            down                    waited for (P24)

A response that is here as a whole skips STREAMING, a request that is complete skips BODY and
ENDING; whatever fails goes to the end. `relay` moves it forward, `request_side` back and forth on the
way up, `ending` to its end.

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
    """What a relay asks of its client's side, which is a side of a tunnel too."""

    @property
    def eof_ns(self) -> int:
        """When the client ended its side; 0: not yet."""

    def take_read_ahead(self) -> bytes:
        """Return what was read behind the request; it is not read as requests any more."""

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None:
        """Go on to the next request, or close; `linger`: the client may still be sending."""


class _DetachedClient:
    """Stands in for a client that is gone and whose exchanges are all recorded."""

    eof_ns: Final = 0
    held_bytes: Final = 0

    def pause(self, reason: int) -> None: ...

    def resume(self, reason: int) -> None: ...

    def take_read_ahead(self) -> bytes:
        return b""

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None: ...


_DETACHED_CLIENT: Final = _DetachedClient()


class Call:
    """What is known of the exchange that runs, and of the client that it is for."""

    __slots__ = (
        "admission", "body_bytes", "client", "connecting", "continued_ns", "engine", "exchange", "exit", "expires_ns",
        "flags", "has_long_body", "head", "is_continue_due", "is_grpc", "is_http2", "is_paused",
        "is_request_complete", "is_retried", "is_upload_paused", "message_log", "method", "peer",
        "phase", "request_trailers", "route", "since_ns", "stream", "tunnel", "unsent", "unsent_bytes", "upload_bytes",
        "upstream", "upstream_head",
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
        # of the client
        self.engine = engine
        self.client: Client = client
        self.exit = exit
        self.admission = admission
        self.peer = peer
        self.flags = FLAG_TLS if is_tls else 0
        self.is_paused = False
        """Whether the client takes no more of the response for now."""
        self.stream: StreamState | None = None
        """Of a client that speaks HTTP/2."""
        self.is_grpc = False
        self.is_http2 = False
        """Whether it is a call of gRPC, and whether what runs goes to its upstream by HTTP/2."""
        self.expires_ns = 0
        """When a call of gRPC is waited for no more; 0: its client did not say."""
        self.message_log: MessageLog | None = None  # of a stream of gRPC
        # of the exchange
        self.exchange: Exchange | None = None
        """What runs; None between two exchanges."""
        self.method = b""
        self.head: RequestHead | None = None
        self.route: Route | None = None
        self.phase: int = Phase.IDLE
        self.since_ns = 0
        """When the phase began, or last moved."""
        self.tunnel: Tunnel | None = None
        # of its request
        self.is_request_complete = True
        self.is_continue_due = False
        self.has_long_body = False
        self.body_bytes = 0
        self.continued_ns = 0
        """When the newest 100 came, maybe for an earlier request."""
        self.upstream_head = b""
        self.request_trailers = b""
        self.upstream: Lane | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.is_retried = False
        self.unsent: list[bytes] = []
        """What waits for an upstream."""
        self.unsent_bytes = 0
        self.is_upload_paused = False
        """Whether the upstream takes no more of the request for now."""
        self.upload_bytes = 0
        """What was under way to the upstream when it was last looked at."""

    @property
    def is_responding(self) -> bool:
        """Whether the client has a part of the response, or all of it."""
        return self.phase >= Phase.STREAMING

    @property
    def is_answered(self) -> bool:
        """Whether all of a response is sent, and its record waits for more of the request (P24)."""
        return self.phase == Phase.ENDING

    @property
    def deadlines(self) -> Deadlines:
        """Those of the route of the request that runs, or ran last."""
        if self.route is None:
            return self.engine.deadlines
        return self.route.deadlines

    def note_grpc(self, state: StreamState, lines: bytes, now_ns: int) -> None:
        """Note whether a request with these lines is a call of gRPC, and until when its client
        waits.
        """
        if is_grpc(lines):
            state.count_messages()
            self.is_grpc = True
            self.expires_ns = expires_ns(lines, now_ns)

    def record(self, exchange: Exchange, now_ns: int) -> None:
        self.exchange = None
        self.phase = Phase.IDLE
        self.engine.in_flight.discard(exchange)
        self.engine.recorder.finish(exchange, now_ns)

    def drop_upstream(self) -> None:
        self.unsent = []
        if self.connecting is not None:
            self.connecting.cancel()
            self.connecting = None
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def detach(self) -> None:
        """Hold the client no longer, which holds us: what is in a cycle waits for a collection, and
        those are rare.
        """
        if self.exchange is None:
            self.client = _DETACHED_CLIENT
