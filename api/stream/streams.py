"""Serve a stream of the tail over HTTP: resume, frames, heartbeats, and clients that stop reading.

A slow client holds its position and at most one chunk, and does not delay others. A client that
reads nothing for `stall_s` is closed: here, when our own buffer does not shrink; or
`KERNEL_LATER_S` later by the kernel, which gives up on unacknowledged data (TCP_USER_TIMEOUT). A
client that left is noticed by the next write, or within `CHECK_INTERVAL_S`.
"""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass, field, replace
from typing import Final

from aiohttp import web

from api.access.principal import Principal, narrow
from api.access.stream_limits import StreamLimits
from api.stream.sse import HEARTBEAT, encode_retry, read_event_id
from api.stream.tail import Subscriber, Tail
from api.stream.tail_ring import Interest
from storage.errors import StorageUnavailable

CHECK_INTERVAL_S: Final = 1.0
"""Interval at which an idle stream checks that its client is still connected."""
KERNEL_LATER_S: Final = 10.0
"""Time that the kernel waits longer than sidelog. Only streams closed by sidelog are counted."""
RETRY_MS: Final = 2000
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
    "Content-Type": "text/event-stream",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamServices:
    """Tail, limits and time-outs of a stream."""

    tail: Tail
    limits: StreamLimits = field(default_factory=StreamLimits)
    heartbeat_s: float = 15.0
    stall_s: float = 30.0
    """Time in seconds after which a client that reads nothing is closed."""


class _Stalled(Exception):
    """The client reads nothing."""


async def serve_stream(
    request: web.Request, streams: StreamServices, principal: Principal, interest: Interest
) -> web.StreamResponse:
    """Serve a stream until the client leaves, stalls, or the stream is ended.

    The caller's scope is applied to the filter here.

    Raises:
        Refused: 403, the filter names something out of scope; 429, the caller has, or opened, too
            many.
        StorageUnavailable: the store was unavailable since the start, or is being opened.
    """
    await streams.tail.check_begun()
    interest = replace(interest, filter=narrow(interest.filter, principal.scope))
    response = web.StreamResponse(headers=_HEADERS)
    if request.method == "HEAD":
        await response.prepare(request)
        return response

    text = request.headers.get("Last-Event-ID") or request.query.get("lastEventId")
    with streams.limits.stream(principal.name):
        await response.prepare(request)
        stream = _Stream(request, response, streams.tail, streams.heartbeat_s, streams.stall_s)
        try:
            await stream.run(interest, read_event_id(text))
        except _Stalled:
            streams.tail.counters.dropped_subscribers += 1
            _log.info("closed a stream whose client reads nothing")
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client left: streams end that way

    return response


class _Stream:
    """One stream, from its first byte to its last."""

    def __init__(
        self,
        request: web.Request,
        response: web.StreamResponse,
        tail: Tail,
        heartbeat_s: float,
        stall_s: float,
    ) -> None:
        self._request = request
        self._response = response
        self._tail = tail
        self._heartbeat_s = heartbeat_s
        self._stall_s = stall_s
        self._beats_at_s = time.monotonic() + heartbeat_s

    async def run(self, interest: Interest, last_event_id: int | None) -> None:
        """Write until the stream is ended; raise ConnectionError or _Stalled if the client ends it."""
        self._watch_acknowledgements()
        resume = self._tail.resume(last_event_id)
        subscriber = self._tail.enter(interest, resume.after_id)

        try:
            place = self._tail.offset + resume.after_id
            first = encode_retry(RETRY_MS, place)
            if resume.reset_reason is not None:
                data: dict[str, object] = {"reason": resume.reset_reason, "ringSeq": place}
                first += self._tail.event("reset", data, resume.after_id)
            await self._write(first)
            while subscriber.ended is None:
                await self._go_on(subscriber)
            await self._write(subscriber.ended)
        finally:
            self._tail.leave(subscriber)

    async def _go_on(self, subscriber: Subscriber) -> None:
        try:
            chunks = await self._tail.read(subscriber.interest, subscriber.after_id)
        except StorageUnavailable as error:
            _log.warning("a stream waits for the store: %s", error)
            await asyncio.sleep(CHECK_INTERVAL_S)
            chunks = []

        for chunk in chunks:
            if subscriber.ended is not None:
                return
            if chunk.content:
                await self._write(chunk.content)
                self._tail.counters.events += chunk.frames
            subscriber.after_id = chunk.after_id

        if time.monotonic() >= self._beats_at_s:
            self._beats_at_s = time.monotonic() + self._heartbeat_s
            await self._write(HEARTBEAT)
        if chunks:
            await asyncio.sleep(0)  # others first: a write rarely waits
        else:
            await self._tail.wait(
                subscriber, max(0.0, min(CHECK_INTERVAL_S, self._beats_at_s - time.monotonic()))
            )
            self._check_client()

    def _check_client(self) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client left")

    async def _write(self, content: bytes) -> None:
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client left")
        try:
            async with asyncio.timeout(self._stall_s) as deadline:
                watch = _ProgressWatch(transport, len(content), deadline, self._stall_s)
                try:
                    await self._response.write(content)
                finally:
                    watch.stop()
        except TimeoutError:
            raise _Stalled from None

    def _watch_acknowledgements(self) -> None:
        """Let the kernel close a connection whose peer vanished or never reads."""
        transport = self._request.transport
        if transport is None:
            sock = None
        else:
            sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(
                socket.IPPROTO_TCP,
                socket.TCP_USER_TIMEOUT,
                round((self._stall_s + KERNEL_LATER_S) * 1000),
            )


class _ProgressWatch:
    """Postpones a deadline as long as a transport's buffer shrinks."""

    def __init__(
        self, transport: asyncio.Transport, added: int, deadline: asyncio.Timeout, stall_s: float
    ) -> None:
        self._transport = transport
        self._pending = transport.get_write_buffer_size() + added
        self._deadline = deadline
        self._stall_s = stall_s
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(stall_s / 8, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        pending = self._transport.get_write_buffer_size()
        if pending < self._pending:
            self._pending = pending
            self._deadline.reschedule(self._loop.time() + self._stall_s)
        self._timer = self._loop.call_later(self._stall_s / 8, self._look)
