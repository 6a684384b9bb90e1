"""The pool by itself: whom a connection is lent to, and for how long it is kept."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self, cast

import pytest

from proxy.network.pacing import FairLoop
from proxy.process.version import BUILD
from proxy.settings.model import LimitSettings, ProxySettings, RouteSettings, Settings
from proxy.worker.engine import ResponseReaders
from proxy.worker.routes import Route
from proxy.worker.upstream.connection import UpstreamConnection
from proxy.worker.upstream.opener import Opener
from proxy.worker.upstream.pool import REST_NS, Pool
from proxy.worker.upstream.response_handler import ResponseHandler


def new_pool(url: str, opened: list[int], **limits: float) -> Pool:
    """A pool; a starved process may need more than the usual time to connect."""
    settings = LimitSettings(**{"timeout_connect_s": 30, **limits})  # type: ignore[arg-type]
    proxy = ProxySettings(limits=settings)
    route = Route(0, RouteSettings(id="r", upstream=url), Settings(proxy=proxy))
    responses = ResponseReaders().reader(route.response_rules, settings.max_headers)
    return Pool(route, opened.append, FairLoop(), responses)


def opener_of(pool: Pool) -> Opener[UpstreamConnection]:
    return Opener(pool, frozenset())


@asynccontextmanager
async def silent_pool(opened: list[int] | None = None, **limits: float) -> AsyncIterator[Pool]:
    """A pool whose upstream takes connections and answers nothing; all of them are closed at the
    end.
    """
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    pool = new_pool(url, [] if opened is None else opened, **limits)

    async with server, asyncio.timeout(60):
        yield pool
        pool.close()
        for writer in writers:
            writer.close()


async def test_a_request_that_must_not_be_repeated_takes_only_fresh_connections() -> None:
    """A connection idle for a second is lent to idempotent requests only."""
    async with silent_pool() as pool:
        connection = await opener_of(pool).open(may_repeat=True)
        now_ns = time.monotonic_ns()
        pool.release(connection, now_ns)
        late_ns = now_ns + 1_000_000_000
        assert pool.acquire(late_ns, may_repeat=False) is None
        assert pool.acquire(late_ns, may_repeat=True) is connection
        pool.release(connection, now_ns)
        assert pool.acquire(late_ns - 1, may_repeat=False) is connection
        pool.release(connection, now_ns)
        pool.expire(now_ns + pool.keep_alive_ns)
        assert pool.acquire(late_ns, may_repeat=True) is None


async def _answered(pool: Pool, count: int) -> list[UpstreamConnection]:
    """Open connections and take them back, as after a response on each; all of them are idle then."""
    connections = [await opener_of(pool).open(may_repeat=True) for _ in range(count)]
    for connection in connections:
        pool.release(connection, time.monotonic_ns())
    return connections


async def _failed(pool: Pool, now_ns: int) -> UpstreamConnection:
    """A connection that has just carried a 5xx."""
    connection = await opener_of(pool).open(may_repeat=True)
    connection.is_after_5xx = True
    pool.release(connection, now_ns)
    return connection


async def test_a_connection_rests_behind_a_5xx() -> None:
    """Its upstream may be about to close it; when it did not, the connection is as good as any."""
    async with silent_pool() as pool:
        pool._concurrency.served(1000)
        now_ns = time.monotonic_ns()
        connection = await _failed(pool, now_ns)
        assert pool.acquire(now_ns + REST_NS - 1, may_repeat=True) is None
        assert pool.acquire(now_ns + REST_NS, may_repeat=False) is connection


async def test_one_that_is_ended_in_its_rest_is_not_lent() -> None:
    """Not even where the loop had no time to hear of it."""
    async with silent_pool() as pool:
        pool._concurrency.served(1000)
        now_ns = time.monotonic_ns()
        connection = await _failed(pool, now_ns)
        connection.transport.get_extra_info("socket").shutdown(socket.SHUT_RD)
        assert pool.acquire(now_ns + REST_NS, may_repeat=True) is None
        assert connection.transport.is_closing()


@pytest.mark.parametrize("served", [1, 1000])
async def test_no_connection_rests_where_others_would_wait_for_it(served: int) -> None:
    """Behind one that is served alone, or for a place at the limit."""
    async with silent_pool(upstream_max_connections=1) as pool:
        pool._concurrency.served(served)
        connection = await _failed(pool, time.monotonic_ns())
        assert connection.transport.is_closing() is (served == 1)
        assert pool.make_room()
        assert connection.transport.is_closing()


async def test_a_connection_ends_at_an_age_that_is_not_that_of_all() -> None:
    """So traffic follows a name to its new address, and not all of it in the same moment."""
    opened: list[int] = []
    async with silent_pool(opened) as pool:
        begin_ns = time.monotonic_ns()
        connections = await _answered(pool, 3)
        ages_s = [(connection.retires_ns - begin_ns) / 1e9 for connection in connections]
        assert all(3240 <= age_s < 3601 for age_s in ages_s)
        assert len(set(ages_s)) == 3
        pool.release(connections[0], connections[0].retires_ns - 1)
        assert sum(opened) == 3
        pool.release(connections[0], connections[0].retires_ns)
        assert sum(opened) == 2


class Asking:
    """A request that was sent and waits."""

    is_request_complete = True


async def test_idle_connections_are_kept_once_two_were_served() -> None:
    """Before, for half a second; whoever serves one at a time never shows two (P27)."""
    async with silent_pool(upstream_keep_alive_s=60) as pool:
        [only] = await _answered(pool, 1)
        pool.expire(only.idle_since_ns + 400_000_000)
        assert len(pool._idle) == 1
        pool.expire(only.idle_since_ns + 600_000_000)
        assert len(pool._idle) == 0
        first, _ = await _answered(pool, 2)
        pool.expire(first.idle_since_ns + 50_000_000_000)
        assert len(pool._idle) == 2


async def test_idle_connections_are_let_go_when_another_may_wait_for_them() -> None:
    """A new connection without an answer beside as many as were ever served: they go, and the
    suspicion stays.
    """
    async with silent_pool(upstream_keep_alive_s=60) as pool:
        first, second = await _answered(pool, 2)
        waiting = await opener_of(pool).open(may_repeat=True)
        waiting.begin(cast(ResponseHandler, Asking()), b"GET / HTTP/1.1\r\n\r\n")
        since_ns = pool._unanswered[waiting]
        pool.expire(since_ns + 100_000_000)
        assert list(pool._idle) == [first, second]
        pool.expire(since_ns + 300_000_000)
        assert list(pool._idle) == []
        for connection in await _answered(pool, 2):
            assert connection.transport.is_closing() is (connection not in pool._idle)
        assert len(pool._idle) == 1


async def test_a_slow_answer_beside_fewer_than_were_served_changes_nothing() -> None:
    """The upstream has shown that it serves more at once."""
    async with silent_pool(upstream_keep_alive_s=60) as pool:
        connections = await _answered(pool, 3)
        connections[0].close()
        waiting = await opener_of(pool).open(may_repeat=True)
        waiting.begin(cast(ResponseHandler, Asking()), b"GET / HTTP/1.1\r\n\r\n")
        pool.expire(time.monotonic_ns() + 10_000_000_000)
        assert list(pool._idle) == connections[1:]


needs_source = pytest.mark.skipif(
    BUILD == "compiled", reason="a compiled pool takes no connections but its own"
)


class Looked:
    """A connection that counts how often somebody looks at it."""

    looks = 0
    is_reused = False
    idle_since_ns = 0
    keep_alive_ns = 1 << 62
    retires_ns = keep_alive_ns
    uses_left = keep_alive_ns
    is_after_5xx = False

    @property
    def transport(self) -> Self:
        """Itself."""
        return self

    def is_closing(self) -> bool:
        """Be looked at."""
        Looked.looks += 1
        return False

    def __eq__(self, other: object) -> bool:
        Looked.looks += 1
        return self is other

    __hash__ = object.__hash__


@needs_source
def test_what_a_connection_costs_does_not_depend_on_how_many_are_open() -> None:
    """A thousand that are answered, become idle, and are closed, oldest first, are looked at a few
    times each.
    """
    pool = new_pool("http://127.0.0.1:1", [])
    crowd = cast("list[UpstreamConnection]", [Looked() for _ in range(1000)])
    for connection in crowd:
        pool.begin_opening()
        pool.opened(connection)
        pool.release(connection, 0)

    for connection in crowd:
        pool.remove(connection)
    assert not pool._idle
    assert Looked.looks <= 3000


@needs_source
def test_one_that_its_upstream_ended_is_not_counted_beside_the_next() -> None:
    """A server that serves one at a time closes the first before it answers the second (P27)."""
    pool = new_pool("http://127.0.0.1:1", [])
    first, second = (cast("UpstreamConnection", Looked()) for _ in range(2))
    for connection in (first, second):
        pool.begin_opening()
        pool.opened(connection)
    pool.release(first, 0)
    pool.note_eof(first)
    pool.release(second, 0)
    assert pool._concurrency.seen == 1
