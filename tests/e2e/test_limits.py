"""Crowds and large bodies through whole processes, in small: test_limits_long.py has them in full."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from proxy.settings.model import LimitSettings
from tests.support.crowd import (
    GET,
    Healthy,
    ask_many,
    connect,
    dribble,
    fickle_upstream,
    raise_descriptor_limit,
    rss_bytes,
    sink_and_source,
    transfer,
)
from tests.support.script import Script
from tests.support.sidelog import Sidelog, await_pids, eventually
from tests.support.upstream import scripted

MIB = 1 << 20
SETTLE_S = 0.5


@contextlib.contextmanager
def running(tmp_path: Path, upstream: str, **limits: object) -> Iterator[tuple[Sidelog, int]]:
    """A sidelog with limits of its own, and its worker's process id; all it holds must be given
    back.
    """
    raise_descriptor_limit()
    environ = {
        f"SIDELOG_PROXY__LIMITS__{name.upper()}": str(value) for name, value in limits.items()
    }
    with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        (pid,) = await_pids(sidelog, "proxy.worker")
        yield sidelog, pid
        eventually(lambda: sidelog.api("/api/status"))
        sidelog.settled_ledger()


def check_dribbling(tmp_path: Path, count: int, limit_s: float) -> str:
    """Slow heads are closed at the deadline with 408; healthy requests keep being answered."""
    with (
        scripted(Script()) as url,
        running(tmp_path, url, timeout_headers_s=limit_s) as (sidelog, _),
        Healthy(sidelog.port) as healthy,
    ):
        ended = dribble(sidelog.port, count, limit_s * 2 + 30, limit_s / 7)

    assert len(ended) == count
    assert {status for _, status in ended} == {408}
    times = sorted(after_s for after_s, _ in ended)
    assert times[0] >= limit_s
    assert times[-1] <= limit_s + 20  # bytes that bought time would buy it to the end
    assert set(healthy.statuses) == {200}
    return (
        f"{count} dribbling heads closed after {times[0]:.2f} to {times[-1]:.2f} s; "
        f"{healthy.statuses[200]} healthy requests, p50 {healthy.percentile_ms(0.5):.1f} ms, p99 "
        f"{healthy.percentile_ms(0.99):.1f} ms"
    )


def check_idle(tmp_path: Path, count: int, max_growth_bytes: int) -> str:
    """Idle kept-alive connections cost little, stay open, and give their memory's growth a bound."""
    with (
        scripted(Script()) as url,
        running(tmp_path, url, max_connections=count + 10) as (sidelog, pid),
        contextlib.ExitStack() as stack,
    ):
        for _ in range(20):
            _ask(connect(sidelog.port)).close()
        time.sleep(SETTLE_S)
        before = rss_bytes(pid)
        crowd = [_ask(stack.enter_context(connect(sidelog.port))) for _ in range(count)]
        time.sleep(SETTLE_S)
        growth = rss_bytes(pid) - before
        for connection in crowd[:: max(1, count // 100)]:
            _ask(connection)  # it is still served

    assert growth <= max_growth_bytes
    return f"{count} idle connections: +{growth / MIB:.1f} MiB, {growth / count:.0f} bytes each"


def _ask(connection: socket.socket) -> socket.socket:
    connection.sendall(GET)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    return connection


def check_transfers(tmp_path: Path, count: int, size: int, max_growth_bytes: int) -> str:
    """Parallel downloads and uploads arrive whole, and the worker's memory does not follow their
    size.
    """
    with (
        scripted(lambda connection, _: sink_and_source(connection, size)) as url,
        running(tmp_path, url) as (sidelog, pid),
    ):
        transfer(sidelog.port, size, 2)  # to warm up
        time.sleep(SETTLE_S)
        before = rss_bytes(pid)
        began = time.monotonic()
        with sampling(lambda: rss_bytes(pid)) as samples:
            found = transfer(sidelog.port, size, count)
        spent_s = time.monotonic() - began
        assert found == [size] * count

    growth = max(samples) - before
    assert growth <= max_growth_bytes
    return (
        f"{count} transfers of {size // MIB} MiB in {spent_s:.1f} s: at most +{growth / MIB:.1f} "
        "MiB"
    )


@contextlib.contextmanager
def sampling(probe: Callable[[], int]) -> Iterator[list[int]]:
    """Look again and again while the block runs."""
    samples = [probe()]
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.05):
            samples.append(probe())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


def check_fickle(tmp_path: Path, count: int, clients: int) -> str:
    """No GET fails over an upstream that closes idle connections at random, and no POST is sent
    twice.
    """
    with fickle_upstream(5) as (url, seen), running(tmp_path, url) as (sidelog, _):
        found = ask_many(sidelog.port, count, clients)
    assert {status for method, status in found if method == "GET"} == {200}
    assert sum(found.values()) == count
    assert {status for method, status in found if method == "POST"} <= {200, 502}
    posts = [times for target, times in seen.items() if int(target.rpartition(b"/")[2]) % 10 == 9]
    assert posts
    assert max(posts) == 1
    again = sum(times - 1 for times in seen.values())
    return (
        f"{found['GET', 200]} GETs without an error, {again} seen twice; POSTs: "
        f"{found['POST', 200]} answered, " + (f"{found['POST', 502]} failed, none sent twice")
    )


def test_slow_heads_are_closed_while_others_are_served(tmp_path: Path) -> None:
    """50 dribbling heads, one second."""
    check_dribbling(tmp_path, 50, 1.0)


def test_large_bodies_leave_memory_flat(tmp_path: Path) -> None:
    """10 transfers of 16 MiB."""
    check_transfers(tmp_path, 10, 16 * MIB, 64 * MIB)


def test_idle_connections_that_the_upstream_closes_are_no_errors(tmp_path: Path) -> None:
    """600 requests."""
    check_fickle(tmp_path, 600, 6)


def test_the_long_limits_are_the_defaults() -> None:
    """What the long run measures is what is shipped."""
    limits = LimitSettings()
    assert (limits.timeout_headers_s, limits.max_connections) == (10, 10_000)
