"""Of rows those count that were committed, as of the moment of the read."""

from storage.clickhouse.link import Link
from storage.clickhouse.native import Column
from storage.clickhouse.reads.visible import MAX_RANGES, Commits
from storage.clickhouse.tables import create
from storage.clickhouse.upkeep.grids import GRIDS
from storage.clickhouse.upkeep.segments import SEGMENTS
from storage.clickhouse.writes.journal import COMMITS


async def commit(link: Link, attempt: int, last_seq: int, first_attempt: int | None = None) -> None:
    """Write a row of the journal with one row of records."""
    columns = {"first_attempt": attempt if first_attempt is None else first_attempt, "attempt": attempt}
    made = [Column(name, "UInt64", [value]) for name, value in columns.items()]
    await link.insert("commits", [*made, Column("last_seq", "Int64", [last_seq])], limit_s=30)


async def rows(link: Link, *places: tuple[int, int]) -> None:
    """Write rows of some `seq`s and attempts."""
    seqs, attempts = zip(*places, strict=True)
    await link.insert("some", [Column("seq", "Int64", seqs), Column("attempt", "UInt64", attempts)], limit_s=30)


async def seen(link: Link, condition: str) -> list[tuple[int, int]]:
    """Read which rows fulfil a condition."""
    found = await link.fetch(f"SELECT seq, attempt FROM some WHERE {condition} ORDER BY seq, attempt", limit_s=30)
    return [(seq, attempt) for seq, attempt in found]


async def make(link: Link) -> None:
    """Make the journal, the table of sums, and one of rows."""
    await link.execute(COMMITS, limit_s=30)
    await link.execute(GRIDS, limit_s=30)
    await link.execute(SEGMENTS, limit_s=30)
    await link.execute("CREATE TABLE some (seq Int64, attempt UInt64) ENGINE = MergeTree ORDER BY seq", limit_s=30)


async def test_rows_of_dead_attempts_are_left_out(link: Link) -> None:
    """Whether they lie among committed rows or above them; what is committed later does not change what was read."""
    await make(link)
    await rows(link, (1, 3), (1, 5), (2, 5), (3, 6), (3, 8), (4, 9))
    await commit(link, 5, 2)
    await commit(link, 8, 3)
    commits = Commits()
    before = await commits.read(link)
    assert await seen(link, before.condition()) == [(1, 5), (2, 5), (3, 8)]
    await commit(link, 9, 4)
    assert await seen(link, before.condition()) == [(1, 5), (2, 5), (3, 8)]
    assert await seen(link, (await commits.read(link)).condition()) == [(1, 5), (2, 5), (3, 8), (4, 9)]


async def test_commits_that_were_put_together_are_not_dead(link: Link) -> None:
    """One row of the journal may stand for several commits, few dead attempts beside it or many."""
    await make(link)
    await rows(link, (1, 1), (2, 2), (3, 3), (4, 5))
    await commit(link, 3, 3, first_attempt=1)
    await commit(link, 5, 4)
    expected = [(1, 1), (2, 2), (3, 3), (4, 5)]
    assert await seen(link, (await Commits().read(link)).condition()) == expected
    for number in range(MAX_RANGES + 1):
        await commit(link, 7 + 2 * number, 5 + number)
        await rows(link, (5 + number, 6 + 2 * number), (5 + number, 7 + 2 * number))
        expected.append((5 + number, 7 + 2 * number))
    assert await seen(link, (await Commits().read(link)).condition()) == expected


async def test_an_empty_store_has_no_rows(link: Link) -> None:
    """Without a commit nothing is seen."""
    await create(link)
    found = await Commits().read(link)
    assert found.last_seq == 0
    assert await link.fetch(f"SELECT count() FROM records WHERE {found.condition()}", limit_s=30) == [(0,)]
