"""The index of words in ClickHouse: who makes it, dies over it, or erases meanwhile; what is kept of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.reads.session import ClickhouseSession
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.upkeep import erasures, indexing, segments
from storage.clickhouse.upkeep.indexing import Indexing
from storage.clickhouse.upkeep.parts import await_quiet
from storage.clickhouse.upkeep.segments import Noted, keep_parts, note, read_noted
from storage.clickhouse.upkeep.state import Upkeep
from storage.clickhouse.upkeep.texts import Texts, read_texts
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Payload
from storage.relational.slices import Range
from storage.search.expression import Text
from storage.search.phrase import Phrase
from tests.storage.samples import make_body, make_record
from tests.support.clickhouse_sums import SummingStorage

ROWS = 32
LIMIT_S = 60.0
GRID_ROWS = 16


@pytest.fixture
async def store(link: Link) -> AsyncIterator[SummingStorage]:
    """An empty store in the database of the link, with small grids and segments."""
    async with await SummingStorage.open(link.address, grid_rows=GRID_ROWS) as opened:
        yield opened


async def fill(store: ClickhouseStorage, first: int, last: int) -> None:
    """Commit records each of which has a word of its own in its body."""
    entries = [
        Entry(make_record(), Payload(b"GET / HTTP/1.1", b"", make_body(b"own%dend some" % number), None))
        for number in range(first, last + 1)
    ]
    await store.commit(Batch("sidecar-1", entries))


async def index(store: ClickhouseStorage) -> int:
    """Index all that can be; returns how many steps that took."""
    steps = 0
    while not (await store.index_text()).is_done:
        steps += 1
        assert steps < 50
    return steps


async def found(store: ClickhouseStorage, number: int) -> list[int]:
    """Search for a word that one record has."""
    wanted = Filter(where=Text(Phrase((f"own{number}end",))))
    page = await store.select(RecordQuery(filter=wanted, limit=10))
    assert page.complete
    return [record.seq for record in page.records]


async def count(link: Link, table: str) -> int:
    [(rows,)] = await link.fetch(f"SELECT count() FROM {table}", limit_s=LIMIT_S)
    return int(rows)


async def covered(store: ClickhouseStorage) -> list[Range]:
    store._commits.forget_made()
    return [segment.rows for segment in await store._read(lambda session: session.text_segments(Range(1, 1 << 40)))]


async def test_few_rows_wait_until_there_are_more(link: Link, store: SummingStorage) -> None:
    """And are found all the same."""
    await fill(store, 1, 20)
    assert await index(store) == 0
    assert await found(store, 7) == [7]
    assert (await store.text_index()).waiting == 20
    await fill(store, 21, 40)
    assert await index(store) > 0
    assert await covered(store) == [Range(1, 40)]
    state = await store.text_index()
    assert (state.waiting, await count(link, "text_parts")) == (0, 512)
    assert state.size_bytes > 0
    assert await found(store, 7) == [7]


async def test_rows_that_were_begun_are_left_to_who_did(
    link: Link, store: SummingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a while: it may have died."""
    await fill(store, 1, ROWS)
    assert not (await store.index_text()).is_done
    async with await SummingStorage.open(link.address, grid_rows=GRID_ROWS) as other:
        assert (await other.index_text()).is_done
        monkeypatch.setattr(indexing, "BEGUN_S", 0)
        assert await index(other) > 0
    assert await index(store) > 0
    assert await covered(store) == [Range(1, ROWS)]
    assert len([noted for noted in await read_noted(link) if noted.what == "done"]) == 2
    assert await found(store, 9) == [9]


