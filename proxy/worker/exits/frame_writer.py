"""Writes of connections of HTTP/2: what one step has to say on each of them is one write, at the
end of the step.

Strategy: a step (some frames of one connection, read and passed on) may concern many streams of
many connections. Each connection that has something to send is noted meanwhile and written once.
The invariants: outside of steps, what is to be sent is sent at once; whose connection is lost has
let go of it, or both would wait for a collection of cycles.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from proxy.http2.connection import Connection
from proxy.http2.events import Event
from proxy.http2.output import SMALL_WAIT_NS
from proxy.network.tls_buffers import bound_buffers

_SMALL_WAIT_S: Final = SMALL_WAIT_NS / 1e9 + 0.001


class Steps:
    """Those of one worker; a step may begin within another."""

    __slots__ = ("_depth", "_due")

    def __init__(self) -> None:
        self._depth = 0
        self._due: dict[FrameWriter, None] = {}

    def begin(self) -> None:
        self._depth += 1

    def end(self) -> None:
        self._depth -= 1
        if not self._depth and self._due:
            due = self._due
            self._due = {}
            for writer in due:
                writer.write()

    def defer(self, writer: "FrameWriter") -> bool:
        """Have it write at the end of the step that runs; False: none does."""
        if self._depth:
            self._due[writer] = None
        return self._depth > 0


class FrameWriter:
    """Writes what one codec has to send."""

    __slots__ = ("_codec", "_is_timed", "_steps", "_take", "_transport", "_write")

    def __init__(
        self,
        steps: Steps,
        codec: Connection,
        transport: asyncio.Transport,
        take: Callable[[list[Event]], None],
    ) -> None:
        """Write to a transport; `take` gets what the codec has to report when its time has come."""
        self._steps = steps
        self._codec = codec
        self._take = take
        self._transport = transport
        self._write = bound_buffers(transport)
        self._is_timed = False

    def flush(self) -> None:
        """Write, now or once the step that runs is over."""
        if not self._steps.defer(self):
            self.write()

    def write(self) -> None:
        """Write now."""
        output = self._codec.output
        if output.size_bytes:
            data = output.take()
            if not self._transport.is_closing():
                self._write(data)

        if not self._is_timed and output.next_check_ns:
            self._is_timed = True
            asyncio.get_running_loop().call_later(_SMALL_WAIT_S, self._end_wait)

    def close(self) -> None:
        """Let go of the connection, which is lost and holds this: nothing is reported any more."""
        self._take = _report_nothing

    def _end_wait(self) -> None:
        self._is_timed = False
        self.check(time.monotonic_ns())

    def check(self, now_ns: int) -> None:
        """Do what is due by the codec's clock: small pieces have waited for larger windows for long
        enough (F12).
        """
        if 0 < self._codec.next_check_ns <= now_ns:
            self._take(self._codec.check(now_ns))
        self.flush()


def _report_nothing(_: list[Event]) -> None:
    """Stand for the connection that is lost."""
