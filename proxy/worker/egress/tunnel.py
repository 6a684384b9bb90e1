"""A tunnel that is not read: bytes both ways, how many there were, and how it ended.

Each side is read as fast as the other takes what comes. The end of one side is passed on as such,
and a reset as a reset; a tunnel that is open on one side only ends after a minute in which nothing
moves. It is one exchange, in flight as long as it is open, so that a kill leaves no hole.
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, cast

from proxy.egress.client_hello import HANDSHAKE, ClientHello, read_client_hello
from proxy.network.pacing import TURN_BYTES
from proxy.network.sockets import PIECE_BYTES, reset
from proxy.ring.body_window import Window
from proxy.ring.exchange import ERROR_INDEX, NOTE_TUNNEL, OK, Exchange
from proxy.worker.engine import Engine
from proxy.worker.relay.ending import CLIENT_CLOSED, SHUTDOWN, TRUNCATED

HALF_OPEN_NS: Final = 60_000_000_000
"""How long a tunnel stays whose one side has ended, without a byte of the other."""


class Tunnel:
    """Both sides of one tunnel, as one connection of the engine."""

    has_been_served: Final = True
    waits_since_ns: Final = 0

    def __init__(
        self, engine: Engine, exchange: Exchange, peer: bytes, why: str, hello: ClientHello | None
    ) -> None:
        """Begin without transports.

        Args:
            engine: which counts it as the connection of its client.
            exchange: the exchange of CONNECT, which is in flight.
            peer: the client's address.
            why: why it is not read, as records show it.
            hello: the client's, where it was seen; else it is looked for in the first bytes.
        """
        self.engine = engine
        self._exchange = exchange
        self._peer = peer
        self._why = why
        self._hello = hello
        self._first: bytes | None = b"" if hello is None else None
        """The client's first bytes, as long as they may be a hello."""
        self.client = _Side(self)
        self.upstream = _Side(self)
        self.client.other = self.upstream
        self.upstream.other = self.client
        self._since_ns = 0
        """When a half-open tunnel last moved; 0: it is not half-open."""
        self._moved_bytes = 0
        self._is_recorded = False

    # What the sides report.

    def look(self, side: "_Side", data: bytes) -> None:
        """Look for a hello in the client's first bytes."""
        if side is not self.client or self._first is None:
            return
        self._first += data
        try:
            self._hello = read_client_hello(self._first)
        except ValueError:
            self._first = None
            return
        if self._hello is not None or self._first[0] != HANDSHAKE:
            self._first = None

    def ended(self) -> None:
        """Note that a side sends no more; the end of both is the end of the tunnel."""
        self._since_ns = time.monotonic_ns()
        if self.client.has_ended and self.upstream.has_ended:
            self._record(OK)
            self.client.close()
            self.upstream.close()

    def lost(self, side: "_Side", error: Exception | None) -> None:
        """Pass the loss of a side on: a reset as a reset."""
        if side is self.client:
            self.engine.unregister(self, self._peer)
        if error is None:
            self._record(OK)
            side.other.close()
            return

        if side is self.client:
            self._record(CLIENT_CLOSED)
        else:
            self._record(TRUNCATED, "upstream_reset")
        side.other.reset()

    def _record(self, outcome: int, code: str = "") -> None:
        """Record the exchange, once."""
        if self._is_recorded:
            return
        self._is_recorded = True
        exchange = self._exchange
        now_ns = time.monotonic_ns()
        exchange.outcome = outcome
        exchange.error = ERROR_INDEX[code]
        exchange.request_body = self.client.window
        exchange.response_body = self.upstream.window
        exchange.done_ns = now_ns - exchange.started_ns
        exchange.note(NOTE_TUNNEL, tunnel_note(self._why, self._hello, self._ended_by))
        self.engine.in_flight.discard(exchange)
        self.engine.recorder.finish(exchange, now_ns)

    @property
    def _ended_by(self) -> str:
        """Which side ended first."""
        sides = (("client", self.client), ("upstream", self.upstream))
        ended = [(side.ended_ns, name) for name, side in sides if side.has_ended]
        return min(ended, default=(0, ""))[1]

    # What the engine asks of a connection.

    @property
    def is_flushing(self) -> bool:
        return self.client.unsent_bytes > 0

    def check(self, now_ns: int) -> None:
        """End a half-open tunnel in which nothing has moved for long."""
        moved = self.client.window.size + self.upstream.window.size
        if moved != self._moved_bytes:
            self._moved_bytes = moved
            if self._since_ns:
                self._since_ns = now_ns
        elif 0 < self._since_ns <= now_ns - HALF_OPEN_NS:
            self._record(OK)
            self.client.reset()
            self.upstream.reset()

    def evict(self, reason: str) -> None:
        """Do nothing: it never waits for a request."""

    def is_expected(self, since_ns: int) -> bool:
        return False

    def close_if_idle(self, since_ns: int) -> None:
        """Do nothing: whether it is idle cannot be seen."""

    def abort_for_shutdown(self) -> None:
        """Record it as `shutdown`, and close both sides."""
        self._record(SHUTDOWN)
        self.client.reset()
        self.upstream.reset()


