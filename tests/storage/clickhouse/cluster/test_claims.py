"""Of a number that many claim, one gets it, on whichever replica."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.answers import AlreadyThere
from storage.clickhouse.cluster.claims import Claims
from storage.clickhouse.cluster.engines import made_for
from storage.clickhouse.cluster.replicas import ClusterLink
from storage.clickhouse.writes.journal import COMMITS
from storage.errors import StorageUnavailable
from tests.support.clickhouse_cluster import cluster

pytestmark = pytest.mark.clickhouse


@pytest.fixture
async def link() -> AsyncIterator[ClusterLink]:
    """A link to a database with a journal, on both replicas, and without a claim."""
    running = cluster()
    opened = ClusterLink(Address.of(urlsplit(running.url(running.database()))))
    for copy in opened.copies:
        await copy.link.execute(made_for(opened.address, COMMITS), limit_s=30)
    await Claims(opened, "log").create()
    yield opened
    await opened.close()


async def test_one_of_many_gets_a_number(link: ClusterLink) -> None:
    """The others are told, and all read the same content."""
    claims = [Claims(copy.link, "log") for copy in link.copies for _ in range(3)]
    assert await claims[0].newest() == (0, b"")

    async def claim(number: int, place: int) -> bool:
        try:
            await claims[place].claim(number, bytes([place]))
        except AlreadyThere:
            return False
        return True

    for number in (1, 2):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(claim(number, place)) for place in range(len(claims))]
        assert sum(task.result() for task in tasks) <= 1
        newest = {await one.newest() for one in claims}
        assert len(newest) == 1
        ((found, content),) = newest
        assert found == number
        won = [place for place, task in enumerate(tasks) if task.result()]
        assert not won or content == bytes(won)


async def test_what_comes_late_is_void(link: ClusterLink) -> None:
    """A number that was dropped meanwhile is not claimed again."""
    claims = Claims(link, "log")
    for number in (1, 2, 3):
        await claims.claim(number, b"first")
    await claims.forget(3)
    assert await claims.content(1) is None
    with pytest.raises(StorageUnavailable, match="log 1 was made by this sidecar or by another"):
        await claims.claim(1, b"late")
    assert await claims.newest() == (3, b"first")


async def test_the_newest_stays(link: ClusterLink) -> None:
    """Whatever is to be forgotten: without it numbers would begin anew."""
    claims = Claims(link, "log")
    await claims.claim(1, b"only")
    await claims.forget(100)
    assert await claims.newest() == (1, b"only")
