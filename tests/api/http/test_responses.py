"""Encoding of long pages."""

import asyncio
import time

import msgspec

from api.http.responses import encode_rows


async def test_rows_become_one_list() -> None:
    """The encoded rows stand in an answer as if it had been encoded whole."""
    rows = await encode_rows(range(3), lambda number: {"n": number})
    assert msgspec.json.encode({"rows": rows}) == b'{"rows":[{"n":0},{"n":1},{"n":2}]}'
    assert await encode_rows([], str) == []


async def test_the_loop_goes_on_between_slices() -> None:
    """Another task runs before a slow page is finished."""
    ran = asyncio.Event()
    seen: list[bool] = []

    def project(number: int) -> int:
        seen.append(ran.is_set())
        time.sleep(0.002)
        return number

    async def other() -> None:
        ran.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other(), name="other")
        await encode_rows(range(3), project)
    assert (seen[0], seen[-1]) == (False, True)
