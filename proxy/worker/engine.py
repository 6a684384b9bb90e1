"""What all connections of one worker share in the default engine: settings, routes, pools, the memo
of heads, the tick.

Wiring stays here, behaviour in `downstream.py`, `relay/` and `upstream/connection.py`. One tick
serves every deadline of the worker: a timer object per request would cost more than parsing it.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Container
from functools import partial
from typing import Final, Protocol, TypeVar

from proxy.http1.field_lines import PlainLines
from proxy.http1.forwarded import TrustedProxies
from proxy.http1.header_rules import HeaderRules
from proxy.http1.memo.head_templates import ConnectionHeads
from proxy.http1.memo.request_heads import RequestHeads
from proxy.http1.memo.response_heads import ResponseHeads
from proxy.http1.request_head import RequestHead, parse_request_head
from proxy.http1.request_reader import RequestReader
from proxy.http1.response_head import ResponseHead, parse_response_head
from proxy.http1.trace_context import TRACE_FIELDS, drop_invalid_context
from proxy.http2.budget import Limits
from proxy.http2.frames import MAX_WINDOW_BYTES
from proxy.http2.hpack.encoder import LineEncoder
from proxy.network.fair_loop import FairLoop
from proxy.network.idle_eviction import IdleEviction, Waiting
from proxy.process.descriptors import max_client_connections
from proxy.process.logs import lines_dropped
from proxy.ring.exchange import Exchange
from proxy.ring.inflight import Caller
from proxy.settings.model import LimitSettings, Settings
from proxy.worker.admission.key_auth import Gate
from proxy.worker.admission.opt_out import make_opt_out
from proxy.worker.deadlines import INFLIGHT_AFTER_NS, TICK_S, Deadlines
from proxy.worker.exits.frame_writer import Steps
from proxy.worker.recorder import Recorder
from proxy.worker.routes import Route, RouteTable
from proxy.worker.upstream.http2_pool import Http2Pool
from proxy.worker.upstream.places import Lane
from proxy.worker.upstream.pool import Pool

log = logging.getLogger(__name__)

_CLOCK_TICKS: Final = int(1 / TICK_S)
"""How often the clock is sampled again."""
SWEEP_S: Final = 0.25
"""Between two looks at the deadlines of all connections, idle ones too."""
_LOOK_STEP: Final = 64
"""Connections checked between two pauses, 0.1 ms: 10 000 at once take 20 ms, during which no
request is served.
"""
_LOOK_TURN: Final = 16
"""The same in one turn of the loop: each passed deadline costs 40 µs, and those of a crowd pass
together.
"""
_LOOK_NS: Final = 200_000
"""After so much time the rest waits for the next turn."""
_MAX_STEPS: Final = 125
"""Of a look at all: in a sweep two of them are then 2 ms apart, as timers have milliseconds."""

RESPONSE_FIELDS: Final = 10
"""The head of a response may have so many times the fields of a request's."""

MAX_SETTINGS_S: Final = 10.0
"""From the first byte of HTTP/2 to the end of its beginning, where heads have no limit."""

MAX_RENDERED_ROUTES: Final = 8
"""Of a head, with its memo at most 32 MiB; one client can send each of its heads to every route."""

T = TypeVar("T")


class Connection(Waiting, Protocol):
    """A client connection, as the engine and its server know it."""

    @property
    def is_flushing(self) -> bool:
        """Whether bytes for the client are still in our buffer."""

    def check(self, now_ns: int) -> None:
        """Enforce the deadlines."""

    def is_expected(self, since_ns: int) -> bool:
        """Whether a request of it is likely to be on its way: it is new since then, or its head has
        begun.
        """

    def close_if_idle(self, since_ns: int) -> None:
        """Close now when nothing is under way or expected; otherwise the next exchange is the last."""

    def abort_for_shutdown(self) -> None:
        """Record what runs as `shutdown`, and close."""


class UpstreamOpener(Protocol):
    """Opens upstream connections for one pool."""

    async def open(self, *, may_repeat: bool) -> Lane:
        """Return a lane of a new connection, or one that became free meanwhile.

        Raises:
            UpstreamError: there is none.
        """


