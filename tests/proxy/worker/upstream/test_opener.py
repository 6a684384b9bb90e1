"""Opening connections: who waits for a lane or room, who is woken, and tunnels through a proxy."""

import asyncio
import socket
import time

import msgspec
import pytest

from proxy.http1.errors import UpstreamError
from proxy.settings.addresses import Via
from proxy.worker.upstream.opener import MAX_TUNNEL_HEAD_BYTES, open_tunnel
from proxy.worker.upstream.pool import POST_IDLE_NS
from tests.proxy.worker.upstream.test_pool import new_pool, opener_of, silent_pool
from tests.support.ports import free_port


async def test_a_place_given_to_a_waiter_that_left_goes_to_the_next() -> None:
    """No wake-up is wasted on a request whose client is gone."""
    opened: list[int] = []
    async with silent_pool(opened, upstream_max_connections=1) as pool:
        first = await opener_of(pool).open(may_repeat=True)
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(opener_of(pool).open(may_repeat=True), name="leaving")
            staying = tasks.create_task(opener_of(pool).open(may_repeat=True), name="staying")
            await asyncio.sleep(0.01)
            first.is_reused = True
            pool.release(first, time.monotonic_ns())
            leaving.cancel()
            assert await staying is first

    assert sum(opened) == 0


async def test_a_failed_connection_gives_its_place_to_the_next() -> None:
    """Whoever waits for a place is woken when the connection in it could not be opened."""
    pool = new_pool(f"http://127.0.0.1:{free_port()}", [], upstream_max_connections=1)

    async def fail() -> str:
        with pytest.raises(UpstreamError) as caught:
            await opener_of(pool).open(may_repeat=True)
        return caught.value.code

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = [tasks.create_task(fail(), name=f"open {number}") for number in range(3)]
    assert [task.result() for task in codes] == ["upstream_refused"] * 3


async def test_an_idle_connection_that_is_too_old_makes_room() -> None:
    """Where all places are taken by idle connections that a request must not use, it gets the place
    of one (P13).
    """
    opened: list[int] = []
    async with silent_pool(opened, upstream_max_connections=2, upstream_keep_alive_s=60) as pool:
        idle = [await opener_of(pool).open(may_repeat=True) for _ in range(2)]
        for connection in idle:
            pool.release(connection, time.monotonic_ns() - POST_IDLE_NS)
        assert pool.acquire(time.monotonic_ns(), may_repeat=False) is None
        connection = await opener_of(pool).open(may_repeat=False)
        assert connection not in idle
        assert [idle[0].transport.is_closing(), idle[1].transport.is_closing()] == [True, False]
        assert sum(opened) == 2
        assert await opener_of(pool).open(may_repeat=True) is idle[1]


async def test_a_waiter_that_timed_out_leaves_the_queue() -> None:
    """A place may be taken for days, by a WebSocket; requests that give up meanwhile are not
    remembered.
    """
    async with silent_pool(upstream_max_connections=1) as pool:
        await opener_of(pool).open(may_repeat=True)
        pool.route.limits = msgspec.structs.replace(pool.route.limits, timeout_connect_s=0.02)
        for _ in range(3):
            with pytest.raises(UpstreamError):
                await opener_of(pool).open(may_repeat=True)
        assert not pool._waiting


async def test_a_newcomer_takes_nothing_from_waiters() -> None:
    """One that asks as a connection comes back, such as a client with its next request at hand, is
    the last in line.
    """
    async with silent_pool(upstream_max_connections=1) as pool:
        connection = await opener_of(pool).open(may_repeat=True)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(opener_of(pool).open(may_repeat=True), name="first")
            await asyncio.sleep(0.01)
            pool.release(connection, time.monotonic_ns())
            assert pool.acquire(time.monotonic_ns(), may_repeat=True) is None
            newcomer = tasks.create_task(opener_of(pool).open(may_repeat=True), name="newcomer")
            await asyncio.sleep(0.01)
            assert (first.done(), newcomer.done()) == (True, False)
            pool.release(connection, time.monotonic_ns())
            assert await newcomer is connection

        pool.release(connection, time.monotonic_ns())
        assert pool.acquire(time.monotonic_ns(), may_repeat=True) is connection


