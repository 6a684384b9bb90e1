"""One HTTP/1.1 connection of a client: its transport, its deadlines, and the back-pressure between
both sides.

Strategy: bytes go to a pure reader (`http1/request_reader.py`) that returns requests. Each request
is passed to the relay, and the relay owns the exchange until the response is out. Pipelined
requests wait in the reader's bounded buffer (RFC 9112 §9.3.2, P20). The invariant: one exchange at
a time, and bytes that do not frame exactly are refused before any of them reaches an upstream.
"""

import asyncio
import time
from typing import Final, cast

from proxy.http1.errors import Refused, error_response
from proxy.http1.forwarded import peer_address
from proxy.http1.request_reader import RequestReader
from proxy.network.pacing import (
    BY_CLIENT,
    BY_TURN,
    BY_UNSENT,
    BY_UPSTREAM,
    HELD_BYTES,
    TURN_BYTES,
    TURN_NS,
)
from proxy.network.sockets import is_reset_by_peer, unsent_bytes
from proxy.worker.admission.admission import Admission, admission_of
from proxy.worker.closing_connection import ClosingConnection
from proxy.worker.deadlines import (
    HALF_CLOSE_NS,
    LINGER_NS,
    MAX_READ_AHEAD_BYTES,
    Phase,
)
from proxy.worker.engine import Engine
from proxy.worker.exits.http1 import Http1Exit
from proxy.worker.http2_downstream import Http2Downstream
from proxy.worker.relay.ending import (
    abandon_unread,
    lose_client,
    refuse,
    refuse_unread,
    shut_down,
)
from proxy.worker.relay.relay import Relay
from proxy.worker.relay.request_side import forward_body
from proxy.worker.relay.timing import check_deadlines
from proxy.worker.relay.tunnel_side import forward_eof, forward_tunnel

_LATE_PREFACE: Final = "HTTP/2 has to begin a connection, and this one began with HTTP/1.1"


