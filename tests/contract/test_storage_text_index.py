"""The index of words of every backend: it hides nothing, whatever becomes of records, and keeps
none of their words.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from storage.base import Storage
from storage.query import (
    EVERYTHING,
    CountQuery,
    Filter,
    Order,
    RecordQuery,
    Scope,
    SummaryQuery,
    TopQuery,
)
from storage.record import Batch, Entry, Payload
from storage.relational.reads import scan
from storage.relational.reads.text_index import build, merge
from storage.relational.reads.text_index.cells import Cell, Segment, part_key
from storage.relational.reads.text_index.tables import read_cells, read_parts, read_segments
from storage.relational.search import rows
from storage.relational.session import Session
from storage.relational.slices import Range
from storage.relational.store import RelationalStorage
from storage.search.expression import And, Expression, Has, Is, Like, Not, Or, Substring, Text
from storage.search.index.hashes import term
from storage.search.index.segment import part_of, rows_in, rows_with
from storage.search.meaning import fulfils
from storage.search.phrase import Phrase
from storage.search.subject import Subject
from tests.contract.backends import Backend, usual
from tests.storage.samples import START_US, make_body, make_record
from tests.support.filters import make_filter

ROWS: Final = 240
WORDS: Final = ("alpha", "beta_2", "grüße", "東京", "reset", "timeout", "x9")


@pytest.fixture(autouse=True)
def small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of seven records, and segments of four cells."""
    monkeypatch.setattr(build, "CELL_ROWS", 7)
    monkeypatch.setattr(build, "LEAST_CELLS", 4)
    monkeypatch.setattr(merge, "MAX_CELLS", 4)


