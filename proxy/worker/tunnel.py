"""A WebSocket connection after its 101: raw bytes both ways, watched by two frame scanners (RFC 6455 §4, P7).

The relay is byte-exact and knows nothing of frames; what the scanners see becomes event records and the exchange's
close code. Back-pressure is that of any exchange: the transports of both sides pause each other. A side whose frames
are not all read is not read further (P23).

Bounds: messages are recorded at a rate per connection, empty ones in a row as one, and hold at most a part of the ring
(`Recorder.message`). Messages beyond that are relayed like the rest, and counted on the exchange. After an invalid
frame the messages of its direction cannot be read any more: one counts as dropped, and the exchange says so.
"""

import re
import time
from collections.abc import Callable
from typing import Final, Protocol

from proxy.http1.websocket_frames import Message, MessageScanner, Opcode, close_code
from proxy.network.fair_loop import BY_FRAMES, FairLoop
from proxy.network.rate import Rate
from proxy.ring.body_window import Window
from proxy.ring.exchange import FLAG_BODIES_OFF, NOTE_MESSAGES_DROPPED, NOTE_MESSAGES_UNREADABLE, Exchange
from proxy.ring.websocket_message import IN, MAX_TARGET_BYTES, OUT
from proxy.worker.recorder import Recorder
from proxy.worker.recording_pace import RecordingPace

_TRACEPARENT: Final = re.compile(rb"(?i)\r\ntraceparent:[ \t]*([0-9a-f-]{55})[ \t]*\r\n")

MAX_MESSAGES_PER_S: Final = 1000
"""Recorded of one connection; further ones pass, unrecorded and counted."""
_COUNTS: Final = re.compile(rb'"usage|"model"')
"""In each message that reports usage or names the model."""


class Side(Protocol):
    """One of the two connections."""

    @property
    def held_bytes(self) -> int:
        """How much of it may be in hand before reading stops."""

    def pause(self, reason: int) -> None:
        """Read no more of it for a reason."""

    def resume(self, reason: int) -> None:
        """Read on as far as this reason goes."""