async def test_what_a_killed_one_left_is_not_read_and_goes(
    link: Link, store: SummingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts without the note that they are whole."""
    await fill(store, 1, ROWS)
    left = Noted(1, ROWS, 77, 0, "begun")
    await note(link, left)
    await keep_parts(link, left, [b"not a part"] * 512)
    assert await found(store, 9) == [9]
    monkeypatch.setattr(segments, "_SWEPT_S", -1)
    await store.reclaim()
    assert await await_quiet(link, LIMIT_S)
    assert (await count(link, "text_parts"), await count(link, "text_segments")) == (0, 0)


async def test_a_part_that_is_not_there_tells_nothing(link: Link, store: SummingStorage) -> None:
    """A replica may get it later than the note: all rows are looked into."""
    await fill(store, 1, ROWS)
    await index(store)
    await link.execute("ALTER TABLE text_parts DELETE WHERE 1 = 1", limit_s=LIMIT_S)
    assert await await_quiet(link, LIMIT_S)
    assert await found(store, 9) == [9]


async def test_nothing_is_left_of_what_is_erased(link: Link, store: SummingStorage) -> None:
    """Not of its words either; an erasure is not finished before."""
    await fill(store, 1, ROWS)
    await index(store)
    await fill(store, ROWS + 1, 2 * ROWS)
    await index(store)
    assert await covered(store) == [Range(1, ROWS), Range(ROWS + 1, 2 * ROWS)]
    await store.erase(Filter(where=Text(Phrase(("own9end",)))))
    assert await covered(store) == [Range(ROWS + 1, 2 * ROWS)]
    while await store.erasing():  # noqa: ASYNC110 - the server sends no event
        await asyncio.sleep(0.05)
    assert {noted.first_seq for noted in await read_noted(link)} == {ROWS + 1}
    assert await count(link, "text_parts") == 512
    assert (await found(store, 9), await found(store, 8)) == ([], [8])
    await index(store)
    assert await covered(store) == [Range(1, ROWS), Range(ROWS + 1, 2 * ROWS)]
    assert (await found(store, 9), await found(store, 8)) == ([], [8])


async def test_an_erasure_beside_a_step_wins(link: Link, store: SummingStorage) -> None:
    """What was read before it is not kept."""
    await fill(store, 1, ROWS)
    assert not (await store.index_text()).is_done
    await store.erase(Filter(seq_after=8, seq_until=9))
    assert (await store.index_text()).is_lost
    assert await count(link, "text_parts") == 0
    await index(store)
    assert (await covered(store), await found(store, 9), await found(store, 10)) == ([Range(1, ROWS)], [], [10])


async def test_an_erasure_beside_the_last_step_wins_too(
    link: Link, store: SummingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept meanwhile goes again."""
    await fill(store, 1, ROWS)

    async def late(link: Link, noted: Noted, parts: Sequence[bytes]) -> None:
        monkeypatch.undo()
        await store.erase(Filter(seq_after=8, seq_until=9))
        await keep_parts(link, noted, parts)

    monkeypatch.setattr(indexing, "keep_parts", late)
    while not (step := await store.index_text()).is_lost:
        assert not step.is_done
    assert await await_quiet(link, LIMIT_S)
    assert (await count(link, "text_parts"), await covered(store)) == (0, [])


async def test_an_erasure_that_came_to_nothing(link: Link, store: SummingStorage) -> None:
    """Its rows wait for the next one; others are indexed."""
    await fill(store, 1, 3 * ROWS)
    await erasures.hide(link, [3], erasure=1, grid_rows=GRID_ROWS)
    await index(store)
    assert await covered(store) == [Range(GRID_ROWS + 1, 3 * ROWS)]
    await store.erase(Filter(seq_after=3 * ROWS - 1, seq_until=3 * ROWS))
    await index(store)
    assert (await covered(store))[0].first == 1
    assert await found(store, 2) == [2]


async def test_floors_that_are_lowered_void_all(store: SummingStorage) -> None:
    """What is shown again may not have been indexed."""
    await fill(store, 1, ROWS)
    await index(store)
    await store.raise_floors(1, 1)
    await store.lower_floors(0, 0)
    assert await covered(store) == []
    await index(store)
    assert await covered(store) == [Range(1, ROWS)]


async def test_it_can_be_dropped(link: Link, store: SummingStorage) -> None:
    """With the setting that wants none."""
    await fill(store, 1, ROWS)
    await index(store)
    assert (await store.drop_text_index()).is_done
    assert await await_quiet(link, LIMIT_S)
    assert (await count(link, "text_parts"), await covered(store)) == (0, [])
    assert (await store.drop_text_index()).is_done
    assert await found(store, 9) == [9]


def test_what_is_read_at_once_is_bounded() -> None:
    """However much text some rows have; cells have about the size they should."""
    maker = Indexing()
    whole = Range(101, 4196)
    assert maker._cut(whole, {}) == [Range(101 + 1024 * number, 100 + 1024 * (number + 1)) for number in range(4)]
    even = maker._cut(whole, dict.fromkeys(range(256), 64 << 10))
    assert {rows.size for rows in even} == {128}
    assert sum(rows.size for rows in even) == 128 * 16
    huge = maker._cut(whole, dict.fromkeys(range(256), 9 << 20))
    assert huge == [Range(101, 116)]
    assert maker._cut(Range(1, 5), {0: 100 << 20}) == [Range(1, 5)]


async def test_small_segments_are_made_one(link: Link, store: SummingStorage) -> None:
    """It says of all words what they said, and they are not read any more."""
    for number in range(5):
        await fill(store, 1 + ROWS * number, ROWS * (number + 1))
        await index(store)
    assert len(await covered(store)) == 5
    store._indexing._max_cells = 8
    await index(store)
    assert await covered(store) == [Range(1, 4 * ROWS), Range(4 * ROWS + 1, 5 * ROWS)]
    for number in (1, ROWS, ROWS + 1, 3 * ROWS + 7, 4 * ROWS, 5 * ROWS):
        assert await found(store, number) == [number]
    await store.erase(Filter(seq_after=ROWS, seq_until=ROWS + 1))
    # Those that it was made of are there for a while.
    assert [rows.first for rows in await covered(store)] == [1, 2 * ROWS + 1, 3 * ROWS + 1, 4 * ROWS + 1]


def noted(first: int, last: int, made: int, cells: int = 20) -> Noted:
    """Make a segment that is done."""
    return Noted(first, last, made, 0, "done", 0, 0, cells)


def test_of_two_the_longer_counts() -> None:
    """Of those of the same rows the one with the larger number, and none over another."""
    whole, again, later = noted(1, 400, 5), noted(1, 400, 4), noted(401, 500, 7)
    some = [noted(1, 100, 8), noted(101, 200, 9), later, again, whole]
    assert segments.counting(some, [], Upkeep()) == [whole, later]
    assert segments.counting([noted(1, 100, 1), noted(50, 150, 2)], [], Upkeep()) == [noted(1, 100, 1)]


def test_those_are_joined_that_fill_a_segment() -> None:
    """Four at least that follow each other: others may come, or not any more."""
    few = [noted(1 + 100 * number, 100 * (number + 1), number) for number in range(6)]
    assert segments.joinable(few, 256) == []
    more = [noted(1 + 100 * number, 100 * (number + 1), number) for number in range(20)]
    assert segments.joinable(more, 256) == more[:12]
    assert segments.joinable(more[:7], 256) == more[:7]
    apart = [*few[:5], *(noted(10_000 + 100 * number, 10_099 + 100 * number, number) for number in range(3))]
    assert segments.joinable(apart, 256) == few[:5]
    assert (
        segments.joinable([noted(1, 9, 1, 250), *(noted(10 * n, 10 * n + 9, n, 250) for n in range(1, 9))], 256) == []
    )


async def test_others_go_on_where_rows_wait(link: Link, store: SummingStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind those that one has begun; nobody joins what is still being made."""
    monkeypatch.setattr(indexing, "_MOST_ROWS", ROWS)
    await fill(store, 1, 3 * ROWS)
    assert not (await store.index_text()).is_done
    async with await SummingStorage.open(link.address, grid_rows=GRID_ROWS) as other:
        await index(other)
        assert await covered(other) == [Range(ROWS + 1, 2 * ROWS), Range(2 * ROWS + 1, 3 * ROWS)]
    await index(store)
    assert [rows.first for rows in await covered(store)] == [1, ROWS + 1, 2 * ROWS + 1]
    assert len([noted for noted in await read_noted(link) if noted.what == "done"]) == 3


async def test_a_segment_ends_where_it_would_hold_much(store: SummingStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of memory, while it is made; the next one goes on."""
    monkeypatch.setattr(indexing, "_MOST_BYTES", 1)
    monkeypatch.setattr(indexing, "_CHUNK_ROWS", 16)
    await fill(store, 1, ROWS)
    await index(store)
    assert await covered(store) == [Range(1, 16)]
    await fill(store, ROWS + 1, 2 * ROWS)
    await index(store)
    assert (await covered(store))[:2] == [Range(1, 16), Range(17, 32)]
    assert await found(store, 20) == [20]


async def test_a_fleet_does_not_ask_all_the_time(store: SummingStorage) -> None:
    """Each sidecar looks once a minute, or when it has stored enough for a segment itself."""
    now_s = 1000.0
    store._indexing = Indexing(segment_rows=ROWS - 8, cell_rows=8, clock=lambda: now_s)
    assert (await store.index_text()).is_done
    assert (await store.text_index()).waiting == 0
    await fill(store, 1, ROWS - 1)
    assert not store._indexing.is_due
    assert (await store.text_index()).waiting == 0
    await fill(store, ROWS, ROWS)
    # Cells of what was stored here, twice as many as a step makes; a look, which begins; cells taken; a segment.
    assert await index(store) == 4
    assert (await store.text_index()).waiting == 0
    await fill(store, ROWS + 1, ROWS + 5)
    assert not store._indexing.is_due
    now_s += indexing.LOOK_S
    assert store._indexing.is_due
    assert (await store.index_text()).is_done
    assert (await store.text_index()).waiting == 5


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Range]:
    """Which rows were read to make cells of them."""
    made: list[Range] = []

    async def read(session: ClickhouseSession, rows: Range) -> Texts:
        made.append(rows)
        return await read_texts(session, rows)

    monkeypatch.setattr(indexing, "read_texts", read)
    return made


async def test_what_was_stored_here_is_not_read_again(store: SummingStorage, reads: list[Range]) -> None:
    """Unless there is too little for a cell; from the first step on, for there may be none."""
    await fill(store, 1, ROWS)
    await index(store)
    assert reads == [Range(1, ROWS)]
    await fill(store, ROWS + 1, 2 * ROWS + 9)
    await index(store)
    assert (await covered(store), reads) == ([Range(1, ROWS), Range(ROWS + 1, 2 * ROWS)], [Range(1, ROWS)])
    for number in (2, ROWS + 2, 2 * ROWS, 2 * ROWS + 9):
        assert await found(store, number) == [number]
    await fill(store, 2 * ROWS + 10, 3 * ROWS)
    await index(store)
    assert (await covered(store))[2:] == [Range(2 * ROWS + 1, 3 * ROWS)]
    assert reads == [Range(1, ROWS)]
    assert await found(store, 3 * ROWS - 1) == [3 * ROWS - 1]


async def test_what_is_erased_before_it_is_in_a_segment_is_in_none(store: SummingStorage, reads: list[Range]) -> None:
    """Its cells are those of other records than the store shows."""
    await index(store)
    await fill(store, 1, ROWS)
    while await store._indexing.prepare():
        pass
    await store.erase(Filter(seq_after=8, seq_until=9))
    await index(store)
    assert (await covered(store), reads) == ([Range(1, ROWS)], [Range(1, ROWS)])
    assert (await found(store, 9), await found(store, 10)) == ([], [10])


async def test_the_newest_come_first_where_much_is_missing(store: SummingStorage, reads: list[Range]) -> None:
    """An index that was off, or did not keep up, misses no more because of what it has missed."""
    await fill(store, 1, 3 * ROWS)
    assert not await store._indexing.prepare()
    await fill(store, 3 * ROWS + 1, 4 * ROWS)
    while not await covered(store):
        assert not (await store.index_text()).is_done
    assert (await covered(store), reads) == ([Range(3 * ROWS + 1, 4 * ROWS)], [])
    await index(store)
    assert await covered(store) == [Range(1, 3 * ROWS), Range(3 * ROWS + 1, 4 * ROWS)]
    for number in (1, 3 * ROWS, 3 * ROWS + 1, 4 * ROWS):
        assert await found(store, number) == [number]