class _Side(asyncio.Protocol):
    """One side: what comes from it goes to the other."""

    other: "_Side"

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._transport: asyncio.Transport | None = None
        self.window = Window(0, 0)
        """Counts what came from it."""
        self.ended_ns = 0
        """When it sent its end, or was lost; 0: not yet."""
        self._is_other_full = False
        self._awaits_turn = False
        self._postponed: list[Callable[[], None]] = []
        """What is to be done once there is a transport: the other side may be read before, since
        uvloop begins to read whatever `connection_made` says.
        """

    @property
    def has_ended(self) -> bool:
        return self.ended_ns > 0

    @property
    def unsent_bytes(self) -> int:
        """What was written to it and is still with us."""
        if self._transport is None:
            return 0
        return self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, do what was postponed, and let the other side be read."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=PIECE_BYTES)
        for act in self._postponed:
            act()
        self._postponed.clear()
        self.other.read_on()

    def read_on(self) -> None:
        """Read, if nothing speaks against it."""
        own = self._transport
        is_held = self._is_other_full or self._awaits_turn or self.other._transport is None
        if own is not None and not is_held and not own.is_closing():
            own.resume_reading()

    def _stop_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; after a long read the others have their turn (P23)."""
        self.window.add(data)
        self._tunnel.look(self, data)
        self.other.write(data)
        if self.other._transport is None:
            self._stop_reading()
        elif len(data) >= TURN_BYTES:
            self._awaits_turn = True
            self._stop_reading()
            self._tunnel.engine.turns.add(self)

    def take_turn(self) -> None:
        self._awaits_turn = False
        self.read_on()

    def write(self, data: bytes) -> None:
        """Send bytes of the other side."""
        if self._transport is None:
            self._postponed.append(partial(self.write, data))
        elif not self._transport.is_closing():
            self._transport.write(data)

    def write_end(self) -> None:
        """Pass on that the other side sends no more."""
        if self._transport is None:
            self._postponed.append(self.write_end)
        elif not self._transport.is_closing():
            with suppress(OSError):  # it is reset already
                self._transport.write_eof()

    def pause_writing(self) -> None:
        """Read no more of the other side: this one takes nothing for now."""
        self.other._is_other_full = True
        self.other._stop_reading()

    def resume_writing(self) -> None:
        self.other._is_other_full = False
        self.other.read_on()

    def eof_received(self) -> bool:
        """Pass the end of this side on; the other may still send."""
        self.ended_ns = time.monotonic_ns()
        self.other.write_end()
        self._tunnel.ended()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.ended_ns = self.ended_ns or time.monotonic_ns()
        self._tunnel.lost(self, error)

    def close(self) -> None:
        """Close it behind what was written to it."""
        if self._transport is None:
            self._postponed.append(self.close)
        else:
            self._transport.close()

    def reset(self) -> None:
        """End it at once, visibly."""
        own = self._transport
        if own is None:
            self._postponed.append(self.reset)
        elif not own.is_closing():
            reset(own)


def tunnel_note(why: str, hello: ClientHello | None, ended_by: str) -> bytes:
    """Return what is noted of a tunnel, as JSON: members that are not known are left out."""
    found: dict[str, object] = {"why": why}
    if hello is not None and hello.server_name:
        found["sni"] = hello.server_name
    if hello is not None and hello.protocols:
        found["alpn"] = hello.protocols
    if ended_by:
        found["ended_by"] = ended_by
    return json.dumps(found).encode()
