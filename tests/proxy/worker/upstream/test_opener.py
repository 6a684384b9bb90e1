"""Opening connections: who waits for a place, and who is woken."""

import asyncio
import time

import pytest

from proxy.http1.errors import UpstreamError
from tests.proxy.worker.upstream.test_pool import new_pool, opener_of, serve
from tests.support.ports import free_port


async def test_a_place_given_to_a_waiter_that_left_goes_to_the_next() -> None:
    """No wake-up is wasted on a request whose client is gone."""
    writers: list[asyncio.StreamWriter] = []
    server, url = await serve(lambda _, writer: writers.append(writer))
    opened: list[int] = []
    pool = new_pool(url, opened, upstream_max_connections=1, timeout_connect_s=30)
    async with server:
        first = await opener_of(pool).open(is_idempotent=True)
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(opener_of(pool).open(is_idempotent=True), name="leaving")
            staying = tasks.create_task(opener_of(pool).open(is_idempotent=True), name="staying")
            await asyncio.sleep(0.01)
            first.is_reused = True
            pool.release(first, time.monotonic_ns())
            leaving.cancel()
            async with asyncio.timeout(60):
                assert await staying is first
        pool.close()
        for writer in writers:
            writer.close()
    assert sum(opened) == 0


async def test_a_failed_connection_gives_its_place_to_the_next() -> None:
    """Whoever waits for a place is woken when the connection in it could not be opened."""
    pool = new_pool(f"http://127.0.0.1:{free_port()}", [], upstream_max_connections=1, timeout_connect_s=30)

    async def fail() -> str:
        with pytest.raises(UpstreamError) as caught:
            await opener_of(pool).open(is_idempotent=True)
        return caught.value.code

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        codes = [tasks.create_task(fail(), name=f"open {number}") for number in range(3)]
    assert [task.result() for task in codes] == ["upstream_refused"] * 3