@pytest.fixture(
    params=usual(lambda backend: backend.has_text_index), ids=lambda backend: backend.name
)
async def indexed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """An empty store that has an index of words."""
    async with await _opened(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture(params=usual(lambda backend: backend.has_cells), ids=lambda backend: backend.name)
async def celled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """One whose index has cells of few records."""
    async with await _opened(request.param, tmp_path) as opened:
        yield opened


async def _opened(backend: Backend, directory: Path) -> RelationalStorage[Any]:
    store = await backend.open(directory)
    assert isinstance(store, RelationalStorage)
    return store


def entry_of(number: int) -> Entry:
    """Make a record with some words, and one of its own, in one place or another; some records have
    no payload.
    """
    chosen = random.Random(number)
    text = " ".join([*chosen.choices(WORDS, k=2), f"own{number}end"])
    place = number % 5
    record = make_record(
        path=f"/a/{text}/b" if place == 0 else "/plain",
        query=f"q={text}&" if place == 1 else None,
        error_type=f"oh {text} oh" if place == 2 else None,
        project="ab"[number % 2],
        conversation=bytes(16) if number % 3 == 0 else None,
        data=b'{"text":"said\\n%s","of":"own%dth"}' % (text.encode(), number)
        if number % 4 == 0
        else None,
    )
    if number % 7 == 0:
        return Entry(record)

    return Entry(
        record,
        Payload(
            b"GET /plain HTTP/1.1\r\nx-thing: <%s>" % (text if place == 1 else "none").encode(),
            b"HTTP/1.1 200 OK",
            make_body(b'{"said": "%s ."}' % text.encode()) if place == 3 else None,
            make_body(b"before", b"tail <%s>" % text.encode()) if place == 4 else None,
        ),
    )


async def fill(store: Storage, first: int, last: int) -> dict[int, Entry]:
    """Commit records in batches of different sizes."""
    entries = {number: entry_of(number) for number in range(first, last + 1)}
    numbers = sorted(entries)
    while numbers:
        size = 1 + numbers[0] % 37
        await commit(store, [entries[number] for number in numbers[:size]])
        del numbers[:size]

    return entries


async def commit(store: Storage, entries: list[Entry]) -> None:
    """Commit records with what can be made of them before, as the writer does."""
    await store.commit(Batch("sidecar-1", entries, prepared=await store.prepare(entries)))


async def index(store: Storage) -> None:
    """Index everything that can be."""
    while not (await store.index_text()).is_done:
        pass


async def found(store: Storage, text: str) -> list[int]:
    """List what a search finds, page by page."""
    seqs: list[int] = []
    after = None
    while True:
        page = await store.read(
            RecordQuery(filter=Filter(where=Substring(text), kind="all"), after=after, limit=50)
        )
        seqs += [record.seq for record in page.records]
        after = page.next_after
        if after is None:
            return seqs


async def check(store: Storage, entries: dict[int, Entry]) -> None:
    """Searches of all kinds find what there is."""
    numbers = random.Random(1).sample(range(1, ROWS + 60), 4)
    words = random.Random(len(entries)).sample(WORDS, 2)
    for text in (
        *(f" {word} " for word in words),
        " reset reset ",
        *(f" own{number}end" for number in numbers),
    ):
        assert await found(store, text) == having(entries, Substring(text)), text


async def test_much_text_beside_little_is_indexed(indexed: Any) -> None:
    """A record that fills a cell by itself, after one that fills none, ends the cell before it."""
    sizes = (10, 900_000) * 4
    entries = [
        Entry(
            make_record(),
            Payload(b"GET / HTTP/1.1", b"", None, make_body(b"text%d " % number + b"x" * size)),
        )
        for number, size in enumerate(sizes)
    ]
    for entry in entries:
        await indexed.commit(Batch("sidecar-1", [entry]))
    await index(indexed)
    for number, entry in enumerate(entries):
        assert await found(indexed, f"text{number} ") == [entry.record.seq]


SEARCHES: Final = (
    Text(Phrase(("grüsse",))),
    Text(Phrase(("東", "京"))),
    Text(Phrase(("reset", "timeout"))),
    Text(Phrase(("alpha",), is_prefix=True)),
    Text(Phrase(("rese",), is_prefix=True)),
    Text(Phrase(("own17end",))),
    And((Text(Phrase(("x9",))), Text(Phrase(("beta_2",))))),
    And((Text(Phrase(("x9",))), Not(Text(Phrase(("alpha",)))))),
    Or((Text(Phrase(("own3end",))), Text(Phrase(("own99end",))))),
    Or((And((Text(Phrase(("x9",))), Text(Phrase(("alpha",))))), Text(Phrase(("own4end",))))),
    And(
        (
            Or((Text(Phrase(("own3end",))), Text(Phrase(("x9", "東", "京"))))),
            Not(Is("path", ("/plain",))),
        )
    ),
    Not(Or((Not(Text(Phrase(("x9",)))), Text(Phrase(("alpha",)))))),
    Or((Text(Phrase(("own8end",))), Like("path", ("/a/beta_2 ", "")))),
    Or((Text(Phrase(("own8end",))), Has("body.said"), Is("method", ("PUT",)))),
    Like("body.said", ("x9 ", "")),
    Or((Substring(" RESET "), Substring("wn3"))),
    Is("header.x-thing", ("<none>",)),
    Like("path", ("/a/alpha ", "")),
    And((Or((Text(Phrase(("own8end",))), Is("project", ("a",)))), Not(Text(Phrase(("alpha",)))))),
    And(
        (
            Or((Text(Phrase(("x9", "x9"))), Is("project", ("a",)))),
            Or((Has("conversation"), Text(Phrase(("own9end",))))),
        )
    ),
    And(
        (
            Like("path", ("/a/", "")),
            Or(
                (
                    Text(Phrase(("own15end",))),
                    And((Is("project", ("a",)), Not(Text(Phrase(("alpha",)))))),
                )
            ),
        )
    ),
)


async def test_segments_have_more_cells_where_these_have_few_words(
    celled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there may be, where their signatures are not enough together; all is found in
    either.
    """
    entries: dict[int, Entry] = {}
    for enough_bytes, first in ((1 << 30, 1), (1, ROWS // 2 + 1)):
        for name, value in (("LEAST_CELLS", 4), ("MAX_CELLS", 8), ("_ENOUGH_BYTES", enough_bytes)):
            monkeypatch.setattr(merge, name, value)
        entries |= await fill(celled, first, first + ROWS // 2 - 1)
        await index(celled)

    await check_words(celled, entries)
    counts = [len(segment.cells()) for segment in (await holders(celled))[0]]
    assert counts[0] == 8
    assert {4, 8} <= set(counts)


async def check_words(store: Storage, entries: dict[int, Entry]) -> None:
    """Searches of words find what looking into each record finds."""
    for search in SEARCHES:
        found = having(entries, search)
        query = RecordQuery(filter=Filter(where=search, kind="all"), limit=ROWS + 100)
        page = await store.read(query)
        assert page.complete
        assert [record.seq for record in page.records] == found, search
        counted = await store.read(CountQuery(Filter(where=search, kind="all")))
        assert counted.exchanges + counted.events == len(found), search


def having(entries: dict[int, Entry], search: Expression | None) -> list[int]:
    """List which records a search finds by looking into each, newest first."""
    assert search is not None
    seqs = [
        entry.record.seq
        for entry in entries.values()
        if fulfils(Subject(entry.record, entry.payload), search)
    ]
    return sorted(seqs, reverse=True)


async def holders(store: Any) -> tuple[list[Segment], list[Cell]]:
    """Read everything that covers rows."""

    async def read(session: Session) -> tuple[list[Segment], list[Cell]]:
        whole = await session.seq_ends()
        return await read_segments(session, whole), await read_cells(session, whole)

    both: tuple[list[Segment], list[Cell]] = await store._read(read)
    return both


async def test_searches_find_the_same_before_during_and_after(indexed: Any) -> None:
    """Records that are not indexed yet are found by walking, the others by cells and by segments."""
    entries = await fill(indexed, 1, ROWS)
    await check(indexed, entries)
    await check_words(indexed, entries)

    for step in range(60):
        await indexed.index_text()
        if step == 20:
            await check(indexed, entries)

    await index(indexed)
    entries |= await fill(indexed, ROWS + 1, ROWS + 60)
    await check(indexed, entries)
    await index(indexed)
    await check(indexed, entries)
    await check_words(indexed, entries)
    segments, _ = await holders(indexed)
    assert segments
    assert (await indexed.text_index()).waiting < 28


async def test_the_index_leaves_out_what_cannot_match(indexed: Any) -> None:
    """A word is looked for in the rows that have it, and hardly anywhere else."""
    entries = await fill(indexed, 1, ROWS)
    await index(indexed)

    segments, _ = await holders(indexed)
    for segment in segments:
        for number in (17, 99, 150):
            wanted = term(f"own{number}end")
            key = part_key(segment.rows.first, part_of(wanted))
            parts = await indexed._read(lambda session, key=key: read_parts(session, [key]))
            told = segment.named(rows_with(parts[key], wanted))
            assert told in ([], [Range(entries[number].record.seq, entries[number].record.seq)])


async def test_alternatives_of_words_and_columns_leave_out_what_has_neither(
    celled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only records in the cells of the word are looked into; a condition finds the others."""
    judged: list[int] = []

    def judge(subject: Subject, search: Expression) -> bool:
        judged.append(subject.record.seq)
        return fulfils(subject, search)

    monkeypatch.setattr(rows, "fulfils", judge)
    entries = await fill(celled, 1, ROWS)
    await index(celled)

    for number in (17, 99, 150):
        search = Or((Text(Phrase((f"own{number}end",))), Is("project", ("a",))))
        page = await celled.read(RecordQuery(filter=Filter(where=search, kind="all"), limit=ROWS))
        assert page.complete
        assert [record.seq for record in page.records] == having(entries, search)
        # Behind the last cell are some that none covers yet.
        assert set(judged) <= {number, *range(ROWS - 14, ROWS + 1)}
        judged.clear()


async def test_figures_of_a_search_are_of_the_newest_where_time_is_short(
    celled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are of the same records, as many as could be looked into."""
    monkeypatch.setattr(rows, "FIRST_ROWS", 15)
    entries = await fill(celled, 1, ROWS)
    await index(celled)
    filter = Filter(where=Text(Phrase(("reset",))))
    found = having(entries, filter.where)
    projects = {entry.record.seq: entry.record.project for entry in entries.values()}

    for share, is_whole in ((1.0, True), (0.0, False)):
        monkeypatch.setattr(scan, "_EXAMINED_SHARE", share)
        summary = await celled.read(SummaryQuery(filter))
        counted = summary.exchanges
        assert (summary.complete, summary.is_newest) == (is_whole, not is_whole)
        assert counted == len(found) if is_whole else 0 < counted < len(found)
        expected = Counter(projects[seq] for seq in found[:counted])
        assert {each.value: each.count for each in summary.top["project"]} == expected

        top = await celled.read(TopQuery(filter, "project"))
        assert (top.seen, top.complete) == (counted, is_whole)
        assert {row.names[0]: row.exchanges for row in top.rows} == expected


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(projects=("shop",))])
async def test_the_newest_record_alone_has_no_rate(
    celled: Any, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    """It has no extent in time, nor has a scope whose newest record started before the others."""
    monkeypatch.setattr(rows, "FIRST_ROWS", 15)
    monkeypatch.setattr(scan, "_EXAMINED_SHARE", 0.0)
    starts_us = [START_US + number for number in range(ROWS)]
    records = [make_record(started_at_us=at_us) for at_us in (*starts_us, START_US + 1)]
    records[-2].path = "/needle"
    await commit(celled, [Entry(record) for record in records])
    summary = await celled.read(SummaryQuery(Filter(scope=scope, where=Substring("eedle"))))
    assert (summary.exchanges, summary.is_newest) == (1, True)
    assert (summary.since_us, summary.until_us, summary.rate_per_s) == (None, None, None)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_of_searches_join_across_slices_of_some_cells(
    indexed: Any, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    """However many cells are looked into at once, and wherever a page ends: each record that has a
    word comes once.
    """
    monkeypatch.setattr(rows, "FIRST_ROWS", 15)
    entries = await fill(indexed, 1, ROWS)
    await index(indexed)
    # A word in cells here and there, one in nearly all, a text in bodies.
    own = tuple(Text(Phrase((f"own{number}end",))) for number in (3, 17, 31, 32, 99, 160, 231))

    searches = (
        Or(own),
        SEARCHES[7],
        *SEARCHES[-3:],
        Or((*own, Is("project", ("b",)))),
        Substring(" reset "),
    )
    for wanted in (Filter(where=search, kind="all") for search in searches):
        seqs: list[int] = []
        query = RecordQuery(filter=wanted, order=order, limit=2)
        while True:
            page = await indexed.read(query)
            seqs += [record.seq for record in page.records]
            if page.next_after is None:
                break
            query = replace(query, after=page.next_after)

        found = having(entries, wanted.where)
        assert found
        assert seqs == (found if order == "desc" else found[::-1])
        counted = await indexed.read(CountQuery(wanted))
        assert counted.exchanges + counted.events == len(found)


async def test_nothing_is_left_of_what_is_erased(celled: Any) -> None:
    """What covers an erased record goes with it, and is made anew of those that are left."""
    entries = await fill(celled, 1, ROWS)
    await index(celled)
    await celled.erase(make_filter(kind="all", projects=("a",)))
    left = {number: entry for number, entry in entries.items() if entry.record.project == "b"}
    assert await holders(celled) == ([], [])
    assert await celled._read(_part_count) == 0
    await check(celled, left)
    await index(celled)
    await check(celled, left)
    _, cells = await holders(celled)
    assert not any(
        rows_in(cell.signature, term(f"own{number}end")) for cell in cells for number in (2, 4, 18)
    )


async def test_a_segment_that_was_not_finished_is_erased_too(celled: Any) -> None:
    """Parts that a killed process has left go with the records of any of its cells."""
    await fill(celled, 1, 40)
    for _ in range(4):
        await celled.index_text()
    run = await celled._read(merge.mergeable)
    assert run is not None
    assert await celled._write(
        lambda session: merge.keep_parts(session, run, [(0, b"x"), (511, b"y")])
    )
    assert await celled._read(_part_count) == 2
    await celled.erase(Filter(kind="all", seq_after=run.whole.last - 1, seq_until=run.whole.last))
    assert await celled._read(_part_count) == 0


async def test_the_index_goes_with_the_records(indexed: Any) -> None:
    """What the cap on size takes is in no cell and in no segment any more."""
    await fill(indexed, 1, ROWS)
    await index(indexed)
    while not (trimmed := await indexed.trim(70)).is_done and trimmed.rows + trimmed.bodies:
        await index(indexed)
        gone = (await indexed.retention()).purged_through_seq
        segments, cells = await holders(indexed)
        assert all(
            rows.last > gone
            for rows in [*(each.rows for each in segments), *(each.rows for each in cells)]
        )


async def test_bodies_that_are_gone_leave_no_word(indexed: Any) -> None:
    """Where bodies go before their records the index forgets them, and only them."""
    entries = await fill(indexed, 1, ROWS)
    await index(indexed)
    assert (await indexed.trim(100)).bodies == 100
    await index(indexed)

    for entry in entries.values():
        if entry.record.seq <= 100 and entry.payload:
            entry.payload.request_body = None
            entry.payload.response_body = None

    await check(indexed, entries)


async def _part_count(session: Session) -> int:
    [(count,)] = await session.fetch(f"SELECT count(*) FROM {session.dialect.schema}text_parts")
    return int(count)