async def test_a_waiter_woken_in_vain_is_first_again() -> None:
    """The connection it was woken for may be lost, and the room be taken, before it runs."""
    async with silent_pool(upstream_max_connections=1) as pool:
        lost = await opener_of(pool).open(may_repeat=True)
        async with asyncio.TaskGroup() as tasks:
            waiting = []
            for number in range(3):
                waiting.append(
                    tasks.create_task(opener_of(pool).open(may_repeat=True), name=str(number))
                )
                await asyncio.sleep(0.01)

            pool.release(lost, time.monotonic_ns())
            lost.close()
            connection = await waiting[0]
            assert [task.done() for task in waiting] == [True, False, False]
            for task in waiting[1:]:
                pool.release(connection, time.monotonic_ns())
                assert await task is connection


async def test_a_waiter_that_needed_less_wakes_the_next() -> None:
    """Two connections become free for one waiter: a newcomer gets the other one."""
    async with silent_pool(upstream_max_connections=2) as pool:
        both = [await opener_of(pool).open(may_repeat=True) for _ in range(2)]
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(opener_of(pool).open(may_repeat=True), name="first")
            await asyncio.sleep(0.01)
            for connection in both:
                pool.release(connection, time.monotonic_ns())
            newcomer = await opener_of(pool).open(may_repeat=True)
            assert {newcomer, await first} == set(both)


async def test_the_place_of_an_idle_connection_that_expires_is_taken() -> None:
    """It is closed when it is looked at: nobody else will say that there is room."""
    async with silent_pool(upstream_max_connections=1, upstream_keep_alive_s=10) as pool:
        idle = await opener_of(pool).open(may_repeat=True)
        pool.release(idle, time.monotonic_ns() - 10_000_000_000)
        assert await opener_of(pool).open(may_repeat=True) is not idle


@pytest.mark.parametrize(
    "leaves", [True, False], ids=["the client leaves", "the address is silent"]
)
async def test_only_what_an_address_did_counts_against_it(leaves: bool) -> None:
    """One that takes connections and never answers a TLS handshake comes after the others for a
    while (P26).
    """
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda _, writer: accepted.put_nowait(writer), "127.0.0.1", 0
    )
    address = socket.AF_INET, server.sockets[0].getsockname()
    pool = new_pool(
        f"https://localhost:{address[1][1]}", [], timeout_connect_s=30 if leaves else 10
    )
    opener = opener_of(pool)

    async def fail() -> None:
        with pytest.raises((UpstreamError, asyncio.CancelledError)):
            await opener.open(may_repeat=True)

    async with server, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(fail(), name="open")
        writer = await accepted.get()
        if leaves:
            opening.cancel()
        await opening
        writer.close()

    pool.close()
    assert opener._dialer is not None
    assert (address in opener._dialer._order._avoided) is not leaves


async def ask_for_tunnel(answer: bytes, credentials: bytes = b"") -> tuple[bytes, bytes]:
    """Open a tunnel at a proxy that gives an answer; return what it was asked, and what is left to
    read.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        await open_tunnel(ours, b"app.example:443", Via("proxy", 3128, credentials))
        left = await asyncio.get_running_loop().sock_recv(ours, 1000)
        return theirs.recv(1000), left


async def test_bytes_behind_the_answer_to_connect_belong_to_the_upstream() -> None:
    """It is not read; a server of HTTP/2 may speak first."""
    asked, left = await ask_for_tunnel(
        b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello"
    )
    assert asked == b"CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443\r\n\r\n"
    assert left == b"hello"


async def test_connect_carries_the_credentials_of_the_setting() -> None:
    """As the setting has them."""
    asked, _ = await ask_for_tunnel(b"HTTP/1.0 200 OK\r\n\r\n", b"Basic eDp5")
    assert asked.endswith(b"\r\nProxy-Authorization: Basic eDp5\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            b"HTTP/1.1 407 Authentication Required\r\n\r\n",
            "answered 'HTTP/1.1 407 Authentication Required' to CONNECT",
        ),
        (b"HTTP/1.1 503 \x1b[31m\r\n\r\n", "answered 'HTTP/1.1 503"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answered 'SSH-2.0-OpenSSH'"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
        (b"", "closed the connection"),
        (b"x" * (MAX_TUNNEL_HEAD_BYTES + 10), "no answer of HTTP/1.1"),
    ],
    ids=["407", "503", "ssh", "cut", "empty", "long"],
)
async def test_a_refused_tunnel_is_an_error_with_its_reason(answer: bytes, reason: str) -> None:
    """The message names the setting that led there, and holds no control characters."""
    with pytest.raises(OSError, match=reason) as caught:
        await ask_for_tunnel(answer)
    assert str(caught.value).isprintable()
