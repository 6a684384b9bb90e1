"""`DELETE /api/records` erases what its filter names, and nothing without one."""

from collections.abc import Awaitable, Callable

from api.services import Services
from storage.query import Filter
from tests.api.conftest import BEARER, Client, World
from tests.storage.samples import make_batch, make_record

Start = Callable[[Services], Awaitable[Client]]


async def test_a_filter_is_erased_and_a_receipt_answered(world: World, start: Start) -> None:
    """The answer says how many records went, up to which number, and by which filter."""
    await world.storage.commit(
        make_batch(make_record(project="a"), make_record(project="b"), make_record(project="a", status=404))
    )
    client = await start(world.services())
    answer = await client.delete("/api/records?project=a&status=2xx", headers=BEARER)
    assert answer.status == 200
    receipt = await answer.json()
    assert receipt["exchanges"] == 1
    assert receipt["events"] == 0
    assert receipt["through_seq"] == 3
    assert receipt["filter"] == {"project": ["a"], "status": ["2xx"]}
    assert (await world.storage.count(Filter())).exchanges == 2


async def test_nothing_is_erased_by_mistake(world: World, start: Start) -> None:
    """No filter, one that does not exist, and no token are refused."""
    await world.storage.commit(make_batch(make_record()))
    client = await start(world.services())
    assert (await client.delete("/api/records", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?project=", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?projcet=a", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?limit=1", headers=BEARER)).status == 400
    assert (await client.delete("/api/records?project=catalogue")).status == 401
    assert (await world.storage.count(Filter())).exchanges == 1
