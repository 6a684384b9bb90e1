"""The recorder: gives each exchange an id and times; at its end, pushes it into the ring and counts
it.

A worker does four things with a record, all of them here: copy bytes into the ring, stamp an id,
stamp the clock, count. A full ring refuses a record and counts it; the request never fails.
"""

import secrets
import time
from functools import partial
from struct import Struct
from typing import Final

from proxy.http1.websocket_frames import Message
from proxy.ring.counters import NO_LABEL, CounterLayout, http2_code
from proxy.ring.entry import PREFIX_BYTES
from proxy.ring.exchange import (
    ACCESS,
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    KIND_EXCHANGE,
    NO_ROUTE,
    Exchange,
)
from proxy.ring.inflight import Caller, InflightWriter
from proxy.ring.lean_room import LeanRoom
from proxy.ring.message import FIXED, KIND_GRPC, KIND_WEBSOCKET, encode_message
from proxy.ring.ring import RingWriter
from proxy.worker.recording_pace import RecordingPace, Share

_CLOCK_READINGS: Final = 3
"""Most readings of both clocks in one sample."""
_CLOCK_CLOSE_NS: Final = 100_000
"""Two readings within this time count as simultaneous."""

_ID: Final = Struct(">QQ")
_VARIANT: Final = 1 << 63
"""The bits of a UUID's variant (RFC 9562 §4.1)."""

MESSAGE_PART: Final = 10
"""Messages hold at most a tenth of the ring, so that they cannot push out exchanges."""

NO_SLOT: Final = -2
"""The slot of an exchange that is not in the table: the table was full, or it is not recorded."""

_MESSAGE_BYTES: Final = FIXED.size + ACCESS.size + PREFIX_BYTES
"""Bytes of a message's entry without its text, session and trace context."""


