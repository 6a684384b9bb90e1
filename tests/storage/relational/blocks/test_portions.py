"""Few rows with large bodies, many with small ones."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from storage.backends import open_storage
from storage.query import Filter, RecordQuery, TopQuery
from storage.relational.blocks.portions import MAX_BYTES, portions
from storage.search.expression import Is, Not
from storage.sqlite.codec import Row
from storage.sqlite.session import SqliteSession
from tests.api.samples import make_batch, make_body, make_payload, make_record
from tests.support.cases import each_of

LARGE = 6
"""Rows of a portion where bodies are large."""


@each_of(
    ("sizes", "expected"),
    [
        ([], []),
        ([1] * 7, [3, 3, 1]),
        ([MAX_BYTES + 1] * 3, [1, 1, 1]),
        ([MAX_BYTES, 1, 1, MAX_BYTES - 2, 1], [1, 3, 1]),
        ([0, 0, MAX_BYTES, 0, 1], [3, 2]),
    ],
)
def test_rows_are_cut_by_number_and_size(sizes: list[int], expected: list[int]) -> None:
    """In order, each in one portion, none of which is empty."""
    found = list(portions(sizes, 3, int))
    assert [len(some) for some in found] == expected
    assert [size for some in found for size in some] == sizes


async def test_a_read_has_few_large_bodies_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups by a place in bodies, and searches of one, would have a page's at once: hundreds of
    megabytes.
    """
    seen: list[int] = []
    places = SqliteSession.places

    async def counted(
        session: SqliteSession, seqs: Sequence[int], purge_floor_us: int
    ) -> list[Row]:
        seen.append(len(seqs))
        return await places(session, seqs, purge_floor_us)

    monkeypatch.setattr(SqliteSession, "places", counted)
    payload = make_payload(make_body(b'{"x":1}'))
    half = MAX_BYTES // LARGE // 2
    records = [
        (make_record(n, request_bytes=half, response_bytes=half), payload) for n in range(20)
    ]

    async with await open_storage("sqlite:///records.db", tmp_path) as storage:
        await storage.commit(make_batch(*records))
        top = await storage.read(TopQuery(Filter(), "body.x"))
        assert (top.seen, top.complete, [row.names for row in top.rows]) == (
            20,
            True,
            [("1", "known")],
        )
        assert (sum(seen), max(seen)) == (20, LARGE)
        seen.clear()
        page = await storage.read(RecordQuery(filter=Filter(where=Not(Is("body.x", ("2",))))))
        assert len(page.records) == 20
        assert (sum(seen), max(seen)) == (20, LARGE)