class Http2:
    """What all connections of HTTP/2 share, where it may be spoken."""

    __slots__ = ("connections", "limits", "open_streams")

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = Limits(
            max_header_bytes=limits.max_header_bytes or 1 << 24,
            max_streams=limits.http2_max_streams,
            stream_window_bytes=limits.http2_stream_window_bytes,
            connection_window_bytes=MAX_WINDOW_BYTES,
            timeout_settings_ns=int((limits.timeout_headers_s or MAX_SETTINGS_S) * 1e9),
        )
        self.connections = 0
        """Of all time: the newest one's number."""
        self.open_streams = 0
        """On all connections: never more than `max_connections`."""


class ResponseReaders:
    """Readers of response heads: routes with the same header rules share a reader and its memo.

    So one memo bounds what is remembered for all of them, and a head that several upstreams send is
    in it once. A reader for each route took 2 to 7 MiB (tracemalloc), where the upstream's heads
    never repeat.
    """

    __slots__ = ("_plain", "_readers")

    def __init__(self) -> None:
        self._plain = PlainLines()
        self._readers: dict[tuple[HeaderRules, int], ResponseHeads] = {}

    def reader(self, rules: HeaderRules, max_headers: int) -> ResponseHeads:
        """Return the reader that applies some rules to heads of at most `max_headers` fields; 0:
        any number.
        """
        found = self._readers.get((rules, max_headers))
        if found is None:
            parse = partial(_parse_response, rules, max_headers or 1 << 20, self._plain)
            found = self._readers[rules, max_headers] = ResponseHeads(parse, kept=rules.without)
        return found


def _parse_response(
    rules: HeaderRules, max_headers: int, plain: PlainLines, raw: bytes
) -> ResponseHead:
    head = parse_response_head(raw, max_headers=max_headers, plain=plain)
    rules.apply(head)
    return head