class Recorder:
    """Begins exchanges and records them."""

    __slots__ = (
        "_base",
        "_cells",
        "_counter",
        "_inflight",
        "_layout",
        "_message_share",
        "_offset_ns",
        "_ring",
    )

    def __init__(
        self,
        ring: RingWriter,
        cells: "memoryview[int]",
        layout: CounterLayout,
        inflight: InflightWriter,
    ) -> None:
        """Write to the three areas of one segment; `cells` are the u64 counters that `layout`
        describes.
        """
        self._ring = ring
        self._message_share = Share(ring, ring.capacity // MESSAGE_PART)
        self._cells = cells
        self._layout = layout
        self._inflight = inflight
        self._base = _VARIANT | secrets.randbits(42) << 20
        """The lower half of all ids, up to their counter: random, so that processes differ."""
        self._counter = 0
        """The lowest 20 bits of the newest id."""
        self._offset_ns = 0
        """The wall clock minus the monotonic one."""
        self.sample_clock()

    def sample_clock(self) -> None:
        """Compare wall and monotonic clock; called once a second, to follow changes of the wall
        clock.

        The process may lose its core between two readings, and records would get a wrong date:
        therefore the closest of a few readings counts.
        """
        best_ns: int | None = None
        for _ in range(_CLOCK_READINGS):
            before_ns = time.monotonic_ns()
            wall_ns = time.time_ns()
            taken_ns = time.monotonic_ns() - before_ns
            if best_ns is None or taken_ns < best_ns:
                best_ns = taken_ns
                self._offset_ns = wall_ns - before_ns - taken_ns // 2
            if taken_ns <= _CLOCK_CLOSE_NS:
                break

    def begin(self, now_ns: int, client: bytes) -> Exchange:
        """Start an exchange at the monotonic `now_ns`, with a fresh UUIDv7 (RFC 9562 §5.7)."""
        wall_ns = now_ns + self._offset_ns
        record_id = self._new_id(wall_ns)
        text = record_id.hex()
        id_text = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()
        return Exchange(record_id, id_text, now_ns, wall_ns, client)

    def _new_id(self, wall_ns: int) -> bytes:
        ms, rest_ns = divmod(wall_ns, 1_000_000)
        self._counter = (self._counter + 1) & 0xF_FFFF
        return _ID.pack(ms << 16 | 0x7000 | rest_ns * 4096 // 1_000_000, self._base | self._counter)

    def finish(self, exchange: Exchange, now_ns: int) -> None:
        """Record an exchange just before its last bytes are released, or once its end is known."""
        exchange.ended_ns = now_ns - exchange.started_ns
        layout = self._layout
        cells = self._cells
        if exchange.route != NO_ROUTE:
            route = exchange.route
        else:
            route = layout.no_route
        cells[layout.request_cell(route, exchange.method, exchange.status)] += 1
        window = exchange.request_body
        size = len(exchange.request_whole) if window is None else window.size
        if size:
            cells[layout.request_bytes + route] += size
        window = exchange.response_body
        size = len(exchange.response_whole) if window is None else window.size
        if size:
            cells[layout.response_bytes + route] += size
        if exchange.is_recorded:
            ring = self._ring
            header, sections = exchange.encode(ring.pressure())
            ring.push(KIND_EXCHANGE, header, sections)

        if exchange.slot >= 0:
            # The slot is cleared after the push. If the process is killed in between, the exchange
            # is in both and is stored once; in the other order it would be in neither.
            self._inflight.clear(exchange.slot)
            exchange.slot = -1

    def message(
        self, exchange: Exchange, direction: int, message: Message, traceparent: bytes,
        *, kind: int = KIND_WEBSOCKET, session: bytes = b"", keeps_text: bool = True, follows_gap: bool, at_ns: int = 0,
        opening: bytes = b"",
    ) -> bool:  # fmt: skip
        """Record a message; under pressure, the ring gets it without its text.

        Args:
            exchange: the exchange that it belongs to.
            direction: IN or OUT.
            message: the message.
            traceparent: the trace context of the request; may be empty.
            kind: the kind of its entry, WebSocket or gRPC.
            session: the data that the collector needs to read it; empty outside of sessions.
            keeps_text: False if the collector is to keep only its counts.
            follows_gap: True if messages of its direction were dropped before it.
            at_ns: when it passed, by the wall clock; 0: now.
            opening: the known part of the exchange; empty if the collector has it already.

        Returns:
            True if it is in the ring. A message beyond the share of messages is counted as dropped
            here, one that the ring refuses by the ring.
        """
        if self._ring.pressure():
            message = message._replace(data=b"")
        if not self._message_share.take(
            _MESSAGE_BYTES + len(traceparent) + len(message.data) + len(session) + len(opening)
        ):
            self.count_dropped_messages(message.times, kind)
            return False

        now_ns = at_ns or time.time_ns()
        header, sections = encode_message(
            self._new_id(now_ns), exchange.id, now_ns, exchange.route, direction, message, traceparent, exchange.access,
            session, keeps_text=keeps_text, follows_gap=follows_gap, opening=opening,
        )  # fmt: skip
        return self._ring.push(kind, header, sections)

    def count_dropped_messages(self, count: int, kind: int = KIND_WEBSOCKET) -> None:
        """Count messages that were forwarded and not recorded; the record of their exchange does so
        too.
        """
        counter = "dropped_grpc_messages" if kind == KIND_GRPC else "dropped_messages"
        self.count(counter, by=count)

    def show(self, exchange: Exchange, caller: Caller) -> None:
        """Add an exchange that has run for long to the ring's in-flight table, if the exchange is
        recorded.
        """
        if not exchange.is_recorded:
            exchange.slot = NO_SLOT
            return
        head = exchange.request_head
        sections = [exchange.request_whole]
        if exchange.flags & FLAG_BODIES_OFF:
            sections = []
        elif exchange.request_body is not None:
            exchange.request_body.collect(sections)

        if exchange.flags & FLAG_HEADS_OFF:
            # Records have the request line in their columns even without heads.
            head = head.partition(b"\r\n")[0] + b"\r\n\r\n"
        slot = self._inflight.fill(
            exchange.id,
            exchange.started_at_ns // 1000,
            exchange.route,
            exchange.client,
            head,
            b"".join(sections),
            caller,
        )
        exchange.slot = slot if slot >= 0 else NO_SLOT

    def show_status(self, exchange: Exchange) -> None:
        """Show the status of an exchange in the in-flight table, once its response has begun."""
        self._inflight.note_status(exchange.slot, exchange.status)

    def count_upstream_error(self, route: int, code: str) -> None:
        """Count a failure of a route's upstream, if its code has a counter."""
        cell = self._layout.upstream_error_cell(route, code.removeprefix("upstream_"))
        if cell is not None:
            self._cells[cell] += 1

    def count(self, counter: str, label: object = NO_LABEL, by: int = 1) -> None:
        """Add to a counter of `ring/counters.py`, or to the cell of one of its labels."""
        self._cells[self._layout.cell(counter, label)] += by

    def set(self, counter: str, value: int) -> None:
        """Publish the value of a counter that this process counts elsewhere; called by the tick."""
        self._cells[self._layout.cell(counter)] = value

    def count_http2_upstream(self, change: int) -> None:
        """Change the number of open HTTP/2 connections to upstreams, which are also connections to
        upstreams.
        """
        self.count("connections_upstream", by=change)
        self.count("connections_upstream_http2", by=change)

    def count_http2_reset(self, side: str, code: int) -> None:
        """Count a stream that the `client`, we as the `server`, or the `upstream` ended early."""
        self.count("http2_resets", (side, http2_code(code)))

    def count_recording_wait(self, wait_ns: int) -> None:
        """Count a wait of a request, or of a sender of messages, for room in the ring."""
        self.count("recording_waits")
        self.count("recording_wait_us", by=wait_ns // 1000)

    @property
    def filled_by_messages(self) -> float:
        """The part of the messages' share of the ring that is in use, 0 to 1."""
        return self._message_share.filled

    def be_lean(self, room: LeanRoom) -> None:
        """From now on keep only the pages of the ring that are in use: few records are to come."""
        self._ring.be_lean(room)

    def pace(self, max_wait_ms: int) -> RecordingPace:
        """Return the pace at which new requests may be read, given the free room in this worker's
        ring.
        """
        return RecordingPace(
            self._ring,
            max_wait_ms,
            self.count_recording_wait,
            partial(self.count, "recording_standstills"),
        )