class Tunnel:
    """Watches one upgraded connection."""

    __slots__ = (
        "_counts_only", "_dropped", "_exchange", "_has_gap", "_is_recorded", "_on_read", "_pace", "_rate", "_recorder",
        "_scanners", "_session", "_sides", "_traceparent", "_turns", "_unreadable", "close_code", "has_closed",
    )  # fmt: skip

    def __init__(
        self,
        exchange: Exchange,
        recorder: Recorder,
        turns: FairLoop,
        pace: RecordingPace,
        sides: tuple[Side, Side],
        *,
        max_bytes: int,
        session_bytes: int = 0,
    ) -> None:
        """Begin with the exchange of the handshake, between client and upstream.

        Of each message `max_bytes` are copied, 0 records none; in a session with a model `session_bytes`. What is said
        is body: below that level no message is recorded, of such a session those with counts.
        """
        self._exchange = exchange
        self._recorder = recorder
        self._turns = turns
        self._pace = pace
        self._sides = sides
        has_calls = session_bytes > 0 and max_bytes > 0
        keeps_text = not exchange.flags & FLAG_BODIES_OFF
        self._is_recorded = exchange.is_recorded and max_bytes > 0 and (keeps_text or has_calls)
        self._counts_only = has_calls and not keeps_text
        self._rate = Rate(MAX_MESSAGES_PER_S if self._is_recorded else 0, time.monotonic_ns())
        copied_bytes = max(max_bytes, session_bytes) if has_calls else max_bytes
        self._scanners = (MessageScanner(copied_bytes), MessageScanner(copied_bytes))
        self._session = _session_of(exchange) if has_calls else b""
        found = _TRACEPARENT.search(exchange.request_head)
        self._traceparent = found[1] if found else b""
        self._dropped = self._unreadable = 0
        self._has_gap = [False, False]
        """By direction: whether messages passed unrecorded since the last one that was."""
        self._on_read: Callable[[], None] | None = None
        self.has_closed = False
        """Whether a close frame passed in either direction."""
        self.close_code: int | None = None
        exchange.request_body = Window(0, 0)
        exchange.response_body = Window(0, 0)

    def watch_client(self, data: bytes) -> None:
        window = self._exchange.request_body
        assert window is not None
        window.add(data)
        self._watch(IN, data)

    def watch_upstream(self, data: bytes) -> None:
        window = self._exchange.response_body
        assert window is not None
        window.add(data)
        self._watch(OUT, data)

    def _watch(self, direction: int, data: bytes) -> None:
        scanner = self._scanners[direction]
        room = self._rate.room(time.monotonic_ns())
        dropped = -scanner.dropped
        messages = scanner.feed(data, room)
        dropped += scanner.dropped
        is_cut = dropped > 0
        unrecorded = 0
        for message in messages:
            unrecorded += self._take(direction, message)
        if messages:
            self._rate.take(min(len(messages), room))
        if scanner.is_lost and not self._unreadable >> direction & 1:
            self._unreadable |= 1 << direction
            dropped += 1
        self._has_gap[direction] |= is_cut  # what was not returned came behind all that was
        if self._is_recorded:
            self._dropped += dropped + unrecorded
            if dropped:
                self._recorder.count_dropped_messages(dropped)
        if messages and self._is_recorded and not scanner.has_more:
            self._pace_sender(direction)
        if scanner.has_more:
            if scanner.in_hand >= self._sides[direction].held_bytes:
                self._sides[direction].pause(BY_FRAMES)
            self._turns.add(self)

    def _pace_sender(self, direction: int) -> None:
        """Read the side that sends later, where messages come faster than they are stored (P30)."""
        now_ns = time.monotonic_ns()
        wait_ns = self._pace.message_wait_ns(now_ns, self._recorder.filled_by_messages)
        if wait_ns:
            self._pace.hold(self._sides[direction], now_ns, wait_ns)

    def _take(self, direction: int, message: Message) -> int:
        """Record a message; returns how many are missing on the record now, and counted already."""
        if message.opcode == Opcode.CLOSE and not self.has_closed:
            self.has_closed = True
            self.close_code = close_code(message)
        if self._counts_only and not (message.is_compressed or _COUNTS.search(message.data)):
            return 0
        return message.times if self._is_recorded and not self._record(direction, message) else 0

    def _record(self, direction: int, message: Message) -> bool:
        is_recorded = self._recorder.message(
            self._exchange, direction, message, self._traceparent,
            session=self._session, keeps_text=not self._counts_only, follows_gap=self._has_gap[direction],
        )  # fmt: skip
        self._has_gap[direction] = not is_recorded
        return is_recorded

    def take_turn(self) -> None:
        """Read some of the frames in hand; a side whose frames are all read goes on."""
        for direction in IN, OUT:
            if self._scanners[direction].has_more:
                self._watch(direction, b"")
                if not self._scanners[direction].has_more:
                    self._sides[direction].resume(BY_FRAMES)
        if self._on_read is not None and not self._has_more:
            self._on_read()

    @property
    def _has_more(self) -> bool:
        return self._scanners[IN].has_more or self._scanners[OUT].has_more

    def end(self, on_read: Callable[[], None]) -> None:
        """Call back, once, when all frames are read that came before the first end of a side: often that is now."""
        if self._on_read is None:
            self._on_read = on_read
            if not self._has_more:
                on_read()

    def settle(self) -> None:
        """Note on the exchange what its record says about the session, and stop watching."""
        self._scanners = (MessageScanner(0), MessageScanner(0))
        self._exchange.close_code = self.close_code or 0
        if self._dropped:
            self._exchange.note(NOTE_MESSAGES_DROPPED, self._dropped.to_bytes(8, "little"))
        if self._unreadable and self._is_recorded:
            self._exchange.note(NOTE_MESSAGES_UNREADABLE, bytes((self._unreadable,)))


def _session_of(exchange: Exchange) -> bytes:
    """Return what identifies a session with a model to the collector: the upstream, and the target with the model."""
    line = exchange.request_head[: exchange.request_head.find(b"\r\n")]
    target = line.partition(b" ")[2].partition(b" ")[0]
    return exchange.upstream + b" " + target[:MAX_TARGET_BYTES]
