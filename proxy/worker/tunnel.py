"""A WebSocket connection after its 101: raw bytes both ways, watched by two frame scanners (RFC
6455 §4, P7).

The relay is byte-exact and knows nothing of frames. The scanners produce event records and the
exchange's close code. Back-pressure works as in any exchange: the transports of both sides pause
each other. A side is not read further before all of its frames are read (P23).

Bounds: those of a `MessageLog`; empty messages in a row are recorded as one. After an invalid frame
the messages of its direction cannot be read any more: one counts as dropped, and the exchange has a
note of it.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

from proxy.http1.websocket_frames import Message, MessageScanner, Opcode, close_code
from proxy.network.pacing import BY_FRAMES, FairLoop
from proxy.ring.body_window import Window
from proxy.ring.exchange import FLAG_BODIES_OFF, NOTE_MESSAGES_UNREADABLE, Exchange
from proxy.ring.handshake import pack_handshake
from proxy.ring.message import IN, KIND_WEBSOCKET, OUT
from proxy.worker.recorder import Recorder
from proxy.worker.recording_pace import Paced, RecordingPace
from proxy.worker.relay.message_log import MessageLog

MAX_MESSAGES_PER_S: Final = 1000
"""Messages of one connection recorded per second; further ones pass, unrecorded and counted."""
_COUNTS: Final = re.compile(rb'"usage|"model"')
"""Found in each message that reports usage or names the model."""


class Side(Paced, Protocol):
    """One of the two sides of a tunnel: a client, or an upstream connection."""

    @property
    def held_bytes(self) -> int:
        """Return how many unread bytes of frames may be in hand before reading from the side's
        socket stops; 0 stops it whenever a frame is left unread.
        """


class Tunnel:
    """Watches one upgraded connection."""

    __slots__ = (
        "_counts_only", "_exchange", "_is_recorded", "_log", "_on_read", "_scanners", "_sides", "_turns", "_unreadable",
        "close_code", "has_closed",
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

        Messages are bodies: if the route keeps no bodies, none is recorded, except those with
        counts in a session with a model.

        Args:
            exchange: the exchange of the handshake.
            recorder: records the messages.
            turns: the connections that wait for their turn.
            pace: holds the side that sends faster than messages are stored.
            sides: client and upstream, indexed by direction.
            max_bytes: bytes copied of each message; 0 records none.
            session_bytes: the same in a session with a model; 0 outside of one.
        """
        self._exchange = exchange
        self._turns = turns
        self._sides = sides
        has_calls = session_bytes > 0 and max_bytes > 0
        keeps_text = not exchange.flags & FLAG_BODIES_OFF
        self._is_recorded = exchange.is_recorded and max_bytes > 0 and (keeps_text or has_calls)
        self._counts_only = has_calls and not keeps_text
        per_s = MAX_MESSAGES_PER_S if self._is_recorded else 0
        self._log = MessageLog(
            exchange, recorder, pace, KIND_WEBSOCKET, per_s, keeps_text=not self._counts_only
        )
        if has_calls:
            copied_bytes = max(max_bytes, session_bytes)
        else:
            copied_bytes = max_bytes
        self._scanners = (MessageScanner(copied_bytes), MessageScanner(copied_bytes))
        if has_calls:
            self._log.sessions = [pack_handshake(exchange.upstream, exchange.request_head)] * 2
        self._unreadable = 0
        """Bit mask of the directions whose frames became invalid."""
        self._on_read: Callable[[], None] | None = None
        """Called when all frames in hand are read; None until a side ends."""
        self.has_closed = False
        """True if a close frame passed in either direction."""
        self.close_code: int | None = None
        exchange.request_body = Window(0, 0)
        exchange.response_body = Window(0, 0)

    def watch_client(self, data: bytes) -> None:
        """Count and read bytes of the client after they were forwarded."""
        window = self._exchange.request_body
        assert window is not None
        window.add(data)
        self._watch(IN, data)

    def watch_upstream(self, data: bytes) -> None:
        """Count and read bytes of the upstream after they were forwarded."""
        window = self._exchange.response_body
        assert window is not None
        window.add(data)
        self._watch(OUT, data)

    def _watch(self, direction: int, data: bytes) -> None:
        scanner = self._scanners[direction]
        room = self._log.room()
        dropped = -scanner.dropped
        messages = scanner.feed(data, room)
        dropped += scanner.dropped
        if scanner.is_lost and not self._unreadable >> direction & 1:
            self._unreadable |= 1 << direction
            dropped += 1
        for message in messages:
            self._note_close(message)
        if self._is_recorded and (messages or dropped):
            if self._counts_only:
                wanted = list(filter(self._has_counts, messages))
            else:
                wanted = messages
            self._log.record(direction, wanted, room_used=min(len(messages), room), dropped=dropped)
            if messages and not scanner.has_more:
                self._log.hold(self._sides[direction])

        if scanner.has_more:
            if scanner.in_hand >= self._sides[direction].held_bytes:
                self._sides[direction].pause(BY_FRAMES)
            self._turns.add(self)

    def _note_close(self, message: Message) -> None:
        if message.opcode == Opcode.CLOSE and not self.has_closed:
            self.has_closed = True
            self.close_code = close_code(message)

    @staticmethod
    def _has_counts(message: Message) -> bool:
        return message.is_compressed or _COUNTS.search(message.data) is not None

    def take_turn(self) -> None:
        """Read some of the frames in hand; resume a side once all of its frames are read."""
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
        """Call `on_read` once all frames in hand are read, often at once; a second end changes
        nothing.
        """
        if self._on_read is None:
            self._on_read = on_read
            if not self._has_more:
                on_read()

    def finish(self) -> None:
        """Stop watching, and note the course of the session on the exchange."""
        self._scanners = (MessageScanner(0), MessageScanner(0))
        self._exchange.close_code = self.close_code or 0
        self._exchange.note_dropped()
        if self._unreadable and self._is_recorded:
            self._exchange.note(NOTE_MESSAGES_UNREADABLE, bytes((self._unreadable,)))
