"""Writes of HTTP/2 connections: all frames that one step has for a connection go out in one write,
at the end of the step.

Strategy: a step reads some frames of one connection and passes them on, possibly to many streams of
many connections. Connections with frames to send are collected meanwhile, and each is written once.
The invariants: outside of a step frames are sent at once. A writer drops its reference to a lost
connection: otherwise both would wait as a cycle for a garbage collection.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from proxy.http2.connection import Connection
from proxy.http2.events import Event
from proxy.http2.output import SMALL_WAIT_NS
from proxy.network.sockets import bound_buffers

_SMALL_WAIT_S: Final = SMALL_WAIT_NS / 1e9 + 0.001


class Steps:
    """The steps of one worker; a step may begin within another."""

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
        """Let a writer write at the end of the running step; return False if no step runs."""
        if self._depth:
            self._due[writer] = None
        return self._depth > 0


class FrameWriter:
    """Writes the frames of one codec."""

    __slots__ = ("_codec", "_is_timed", "_steps", "_take", "_transport", "_write", "written_bytes")

    def __init__(
        self,
        steps: Steps,
        codec: Connection,
        transport: asyncio.Transport,
        take: Callable[[list[Event]], None],
    ) -> None:
        """Write to a transport; `take` gets the events that the codec reports when a wait is over."""
        self._steps = steps
        self._codec = codec
        self._take = take
        self._transport = transport
        self._write = bound_buffers(transport)
        self._is_timed = False
        self.written_bytes = 0
        """Bytes passed to the transport so far."""

    def flush(self) -> None:
        """Write now, or at the end of the running step."""
        if not self._steps.defer(self):
            self.write()

    def write(self) -> None:
        """Write all collected frames to the transport at once, instead of at the end of the step."""
        output = self._codec.output
        if output.size_bytes:
            data = output.take()
            self.written_bytes += len(data)
            if not self._transport.is_closing():
                self._write(data)

        if not self._is_timed and output.next_check_ns:
            self._is_timed = True
            asyncio.get_running_loop().call_later(_SMALL_WAIT_S, self._end_wait)

    def close(self) -> None:
        """Drop the lost connection, and report nothing more."""
        self._take = _report_nothing

    def _end_wait(self) -> None:
        self._is_timed = False
        self.check(time.monotonic_ns())

    def check(self, now_ns: int) -> None:
        """Write the small pieces that have waited for larger windows for long enough (F12)."""
        if 0 < self._codec.next_check_ns <= now_ns:
            self._take(self._codec.check(now_ns))
        self.flush()


def _report_nothing(_: list[Event]) -> None:
    """Stand in for a connection that is lost."""