class Engine:
    """Shared state of the downstream connections of one worker."""

    def __init__(
        self,
        settings: Settings,
        routes: RouteTable,
        recorder: Recorder,
        gate: Gate,
        tasks: asyncio.TaskGroup,
        instance: str,
        turns: FairLoop,
        opener: Callable[[Pool | Http2Pool], UpstreamOpener],
    ) -> None:
        """Wire up; `tasks` runs the opening of upstream connections and outlives every connection."""
        limits = settings.proxy.limits
        self.routes: Final = routes
        self.recorder: Final = recorder
        self.gate: Final = gate
        self.tasks: Final = tasks
        # Of connections without a request; each route has its own.
        self.deadlines: Final = Deadlines(limits)
        self.http2: Final = Http2(limits) if settings.proxy.http2 != "off" else None
        self.trusted: Final = TrustedProxies(
            settings.proxy.trusted_proxies, settings.proxy.client_address_header
        )
        self.instance: Final = instance.encode()
        self.record_id_format: Final = _record_id_format(settings.proxy.record_id_header)
        self.head_end_format: Final = b"%b" + (self.record_id_format or b"%.0b") + b"\r\n"
        """Joins a response head and the record id; without a header for it the id is formatted to
        nothing.
        """
        self.max_head_bytes = limits.max_header_bytes or 1 << 24
        self.max_line_bytes = limits.max_line_bytes
        self.capture: Final = settings.capture
        self.pace: Final = recorder.pace(settings.capture.max_wait_ms)
        self.makes_traces: Final = settings.proxy.trace_context
        self.opt_out: Final = make_opt_out(settings.capture.opt_out_header)
        self.level: Final = settings.capture.level
        self.max_connections: Final = min(
            limits.max_connections or 1 << 30, max_client_connections()
        )
        self._idle_eviction = IdleEviction(self.max_connections)
        self._max_per_client = limits.max_connections_per_client
        self._open_of: dict[bytes, int] = {}
        """Client address → open connections; kept only when there is a limit."""
        self.turns: Final = turns
        self.leaving: Final = turns.apart()
        """Of clients that left with nothing under way: to close one costs 10 µs, and thousands may
        leave at once.
        """
        self.encoder, self.steps = LineEncoder(), Steps()
        self.pools, self.http2_pools = self._new_pools(routes)
        self.openers, self.http2_openers = (
            tuple(map(opener, pools)) for pools in (self.pools, self.http2_pools)
        )
        self.connections: Final[set[Connection]] = set()
        self.in_flight: Final[set[Exchange]] = set()
        self.is_draining = False
        self.shutdown_reason: Final = (
            b"cut off at the stop (%g s, drain_timeout_s)" % limits.drain_timeout_s
        )
        self.keeps_alive = True
        """Whether an answer may be followed by another on its connection; not from the last days of
        a worker on.
        """
        self._max_headers, self._plain = limits.max_headers or 1 << 20, PlainLines()
        self.heads: Final = RequestHeads(
            self._parse, max_line_bytes=self.max_line_bytes, kept=_kept(settings, routes)
        )

    def _new_pools(self, routes: RouteTable) -> tuple[tuple[Pool, ...], tuple[Http2Pool, ...]]:
        readers = ResponseReaders()
        pools = []
        http2_pools = []

        for route in routes.routes:
            limits = route.limits
            turns = self.turns
            responses = readers.reader(route.response_rules, RESPONSE_FIELDS * limits.max_headers)
            pools.append(
                Pool(
                    route,
                    limits,
                    partial(self.recorder.count_connection, "upstream"),
                    turns,
                    responses,
                )
            )
            http2_pools.append(
                Http2Pool(
                    route, limits, partial(self.recorder.count_connection, "upstream_http2"), turns, responses,
                    self.encoder, self.steps, partial(self.recorder.count_http2_reset, "upstream"),
                )
            )  # fmt: skip

        return tuple(pools), tuple(http2_pools)

    def register(self, connection: Connection, peer: bytes) -> str:
        """Count a new connection in, or return which limit it would exceed: then it is counted as
        refused.

        A connection without a `peer` has no known client yet, and counts against no client's limit.
        """
        refusal = ""
        if len(self.connections) >= self.max_connections and not self._evict_idle():
            refusal = f"{self.max_connections} connections are open, the limit"
        elif (
            peer
            and 0 < self._max_per_client <= self._open_of.get(peer, 0)
            and not self.trusted.has(peer.decode())
        ):
            refusal = f"{self._max_per_client} connections are open from this address, the limit"

        if refusal:
            self.recorder.count_refused_connection()
            return refusal

        self.connections.add(connection)
        self.recorder.count_connection("downstream", 1)
        if self._max_per_client:
            self._open_of[peer] = self._open_of.get(peer, 0) + 1
        return ""

    def _evict_idle(self) -> bool:
        is_evicted = self._idle_eviction.evict()
        if is_evicted:
            self.recorder.count_displaced_connection()
        return is_evicted

    def hand_over(self, connection: Connection, to: Connection) -> None:
        """Count on with another protocol on the same transport."""
        self.connections.remove(connection)
        self.connections.add(to)

    def count_tls_failure(self, reason: str) -> None:
        self.recorder.count_tls_failure(reason)

    def count_proxy_failure(self, reason: str) -> None:
        self.recorder.count_proxy_failure(reason)

    def unregister(self, connection: Connection, peer: bytes) -> None:
        """Count a closed connection out; one that was refused changes nothing."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self.recorder.count_connection("downstream", -1)
        left = self._open_of.pop(peer, 1) - 1
        if left > 0:
            self._open_of[peer] = left

    def request_reader(self, *, is_tls: bool) -> RequestReader:
        """Return what reads the requests of one connection."""
        read = ConnectionHeads(self.heads).read
        return RequestReader(
            read,
            max_head_bytes=self.max_head_bytes,
            max_line_bytes=self.max_line_bytes,
            is_tls=is_tls,
        )

    def _parse(self, block: bytes) -> RequestHead:
        head = parse_request_head(
            block,
            max_headers=self._max_headers,
            max_line_bytes=self.max_line_bytes,
            plain=self._plain,
        )
        if self.opt_out is not None:
            head.opt_out = self.opt_out.level_of(block)
        if self.makes_traces:
            head.lacks_trace = drop_invalid_context(head)
        return head

    def render(self, head: RequestHead, route: Route) -> bytes:
        """Return the field lines a head becomes for a route's upstream, kept with the head for the
        newest routes.
        """
        lines = head.rendered.get(route.index)
        if lines is None:
            lines = route.render(head, self.instance)
            if len(head.rendered) >= MAX_RENDERED_ROUTES:
                del head.rendered[next(iter(head.rendered))]
            head.rendered[route.index] = lines

        return lines

    async def tick(self) -> None:
        """Run for the worker's whole life: note old exchanges, enforce deadlines, follow the clock."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_clock(), name="engine clock")
            tasks.create_task(self._sweep(), name="deadlines")

    async def _follow_clock(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(TICK_S)
            count += 1
            self.recorder.set_in_flight(len(self.in_flight))
            self.recorder.set_log_lines_dropped(lines_dropped())
            await self._look_at(self.in_flight, self._show_old, within_s=0)
            self.gate.refresh()
            if count % _CLOCK_TICKS == 0:
                self.recorder.sample_clock()

    async def _look_at(
        self, members: set[T], look: Callable[[T, int], None], *, within_s: float
    ) -> None:
        """Look at all that are there when their turn comes, a few in a turn of the loop, evenly
        over some seconds.
        """
        found = tuple(members)
        step = max(_LOOK_STEP, math.ceil(len(found) / _MAX_STEPS))

        starts = range(0, max(1, len(found)), step)
        for start in starts:
            begin_ns = time.monotonic_ns()
            for at in range(start, min(start + step, len(found)), _LOOK_TURN):
                now_ns = time.monotonic_ns()
                if now_ns - begin_ns >= _LOOK_NS:
                    await asyncio.sleep(0)
                    begin_ns = time.monotonic_ns()
                    now_ns = begin_ns
                _look_at_some(found[at : min(at + _LOOK_TURN, start + step)], members, look, now_ns)

            await asyncio.sleep(within_s / len(starts))

    def _show_old(self, exchange: Exchange, now_ns: int) -> None:
        if exchange.slot == -1 and now_ns - exchange.started_ns >= INFLIGHT_AFTER_NS:
            access = self.routes.routes[exchange.route].access
            self.recorder.show(exchange, Caller() if access is None else access.caller(exchange))
        if exchange.slot >= 0 and exchange.status:
            self.recorder.show_status(exchange)

    async def _sweep(self) -> None:
        """Enforce the deadlines of all connections, again and again."""
        while True:
            pools: tuple[Pool | Http2Pool, ...] = (*self.pools, *self.http2_pools)
            _look_at_some(pools, pools, _expire, time.monotonic_ns())
            is_near = self._idle_eviction.is_near(len(self.connections))
            look = self._check_and_note if is_near else _check
            await self._look_at(self.connections, look, within_s=SWEEP_S)
            self._idle_eviction.swept()

    def _check_and_note(self, connection: Connection, now_ns: int) -> None:
        connection.check(now_ns)
        self._idle_eviction.note(connection, now_ns)

    async def drain(self, since_ns: int) -> None:
        """Finish: idle connections close now, a few in a turn of the loop, the others after their
        exchange (P29).

        8,000 that close in one turn hold up for 0.1 s of CPU those whose exchanges still run.
        Connections that began since a time keep their place.
        """
        self.is_draining = True
        self.keeps_alive = False
        await self._look_at(
            self.connections,
            lambda connection, now_ns: connection.close_if_idle(since_ns),
            within_s=0,
        )

    def abort(self) -> None:
        """End what is left: every exchange is recorded as `shutdown`."""
        for connection in list(self.connections):
            connection.abort_for_shutdown()
        for pool in self.pools:
            pool.close()
        for http2_pool in self.http2_pools:
            http2_pool.close()


def _look_at_some(
    some: tuple[T, ...], members: Container[T], look: Callable[[T, int], None], now_ns: int
) -> None:
    """Check those that are still members; a bug in one is logged, and does not stop the check of
    the others.
    """
    left = iter(some)
    while True:
        try:
            for member in left:
                if member in members:
                    look(member, now_ns)
            return
        except Exception:
            log.exception("the engine's tick failed; the next one goes on")


def _expire(pool: Pool | Http2Pool, now_ns: int) -> None:
    pool.expire(now_ns)


def _record_id_format(name: str) -> bytes:
    """Return the format of the line with the record id; empty where no header is named."""
    if name:
        return b"%b: %%b\r\n" % name.replace("%", "%%").encode()
    return b""


def _kept(settings: Settings, routes: RouteTable) -> frozenset[bytes]:
    """Return the lower-case names of fields that mean something to the engine or to a route."""
    traces = TRACE_FIELDS if settings.proxy.trace_context else frozenset()
    named = (settings.capture.opt_out_header, settings.proxy.client_address_header)
    return routes.request_names | traces | {name.lower().encode() for name in named}


def _check(connection: Connection, now_ns: int) -> None:
    connection.check(now_ns)
