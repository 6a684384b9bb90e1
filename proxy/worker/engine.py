"""The engine: the state that all connections of one worker share. That is settings, routes, pools,
the memo of heads, and the tick.

It builds these parts, counts connections, and visits them to enforce deadlines. The work of a
connection is in `downstream.py`, `relay/` and `upstream/connection.py`. One tick serves every
deadline of the worker: a timer object per request would cost more than parsing the request.
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
from proxy.network.accept import IdleEviction, Waiting
from proxy.network.pacing import FairLoop
from proxy.process.descriptors import max_client_connections
from proxy.process.logs import lines_dropped
from proxy.ring.exchange import Exchange
from proxy.ring.inflight import Caller
from proxy.settings.model import LimitSettings, Settings
from proxy.worker.admission.key_auth import Gate
from proxy.worker.deadlines import INFLIGHT_AFTER_NS, TICK_S, Deadlines
from proxy.worker.exits.frame_writer import Steps
from proxy.worker.recorder import Recorder
from proxy.worker.routes import Route, RouteTable
from proxy.worker.upstream.http2_pool import Http2Pool
from proxy.worker.upstream.places import Lane
from proxy.worker.upstream.pool import Pool

log = logging.getLogger(__name__)

REST_S: Final = 0.5
"""The period of the tick without connections, so that an idle worker hardly wakes."""
_CLOCK_PERIOD_NS: Final = 1_000_000_000
"""Time between two samples of the clock."""
SWEEP_S: Final = 0.25
"""Duration of a sweep: one check of the deadlines of all connections, including idle ones."""
_VISIT_STEP: Final = 64
"""Connections checked between two pauses, in 0.1 ms: 10 000 at once would take 20 ms, and no
request is served meanwhile.
"""
_VISIT_TURN: Final = 16
"""Connections checked between two looks at the time: each passed deadline costs 40 µs, and those of
a crowd pass together.
"""
_VISIT_NS: Final = 200_000
"""After this time the rest waits for the next turn of the loop."""
_MAX_STEPS: Final = 125
"""Most steps of a sweep: they are then 2 ms apart, and timers have a resolution of milliseconds."""

RESPONSE_FIELDS: Final = 10
"""The head of a response may have this many times as many fields as a request's."""

MAX_SETTINGS_S: Final = 10.0
"""How long the preface and SETTINGS of an HTTP/2 client may take if `timeout_headers_s` is off."""

MAX_RENDERED_ROUTES: Final = 8
"""Routes for which a rendered head is kept: a client can send each of its heads to every route, and
the memo of heads then takes up to 32 MiB.
"""

T = TypeVar("T")


class Connection(Waiting, Protocol):
    """A client connection of either version of HTTP, as the engine and its server know it."""

    @property
    def is_flushing(self) -> bool:
        """True if bytes for the client are still in our buffer."""

    def check(self, now_ns: int) -> None:
        """Close the connection or end its exchanges if a time limit has passed."""

    def is_expected(self, since_ns: int) -> bool:
        """True if a request is probably on its way: the connection, or a head, began after
        `since_ns`.
        """

    def close_if_idle(self, since_ns: int) -> None:
        """Close now if nothing is under way or expected, otherwise after the next exchange."""

    def abort_for_shutdown(self) -> None:
        """Record the running exchanges as `shutdown`, and close."""


class UpstreamOpener(Protocol):
    """Opens upstream connections for one pool: `upstream/opener.py`, or the fuzzer's."""

    async def open(self, *, may_repeat: bool) -> Lane:
        """Return a lane of a new connection, or a lane that became free meanwhile.

        Raises:
            UpstreamError: a lane cannot be had.
        """


class Http2:
    """The limits and counts that all HTTP/2 connections of clients share."""

    __slots__ = ("connections", "limits", "open_streams")

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = Limits(
            max_header_bytes=limits.max_header_bytes or 1 << 24,
            connection_window_bytes=MAX_WINDOW_BYTES,
            timeout_settings_ns=int((limits.timeout_headers_s or MAX_SETTINGS_S) * 1e9),
        )
        self.connections = 0
        """Connections so far, and so the number of the newest one."""
        self.open_streams = 0
        """Streams open on all of them, never more than `max_connections`."""


