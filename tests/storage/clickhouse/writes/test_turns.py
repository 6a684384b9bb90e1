"""What a journal asks of turns, as one server has them; those of a cluster are tested over replicas."""

from storage.clickhouse.link import Link
from storage.clickhouse.writes.epochs import Epochs
from storage.clickhouse.writes.journal import COMMITS
from storage.clickhouse.writes.turns import Turns


async def test_a_turn_is_over_when_another_begins(link: Link) -> None:
    """Numbers rise over all writers; who has given up its turn does not hold up the next."""
    await link.execute(COMMITS, limit_s=30)
    writers: list[Turns] = [Epochs(link), Epochs(link)]
    first, second = writers
    assert await first.begin()
    assert await first.is_newest()
    await first.give_up()
    assert await second.begin()
    assert second.own > first.own > 0
    assert not await first.is_newest()
    assert await second.is_newest()
    assert await second.handed_in("anybody") == []