class Downstream(ClosingConnection, asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_admission", "_engine", "_eof_ns", "_exit", "_held_ns", "_is_leaving", "_is_lost", "_is_reading", "_peer",
        "_phase", "_reader", "_relay",
    )  # fmt: skip

    _reader: RequestReader
    _exit: Http1Exit
    _relay: Relay

    def __init__(
        self, engine: Engine, peer: bytes = b"", admission: Admission | None = None
    ) -> None:
        """Serve for an engine.

        Args:
            engine: the state that all connections share.
            peer: the client's address, if a TLS or PROXY port has learnt it already.
            admission: admits the requests; None for the usual admission by routes.
        """
        super().__init__(engine.turns)
        self._engine = engine
        self._admission = admission
        self._peer = peer
        self._phase: int = Phase.FRESH
        """The phase of the connection between two exchanges."""
        self._eof_ns = 0
        """When the client ended its side; 0: not yet."""
        self._held_ns = 0
        """Since when the next request waits for recording (P30); 0 if it does not wait."""
        self._is_reading = False
        """True if `_read_requests` runs: it goes on by itself when an exchange ends within it."""
        self._is_leaving = False
        """True if the client has left with nothing under way, and waits for its turn to be closed.
        """
        self._is_lost = False
        """True if the transport is gone."""

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; above the limit of connections, respond 503 and close, unread and
        unrecorded.
        """
        own = cast(asyncio.Transport, transport)
        self._transport = own
        engine = self._engine
        if not self._peer:
            self._peer = peer_address(transport.get_extra_info("peername"))
        is_tls = transport.get_extra_info("sslcontext") is not None
        self.held_bytes = HELD_BYTES if is_tls else 0
        admission = self._admission or admission_of(engine, self._peer, is_tls=is_tls)
        self._reader = engine.request_reader(is_tls=admission.takes_https)
        self._exit = Http1Exit(engine, own)
        self._relay = Relay(engine, self, self._exit, admission, self._peer, is_tls=is_tls)
        self._since_ns = time.monotonic_ns()

        refusal = engine.register(self, self._peer)
        if refusal:
            head, body = error_response("overloaded", refusal, close=True)
            self._phase = Phase.LINGERING
            own.write(head + body)
            own.close()
            if is_tls:  # otherwise only the peer's TLS layer would end the connection
                asyncio.get_running_loop().call_later(LINGER_NS / 1e9, own.abort)

    def connection_lost(self, error: Exception | None) -> None:
        """Count the connection out; record the running exchange, as its client is gone."""
        self._engine.unregister(self, self._peer)
        if self._relay.exchange is not None:
            lose_client(self._relay)
        elif self._phase == Phase.HEAD and self._reader.buffer:
            abandon_unread(self._relay, self._reader, time.monotonic_ns())

        self._phase = Phase.LINGERING
        self._is_lost = True
        self._relay.detach()

    @property
    def eof_ns(self) -> int:
        """Return the time at which the client ended its side of the connection; 0 if it has not
        done so.
        """
        return self._eof_ns

    def eof_received(self) -> bool:
        """Note that the client sends no more; a complete request still gets its response, for a
        while (`HALF_CLOSE_NS`).
        """
        relay = self._relay
        # TLS ends both sides at once: the loop logs a warning if the transport is kept.
        if not self._transport.can_write_eof():
            if not self._stalled_ns:
                # The client may never receive the bytes that the loop still has for it.
                self._time_stall()
            return False

        if relay.exchange is None:
            # Requests that wait for recording, or for the client to read, come first.
            if not (self._stalled_ns or self._held_ns) or not self._reader.buffer:
                self._is_leaving = True
                self._engine.leaving.add(self)
                return True
        elif not relay.is_request_complete:
            return False

        self._eof_ns = time.monotonic_ns()
        forward_eof(relay)
        return True

    @property
    def waits_since_ns(self) -> int:
        """Return the time since which the connection has waited for a request or the rest of a
        head, or lingers with a client that receives nothing; 0 while it is busy.
        """
        if self._is_lingering:
            return self._stalled_ns
        is_waiting = self._relay.exchange is None and self._phase in (
            Phase.FRESH,
            Phase.IDLE,
            Phase.HEAD,
        )
        if is_waiting and not (self._stalled_ns or self._held_ns):
            return self._since_ns

        return 0

    @property
    def has_been_served(self) -> bool:
        """Return True if the connection has served a request and waits for the next one."""
        return self._phase == Phase.IDLE

    def evict(self, reason: str) -> None:
        """Close now to make room for a new connection; half a head is refused and recorded."""
        if self._phase == Phase.HEAD:
            refuse_unread(
                self._relay, self._reader, Refused("overloaded", reason), time.monotonic_ns()
            )

        self._phase = Phase.LINGERING
        self._engine.unregister(self, self._peer)
        self._transport.abort()

    def is_expected(self, since_ns: int) -> bool:
        """True if a request is probably on its way: the connection, or a head, began after
        `since_ns`.
        """
        is_beginning = self._relay.exchange is None and self._phase in (Phase.FRESH, Phase.HEAD)
        return is_beginning and self._since_ns >= since_ns

    def close_if_idle(self, since_ns: int) -> None:
        """Drain: close now if nothing is under way or expected, otherwise after the next exchange
        (P29).
        """
        self._exit.is_keep_alive = False
        is_idle = (
            self._relay.exchange is None
            and self._phase in (Phase.IDLE, Phase.FRESH)
            and not self._held_ns
        )
        if is_idle and not self.is_expected(since_ns):
            self._close(linger=unsent_bytes(self._transport) > 0)

    def abort_for_shutdown(self) -> None:
        """Record the running exchange as `shutdown`, and close: the time for draining is over."""
        self._phase = Phase.LINGERING
        if shut_down(self._relay):
            self._exit.break_off()
        else:
            self._transport.abort()

    def _close(self, *, linger: bool) -> None:
        """Close after the bytes that are written.

        Pass `linger` if the client may be sending: a reset would destroy bytes under way (P16).
        """
        self._phase = Phase.LINGERING
        self._reader.buffer = b""
        if self._is_lost:
            self._relay.detach()
        if self._eof_ns or not linger or self._transport.is_closing():
            self._close_once()
            return

        self._linger()

    # Time.

    def check(self, now_ns: int) -> None:
        """Close the connection or end its exchange if a time limit has passed. The engine's tick
        calls this.
        """
        deadlines = self._engine.deadlines
        relay = self._relay
        if relay.is_answered:
            check_deadlines(relay, now_ns)
        if self._stalled_ns:
            self._check_stall(now_ns, relay)
        elif (self._eof_ns or self._paused) and self._has_left(now_ns):
            self._transport.abort()
        elif relay.exchange is not None:
            check_deadlines(relay, now_ns)
        else:
            # Thousands of connections may be idle: they must not each keep their last body.
            self._reader.body = b""
            if (
                deadlines.is_over(self._phase, self._since_ns, now_ns)
                and not self._transport.is_closing()
            ):
                self._end_waiting(now_ns)

    def _end_waiting(self, now_ns: int) -> None:
        """Refuse a head that is incomplete after its time; close if no head began."""
        if self._phase == Phase.HEAD:
            limit = self._engine.deadlines.describe(Phase.HEAD)
            refusal = Refused(
                "timeout_headers", f"timed out waiting for the request head ({limit})"
            )
            refuse_unread(self._relay, self._reader, refusal, now_ns)
        else:
            self._close(linger=unsent_bytes(self._transport) > 0)

    def _has_left(self, now_ns: int) -> bool:
        """Return True if the client is gone.

        That is so some time after it ended its side, or if it reset a connection that is not being
        read (P15).
        """
        if (
            self._eof_ns
            and self._relay.exchange is not None
            and now_ns - self._eof_ns >= HALF_CLOSE_NS
        ):
            return True

        return self._paused > 0 and is_reset_by_peer(self._transport)

    # Back-pressure.

    @property
    def _has_more(self) -> bool:
        return self._reader.has_more_body and self._relay.exchange is not None

    def _read_in_hand(self) -> None:
        if self._relay.exchange is None:
            if self._reader.buffer and not self._stalled_ns and self._phase != Phase.LINGERING:
                self._go_on()
        elif self._reader.has_more_body:
            self._read_body(b"")

    def _await_turn(self, in_hand: int) -> None:
        """Leave the rest for another turn, unless input is being discarded."""
        if self._phase != Phase.LINGERING and not self._transport.is_closing():
            super()._await_turn(in_hand)

    def take_turn(self) -> None:
        """Close if the client has left; otherwise go on, unless the transport is closing."""
        if self._is_leaving:
            self._close_once()
        elif not self._transport.is_closing():
            super().take_turn()

    def pause_writing(self) -> None:
        """Stop reading from the upstream: the client receives nothing for now."""
        self._time_stall()
        self._relay.pause_response()

    def resume_writing(self) -> None:
        """Read from the upstream again; if the connection is closing, start the time of its stall
        anew.
        """
        self._end_stall()
        self._relay.resume_response()
        if self._relay.exchange is None and self._reader.buffer and self._phase != Phase.LINGERING:
            self._go_on()

    # Requests.

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client: a head, a body, or the next requests."""
        relay = self._relay
        if relay.exchange is None:
            if self._phase == Phase.LINGERING:
                self._discard(len(data))
            elif self._stalled_ns or self._held_ns:
                self._hold(data)
            else:
                self._read_requests(data)
                if len(data) >= TURN_BYTES and not self._paused:
                    self._await_turn(self._reader.in_hand)
        elif relay.tunnel is not None:
            forward_tunnel(relay, relay.tunnel, data)
            if len(data) >= TURN_BYTES:
                self._await_turn(0)
        elif relay.is_request_complete:
            self._hold(data)
        else:
            self._read_body(data)

    def _hold(self, data: bytes) -> None:
        """Keep bytes for later: a request runs or waits, or the client does not receive earlier
        responses.
        """
        self._reader.buffer += data
        if len(self._reader.buffer) > MAX_READ_AHEAD_BYTES and not self._held_ns:
            self.pause(BY_CLIENT)

    def _read_requests(self, data: bytes) -> None:
        """Begin requests until one of them runs, bytes or time are used up, or the client receives
        no responses.

        The time matters because refused requests do not wait for an upstream: one read may bring
        thousands (P23).
        """
        reader = self._reader
        relay = self._relay
        self._is_reading = True
        start_ns = time.monotonic_ns()

        now_ns = start_ns
        while not self._has_to_wait(data, now_ns, start_ns):
            waited_ns = now_ns - self._held_ns if self._held_ns else 0
            self._held_ns = 0
            try:
                head = reader.read_head(data)
            except Refused as refusal:
                self._refuse_head(refusal, data, now_ns)
                break

            if head is None:
                self._await_head(now_ns)
                break

            relay.begin(reader, head, now_ns, waited_ns)
            if not reader.buffer:
                break

            if reader.is_body_due:
                self._read_body(b"")
            if (
                relay.exchange is not None
                or self._phase == Phase.LINGERING
                or self._stalled_ns
                or not reader.buffer
            ):
                break

            data = b""
            now_ns = time.monotonic_ns()

        self._is_reading = False
        if relay.exchange is not None and len(reader.buffer) > MAX_READ_AHEAD_BYTES:
            # One read of the loop may bring more than the limit.
            self.pause(BY_CLIENT)

    def _refuse_head(self, refusal: Refused, data: bytes, now_ns: int) -> None:
        """Refuse a head of `buffer` and `data`, unless it is the preface of HTTP/2."""
        reader = self._reader
        if refusal.code == "http2_unsupported" and self._may_speak_http2:
            self._speak_http2(reader.buffer + data)
            return
        if refusal.code == "http2_unsupported" and self._engine.http2 is not None:
            refusal = Refused(refusal.code, _LATE_PREFACE)
        refuse_unread(self._relay, reader, refusal, now_ns)

    @property
    def _may_speak_http2(self) -> bool:
        """True if the client may switch to HTTP/2 with its first bytes (RFC 9113 §3.3); over TLS,
        ALPN decides.
        """
        return self._engine.http2 is not None and not self._relay.method

    def _speak_http2(self, data: bytes) -> None:
        """Hand the transport, and the bytes read from it, to an HTTP/2 connection."""
        shared = self._engine.http2
        assert shared is not None
        self._phase = Phase.LINGERING
        other = Http2Downstream(
            self._engine, shared, self._peer, self._since_ns, self._relay.admission
        )
        self._engine.hand_over(self, other)
        self._relay.detach()
        self._transport.set_protocol(other)
        other.connection_made(self._transport)
        if data:
            other.data_received(data)

    def _has_to_wait(self, data: bytes, now_ns: int, start_ns: int) -> bool:
        """Return True if the request that begins with `data` has to wait for another turn, or for
        recording (P30); then its wait is arranged.
        """
        if now_ns - start_ns >= TURN_NS:
            self._await_turn(self._reader.in_hand)
            return True
        if self._held_ns or self._phase == Phase.HEAD:
            return False

        # The preface of HTTP/2 does not wait, only its requests do.
        wait_ns = self._engine.pace.request_wait_ns(now_ns)
        if not wait_ns or data.startswith(b"PRI "):
            return False

        self._reader.buffer += data
        self._held_ns = now_ns
        # With BY_TURN the end of the wait first reads the bytes in hand, then the socket.
        self.pause(BY_TURN)
        self._engine.pace.hold(self, now_ns, wait_ns)
        return True

    def _await_head(self, now_ns: int) -> None:
        """Wait for the rest of a head; the first head shares the time of its connection (P17)."""
        if not self._reader.buffer:
            # These are empty lines, and a request has not begun.
            return
        if self._phase != Phase.HEAD:
            if self._phase != Phase.FRESH:
                self._since_ns = now_ns
            self._phase = Phase.HEAD

    def _read_body(self, data: bytes) -> None:
        """Forward the body bytes in `data` and the buffer."""
        reader = self._reader
        try:
            body = reader.read_body(data)
        except Refused as refusal:
            refuse(self._relay, refusal)
            return

        forward_body(self._relay, body, reader.trailers, is_last=not reader.is_body_due)
        if reader.has_more_body or len(data) >= TURN_BYTES:
            self._await_turn(reader.in_hand)

    def take_read_ahead(self) -> bytes:
        """Remove and return the bytes that were read after the request, to send them through the
        tunnel that the request opens.
        """
        data = self._reader.buffer
        self._reader.buffer = b""
        self.resume(BY_CLIENT)
        return data

    def exchange_ended(self, now_ns: int, *, linger: bool) -> None:
        """Go on to the next request, or close.

        Pass `linger` if the client may still be sending.
        """
        if linger or not self._exit.is_keep_alive:
            # The client may send more if it sent ahead, or does not know that this response is the
            # last.
            self._close(linger=linger or bool(self._reader.buffer) or not self._engine.keeps_alive)
            return

        self._phase = Phase.IDLE
        self._since_ns = now_ns
        if self._paused:
            self.resume(BY_CLIENT | BY_UPSTREAM | BY_UNSENT)
        if self._engine.is_draining:
            self._close(linger=True)
        elif self._reader.buffer:
            if not self._is_reading and not self._stalled_ns:
                self._go_on()
        elif self._eof_ns:
            self._close(linger=False)

    def _go_on(self) -> None:
        """Begin the requests in the buffer; close if the client sends no more."""
        self.resume(BY_CLIENT)
        self._read_requests(b"")
        if not self._eof_ns or self._relay.exchange is not None or self._stalled_ns:
            return

        if self._phase == Phase.HEAD:
            abandon_unread(self._relay, self._reader, time.monotonic_ns())
        elif self._reader.buffer:
            return  # another turn reads them

        self._close(linger=False)