class ResponseReaders:
    """Readers of response heads: routes with the same header rules share a reader and its memo.

    One memo bounds the memory for all of these routes, and contains a head once even if several
    upstreams send it. A reader for each route took 2 to 7 MiB (tracemalloc) with upstreams that
    never repeat a head.
    """

    __slots__ = ("_plain", "_readers")

    def __init__(self) -> None:
        self._plain = PlainLines()
        self._readers: dict[tuple[HeaderRules, int], ResponseHeads] = {}

    def reader(self, rules: HeaderRules, max_headers: int) -> ResponseHeads:
        """Return the reader that applies some rules to heads of up to `max_headers` fields; 0: any
        number.
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
        """Build the shared parts.

        Args:
            settings: the settings of the process.
            routes: its routes, compiled.
            recorder: turns exchanges into records.
            gate: the check of API keys.
            tasks: runs the opening of upstream connections, and outlives every connection.
            instance: the name that requests carry, to detect loops.
            turns: the connections that wait for their turn.
            opener: makes the opener of each pool.
        """
        limits = settings.proxy.limits
        self.routes: Final = routes
        self.recorder: Final = recorder
        self.gate: Final = gate
        self.tasks: Final = tasks
        # These are for connections without a request; each route has its own.
        self.deadlines: Final = Deadlines(limits)
        self.http2: Final = Http2(limits) if settings.proxy.http2 != "off" else None
        """None if clients may not speak HTTP/2."""
        self.trusted: Final = TrustedProxies(
            settings.proxy.trusted_proxies, settings.proxy.client_address_header
        )
        self.instance: Final = instance.encode()
        self.record_id_format: Final = _record_id_format(settings.proxy.record_id_header)
        self.head_end_format: Final = b"%b" + (self.record_id_format or b"%.0b") + b"\r\n"
        """The format that ends a response head with the line of the record id.

        If that line is off, `%.0b` formats the id to nothing.
        """
        self.max_head_bytes = limits.max_header_bytes or 1 << 24
        self.max_line_bytes = limits.max_line_bytes
        self.capture: Final = settings.capture
        self.pace: Final = recorder.pace(settings.capture.max_wait_ms)
        self.makes_traces: Final = settings.proxy.trace_context
        self.level: Final = settings.capture.level
        self.max_connections: Final = min(
            limits.max_connections or 1 << 30, max_client_connections()
        )
        self._idle_eviction = IdleEviction(self.max_connections)
        self._max_per_client = limits.max_connections_per_client
        self._open_of: dict[bytes, int] = {}
        """Client address → its open connections; kept only if they have a limit."""
        self.turns: Final = turns
        self.leaving: Final = turns.apart()
        """The connections whose clients left with nothing under way, to be closed in turns.

        To close one costs 10 µs, and thousands may leave at once.
        """
        self.encoder = LineEncoder()
        self.steps = Steps()
        # By the place of a route; places of outgoing calls come and go.
        self.pools: Final[dict[int, Pool]] = {}
        self.http2_pools: Final[dict[int, Http2Pool]] = {}
        self.openers: Final[dict[int, UpstreamOpener]] = {}
        self.http2_openers: Final[dict[int, UpstreamOpener]] = {}
        self._readers = ResponseReaders()
        for route in routes.routes:
            self.open_place(route, opener)
        self.connections: Final[set[Connection]] = set()
        self.in_flight: Final[set[Exchange]] = set()
        self._has_connection = asyncio.Event()
        self.is_draining = False
        self.shutdown_reason: Final = (
            b"cut off at the stop (%g s, drain_timeout_s)" % limits.drain_timeout_s
        )
        self.keeps_alive = True
        """True until the worker drains or retires: a connection may serve another request."""
        self.max_headers: Final = limits.max_headers or 1 << 20
        self._plain = PlainLines()
        self.heads: Final = RequestHeads(
            self._parse, max_line_bytes=self.max_line_bytes, kept=_kept(settings, routes)
        )

    def open_place(
        self, route: Route, opener: Callable[[Pool | Http2Pool], UpstreamOpener]
    ) -> None:
        """Make the HTTP/1.1 and the HTTP/2 pool of a route's upstream connections, and an opener
        for each pool with `opener`.
        """
        place = route.place
        responses = self._readers.reader(
            route.response_rules, RESPONSE_FIELDS * route.limits.max_headers
        )
        pool = Pool(
            route,
            lambda change: self.recorder.count("connections_upstream", by=change),
            self.turns,
            responses,
        )
        http2_pool = Http2Pool(
            route,
            self.recorder.count_http2_upstream,
            self.turns,
            responses,
            self.encoder,
            self.steps,
            partial(self.recorder.count_http2_reset, "upstream"),
        )
        self.pools[place] = pool
        self.http2_pools[place] = http2_pool
        self.openers[place] = opener(pool)
        self.http2_openers[place] = opener(http2_pool)

    def close_place(self, place: int) -> bool:
        """Remove the pools of a route, unless they have connections or waiting requests; return
        True if they were removed.
        """
        if self.pools[place].is_used or self.http2_pools[place].is_used:
            return False
        for made in (self.pools, self.http2_pools, self.openers, self.http2_openers):
            del made[place]
        return True

    def register(self, connection: Connection, peer: bytes) -> str:
        """Count a new connection in; or count it as refused, and return the limit that it exceeds.

        A connection without a `peer` has no known client yet, and does not count against a client's
        limit.
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
            self.recorder.count("refused_connections")
            return refusal

        if not self.connections:
            # The tick may have rested for half a second; keys may have changed meanwhile.
            self.gate.refresh()
            self._has_connection.set()
        self.connections.add(connection)
        self.recorder.count("connections_downstream")
        if self._max_per_client:
            self._open_of[peer] = self._open_of.get(peer, 0) + 1
        return ""

    def _evict_idle(self) -> bool:
        """Close the connection that has been idle longest, to make room for a new one; return False
        without an idle one.
        """
        is_evicted = self._idle_eviction.evict()
        if is_evicted:
            self.recorder.count("displaced_connections")
        return is_evicted

    def hand_over(self, connection: Connection, to: Connection) -> None:
        """Replace a connection among the open ones by `to`, which has taken over its transport."""
        self.connections.remove(connection)
        self.connections.add(to)

    def unregister(self, connection: Connection, peer: bytes) -> None:
        """Count a closed connection out; a refused one changes nothing."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self.recorder.count("connections_downstream", by=-1)
        left = self._open_of.pop(peer, 1) - 1
        if left > 0:
            self._open_of[peer] = left

    def request_reader(self, *, is_tls: bool) -> RequestReader:
        """Return a reader of the requests of one connection."""
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
            max_headers=self.max_headers,
            max_line_bytes=self.max_line_bytes,
            plain=self._plain,
        )
        if self.makes_traces:
            head.lacks_trace = drop_invalid_context(head)
        return head

    def render(self, head: RequestHead, route: Route) -> bytes:
        """Return the field lines of a head for a route's upstream.

        They are kept with the head, for the newest routes that used it.
        """
        lines = head.rendered.get(route.place)
        if lines is None:
            lines = route.render(head, self.instance)
            if len(head.rendered) >= MAX_RENDERED_ROUTES:
                del head.rendered[next(iter(head.rendered))]
            head.rendered[route.place] = lines

        return lines

    async def tick(self) -> None:
        """Run until cancelled: show old exchanges, enforce deadlines, sample the clock."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_clock(), name="engine clock")
            tasks.create_task(self._sweep(), name="deadlines")

    async def _follow_clock(self) -> None:
        """Update at each tick: gauges, exchanges in flight, keys, the clock."""
        sampled_ns = 0
        while True:
            await self._rest()
            self.recorder.set("requests_in_flight", len(self.in_flight))
            self.recorder.set("log_lines_dropped", lines_dropped())
            await self._visit_all(self.in_flight, self._publish_in_flight, within_s=0)
            self.gate.refresh()
            now_ns = time.monotonic_ns()
            if now_ns - sampled_ns >= _CLOCK_PERIOD_NS:
                sampled_ns = now_ns
                self.recorder.sample_clock()

    async def _rest(self) -> None:
        """Wait for the next tick; in a worker without connections, the first connection ends this
        rest.
        """
        if self.connections or self.in_flight:
            await asyncio.sleep(TICK_S)
            return

        self._has_connection.clear()
        try:
            async with asyncio.timeout(REST_S):
                await self._has_connection.wait()
        except TimeoutError:
            pass

    async def _visit_all(
        self, members: set[T], visit: Callable[[T, int], None], *, within_s: float
    ) -> None:
        """Call `visit` for all members, a few in a turn of the loop, evenly over `within_s`.

        A member that has left by the time of its turn is not visited.
        """
        found = tuple(members)
        step = max(_VISIT_STEP, math.ceil(len(found) / _MAX_STEPS))

        starts = range(0, max(1, len(found)), step)
        for start in starts:
            begin_ns = time.monotonic_ns()
            for at in range(start, min(start + step, len(found)), _VISIT_TURN):
                now_ns = time.monotonic_ns()
                if now_ns - begin_ns >= _VISIT_NS:
                    await asyncio.sleep(0)
                    begin_ns = time.monotonic_ns()
                    now_ns = begin_ns
                _visit(found[at : min(at + _VISIT_TURN, start + step)], members, visit, now_ns)

            await asyncio.sleep(within_s / len(starts))

    def _publish_in_flight(self, exchange: Exchange, now_ns: int) -> None:
        """Show an exchange in the in-flight table once it is old, with its status if known."""
        if exchange.slot == -1 and now_ns - exchange.started_ns >= INFLIGHT_AFTER_NS:
            access = self.routes.access_of(exchange.route)
            self.recorder.show(exchange, Caller() if access is None else access.caller(exchange))
        if exchange.slot >= 0 and exchange.status:
            self.recorder.show_status(exchange)

    async def _sweep(self) -> None:
        """Enforce the deadlines of all connections, again and again."""
        while True:
            pools: tuple[Pool | Http2Pool, ...] = (
                *self.pools.values(),
                *self.http2_pools.values(),
            )
            _visit(pools, pools, _expire, time.monotonic_ns())
            is_near = self._idle_eviction.is_near(len(self.connections))
            visit = self._check_and_note if is_near else _check
            await self._visit_all(self.connections, visit, within_s=SWEEP_S)
            self._idle_eviction.swept()

    def _check_and_note(self, connection: Connection, now_ns: int) -> None:
        """Check a connection, and note it for eviction if it is idle."""
        connection.check(now_ns)
        self._idle_eviction.note(connection, now_ns)

    async def drain(self, since_ns: int) -> None:
        """Close idle connections now, a few in each turn of the loop, and the others after their
        exchange (P29).

        Connections that began after `since_ns` stay, for a request that is on its way. Closing
        8,000 at once would block running requests for 0.1 s.
        """
        self.is_draining = True
        self.keeps_alive = False
        await self._visit_all(
            self.connections,
            lambda connection, now_ns: connection.close_if_idle(since_ns),
            within_s=0,
        )

    def abort(self) -> None:
        """End every connection; running exchanges are recorded as `shutdown`."""
        for connection in list(self.connections):
            connection.abort_for_shutdown()
        for pool in self.pools.values():
            pool.close()
        for http2_pool in self.http2_pools.values():
            http2_pool.close()


def _visit(
    some: tuple[T, ...], members: Container[T], visit: Callable[[T, int], None], now_ns: int
) -> None:
    """Call `visit` for those that are still members.

    An unexpected error is logged, and the visits go on.
    """
    left = iter(some)
    while True:
        try:
            for member in left:
                if member in members:
                    visit(member, now_ns)
            return
        except Exception:
            log.exception("the engine's tick failed; the next one goes on")


def _expire(pool: Pool | Http2Pool, now_ns: int) -> None:
    pool.expire(now_ns)


def _record_id_format(name: str) -> bytes:
    """Return the format of the field line with the record id; empty if the line is off."""
    if name:
        return b"%b: %%b\r\n" % name.replace("%", "%%").encode()
    return b""


def _kept(settings: Settings, routes: RouteTable) -> frozenset[bytes]:
    """Return the lower-case names of fields that the engine or a route uses."""
    traces = TRACE_FIELDS if settings.proxy.trace_context else frozenset()
    client_address = settings.proxy.client_address_header.lower().encode()
    return routes.request_names | traces | {client_address}


def _check(connection: Connection, now_ns: int) -> None:
    connection.check(now_ns)
