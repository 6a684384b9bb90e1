"""Searches for words: the index of a server that has one answers, and finds what others find."""

import pytest

from storage.clickhouse.reads.session import ClickhouseSession
from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.texts import has_word
from storage.clickhouse.wire.link import Link
from storage.query import RecordQuery
from storage.record import Batch, Entry, Payload
from storage.relational.facet_counts import KnownCounts
from storage.relational.sql import Where
from storage.search.clues import PARTS
from storage.search.expression import Expression, Substring, Text
from storage.search.phrase import Phrase
from tests.storage.samples import make_body, make_record
from tests.support.clickhouse import Server
from tests.support.filters import make_filter

BODIES = (
    b'"a needle"', b'"\\u006eeedle"', b"hay", "ＮＥＥＤＬＥ".encode(), b"need le", b"foo_bar", b"foo bar", b"fooXbar",
)  # fmt: skip


async def fill(store: ClickhouseStorage) -> list[int]:
    """Commit a record with each body; returns their numbers."""
    records = [make_record() for _ in BODIES]
    entries = [
        Entry(record, Payload(b"GET /", b"HTTP/1.1 200", make_body(body), None))
        for record, body in zip(records, BODIES, strict=True)
    ]
    await store.commit(Batch("a", entries))
    return [record.seq for record in records]


async def found(store: ClickhouseStorage, **filter: object) -> list[int]:
    """List the numbers of the records of a filter."""
    page = await store.read(RecordQuery(filter=make_filter(**filter), order="asc"))  # type: ignore[arg-type]
    assert page.complete
    return [record.seq for record in page.records]


def text(words: str) -> Expression:
    phrase = Phrase.of(words)
    assert phrase is not None
    return Text(phrase)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"where": text("needle")}, [0, 1, 3]),
        ({"where": Substring("eedl")}, [0, 1, 3]),
        ({"where": text("foo_bar")}, [5]),
        ({"where": text("foo")}, [6]),
        ({"where": text("nothing")}, []),
        ({"where": Substring("d l")}, [4]),
    ],
)  # fmt: skip
async def test_words_are_found_in_every_reading(
    link: Link, filter: dict[str, object], expected: list[int]
) -> None:
    """Text in bodies is looked for as it is written."""
    async with await ClickhouseStorage.open(link.address) as store:
        seqs = await fill(store)
        assert await found(store, **filter) == [seqs[place] for place in expected]


async def test_few_rows_can_have_a_word(link: Link) -> None:
    """Those whose texts have it in some reading, and of alternatives one."""
    async with await ClickhouseStorage.open(link.address) as store:
        seqs = await fill(store)
        session = await ClickhouseSession.begin(link, KnownCounts(), 60.0)
        where = Where("seq > $1", (0,))
        told = session.can_have(where, [("needle", "foo_bar"), ("京",)], PARTS)
        assert [some async for some in told] == [[seqs[place] for place in (0, 1, 3, 5)]]
        told = session.can_have(where, [("hay",), ("needle",)], PARTS)
        assert [some async for some in told] == []


@pytest.mark.parametrize("word", ["needle", "foo_bar", "hay", "xb"])
async def test_the_index_answers(current: Server, word: str) -> None:
    """No row is read whose texts have no such word, however short."""
    async with await ClickhouseStorage.open(current.address(current.database())) as store:
        await fill(store)
        await store.commit(Batch("a", [Entry(make_record()) for _ in range(3000)]))
        parameters: list[object] = []

        def add(value: object) -> str:
            parameters.append(value)
            return f"${len(parameters)}"

        sql = f"EXPLAIN indexes = 1 SELECT seq FROM records WHERE {has_word(word, add)}"
        plan = "\n".join(line for (line,) in await store._link.fetch(sql, parameters, limit_s=30))
        assert "Name: texts" in plan
        assert "Granules: 1\n" in plan
