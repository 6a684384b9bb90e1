"""The messages of one exchange, recorded as they pass: each is a separate event, so a session can
be followed while it runs.

Bounds: messages have a rate limit per exchange, and a limited share of the ring
(`Recorder.message`). Messages above a limit are relayed like the others, and counted on the
exchange.
"""

import re
import time
from collections.abc import Iterable
from typing import Final

from proxy.http1.websocket_frames import Message
from proxy.network.rate import Rate
from proxy.ring.exchange import Exchange
from proxy.worker.recorder import Recorder
from proxy.worker.recording_pace import Paced, RecordingPace

_TRACEPARENT: Final = re.compile(rb"(?i)\r\ntraceparent:[ \t]*([0-9a-f-]{55})[ \t]*\r\n")


class MessageLog:
    """Records the messages of one exchange, in both directions."""

    __slots__ = (
        "_exchange", "_has_gap", "_is_opened", "_keeps_text", "_kind", "_pace", "_rate", "_recorder", "_traceparent",
        "sessions",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, recorder: Recorder, pace: RecordingPace, kind: int, per_s: int,
        *, keeps_text: bool = True,
    ) -> None:  # fmt: skip
        """Record up to `per_s` messages of `exchange` a second, as entries of a `kind`.

        Without `keeps_text` the collector keeps only their counts.
        """
        self._exchange = exchange
        self._recorder = recorder
        self._pace = pace
        self._kind = kind
        self._keeps_text = keeps_text
        self._rate = Rate(per_s, time.monotonic_ns())
        found = _TRACEPARENT.search(exchange.request_head)
        self._traceparent = found[1] if found else b""
        self.sessions = [b"", b""]
        """The `CapturedMessage.session` of the messages of each direction."""
        self._has_gap = [False, False]
        """True for a direction if messages were dropped since the last one recorded."""
        self._is_opened = False
        """True once a message carried the known part of the exchange."""

    def room(self) -> int:
        """Return how many messages may be recorded now."""
        return self._rate.room(time.monotonic_ns())

    def record(
        self,
        direction: int,
        messages: Iterable[Message],
        at_ns: int = 0,
        *,
        room_used: int,
        dropped: int,
    ) -> None:
        """Record messages of a direction, and count the dropped ones.

        Args:
            direction: IN or OUT.
            messages: the messages to record.
            at_ns: when the messages passed, by the wall clock; 0: now.
            room_used: how much of `room` they take.
            dropped: how many passed after them without room.
        """
        exchange = self._exchange
        for message in messages:
            is_recorded = self._recorder.message(
                exchange, direction, message, self._traceparent, kind=self._kind,
                session=self.sessions[direction], keeps_text=self._keeps_text,
                follows_gap=self._has_gap[direction], at_ns=at_ns,
                opening=b"" if self._is_opened else exchange.encode_opening(),
            )  # fmt: skip
            self._is_opened |= is_recorded
            self._has_gap[direction] = not is_recorded
            exchange.messages_dropped += 0 if is_recorded else message.times

        self._rate.take(room_used)
        if dropped:
            self._has_gap[direction] = True
            exchange.messages_dropped += dropped
            self._recorder.count_dropped_messages(dropped, self._kind)

    def hold(self, side: Paced) -> None:
        """Leave the sending side unread for a while, if messages come faster than they are stored
        (P30).
        """
        now_ns = time.monotonic_ns()
        wait_ns = self._pace.message_wait_ns(now_ns, self._recorder.filled_by_messages)
        if wait_ns:
            self._pace.hold(side, now_ns, wait_ns)
