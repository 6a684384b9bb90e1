"""The messages of one exchange, recorded as they pass: each is an event of its own, so a session is
seen while it runs.

Bounds: messages are recorded at a rate an exchange, and hold at most a part of the ring
(`Recorder.message`). Those beyond that are relayed like the rest, and counted on the exchange.
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
        "_exchange", "_has_gap", "_keeps_text", "_kind", "_pace", "_rate", "_recorder", "_traceparent", "sessions",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, recorder: Recorder, pace: RecordingPace, kind: int, per_s: int,
        *, keeps_text: bool = True,
    ) -> None:  # fmt: skip
        """Record as entries of a kind, so many a second; without `keeps_text` for their counts
        alone.
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
        """By direction: the `CapturedMessage.session` of its messages."""
        self._has_gap = [False, False]
        """By direction: whether messages passed unrecorded since the last one that was."""

    def room(self) -> int:
        """Return how many messages may be recorded now."""
        return self._rate.room(time.monotonic_ns())

    def take(
        self, direction: int, messages: Iterable[Message], at_ns: int = 0, *, taken: int, cut: int
    ) -> None:
        """Record messages, which passed now or at a time; `taken` is what they take of the room.

        Behind them others were `cut`, for which there was no room.
        """
        exchange = self._exchange
        for message in messages:
            is_recorded = self._recorder.message(
                exchange, direction, message, self._traceparent, kind=self._kind,
                session=self.sessions[direction], keeps_text=self._keeps_text,
                follows_gap=self._has_gap[direction], at_ns=at_ns,
            )  # fmt: skip
            self._has_gap[direction] = not is_recorded
            exchange.messages_dropped += 0 if is_recorded else message.times

        self._rate.take(taken)
        if cut:
            self._has_gap[direction] = True
            exchange.messages_dropped += cut
            self._recorder.count_dropped_messages(cut, self._kind)

    def hold(self, side: Paced) -> None:
        """Read the side that sends later, where messages come faster than they are stored (P30)."""
        now_ns = time.monotonic_ns()
        wait_ns = self._pace.message_wait_ns(now_ns, self._recorder.filled_by_messages)
        if wait_ns:
            self._pace.hold(side, now_ns, wait_ns)
