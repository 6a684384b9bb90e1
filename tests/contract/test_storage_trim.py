"""The cap on size of every backend: the oldest records go in slices, bodies before rows, and all
sums follow.
"""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from storage.base import Storage
from storage.purge import KEPT_ROWS
from storage.query import Filter, RecordQuery
from storage.record import Batch, Entry, Record
from storage.tools import ToolFilter, ToolStatsQuery
from tests.contract.backends import BACKENDS, CAPPED, DENSE, Backend
from tests.contract.test_storage_reading import make_dataset
from tests.contract.test_storage_retention import check
from tests.contract.test_storage_tools import make_call
from tests.storage.samples import START_US, make_body, make_payload, make_record
from tests.support.filters import make_filter

ALL = Filter(kind="all")
BATCH = 48


@pytest.fixture(params=CAPPED, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every backend with a cap in turn."""
    chosen: Backend = request.param
    return chosen


async def fill(store: Storage, rounds: int = 2) -> list[Record]:
    """Commit batches of records with payloads, all started within an hour."""
    records = [record for _ in range(rounds) for record in make_dataset()]
    for number, record in enumerate(records):
        record.started_at_us = START_US + number
    for start in range(0, len(records), BATCH):
        part = list(enumerate(records[start : start + BATCH], start + 1))
        await store.commit(
            Batch("sidecar-1", [Entry(record, make_payload(seq)) for seq, record in part])
        )

    return records


@pytest.mark.parametrize("backend", DENSE, ids=lambda backend: backend.name)
async def test_bodies_of_the_older_half_go_before_any_row(store: Storage) -> None:
    """Slice by slice; then the oldest rows go, and bodies stay half-way ahead of them."""
    seqs = [record.seq for record in await fill(store)]
    total = len(seqs)
    bodies = 0

    while (trimmed := await store.trim(50)).bodies:
        assert (trimmed.rows, trimmed.bodies <= 50) == (0, True)
        bodies += trimmed.bodies
        payloads = await store.payloads(seqs)
        assert all(
            payloads[seqs[place]] == make_payload(place + 1) for place in range(bodies, total)
        )
        # Those that share a block with one that stays go with it.
        assert all(payloads[seq].request_body is None for seq in seqs[: max(0, bodies - BATCH)])

    assert bodies == (total + 1) // 2
    assert trimmed.rows == 50
    payloads = await store.payloads(seqs)
    assert set(payloads) == set(seqs[50:])
    assert payloads[seqs[bodies]] == make_payload(bodies + 1)


async def test_every_answer_is_that_of_the_records_left(store: Storage) -> None:
    """Within one hour of rollups: counts, facets, histograms and summaries after each slice, and
    after new records.
    """
    records = await fill(store, 1)
    gone = 0
    had_new = False

    while gone < 140:
        trimmed = await store.trim(70)
        gone += trimmed.rows
        left = records[gone:]
        await check_left(store, left)

        if trimmed.rows and not had_new:
            had_new = True
            # As many come as went: sums that readers remember must not be taken for these.
            new = [
                make_record(started_at_us=START_US + 5, project="new") for _ in range(trimmed.rows)
            ]
            await store.commit(
                Batch("sidecar-1", [Entry(record, make_payload(1)) for record in new])
            )
            records += new
            await check_left(store, records[gone:])

    state = await store.retention()
    assert records[gone - 1].seq <= state.purged_through_seq < records[gone].seq
    assert state.reaches_back_us == records[gone].started_at_us


async def check_left(store: Storage, left: list[Record]) -> None:
    """Compare every kind of answer."""
    await check(store, left, 0)
    assert (await store.read(RecordQuery(filter=ALL, order="asc", limit=1))).records == left[:1]


async def test_the_newest_records_stay(store: Storage) -> None:
    """However often trim is asked, and in an empty store."""
    assert (await store.trim(10)).is_done
    records = await fill(store, 1)
    while not (await store.trim(1000)).is_done:
        pass
    found = await store.read(RecordQuery(filter=ALL, order="asc", limit=1000))
    assert found.records == records[-KEPT_ROWS:]


async def test_what_is_behind_erased_records_goes(store: Storage) -> None:
    """Though slices of the oldest records find none of those that an erasure took."""
    projects = ["erased"] * 2 * KEPT_ROWS + ["left"] * (KEPT_ROWS + 30)
    records = [make_record(project=name) for name in projects]
    for start in range(0, len(projects), BATCH):
        part = records[start : start + BATCH]
        await store.commit(Batch("sidecar-1", [Entry(record, make_payload(1)) for record in part]))
    await store.erase(make_filter(projects=("erased",)))
    while not (await store.trim(25)).is_done:
        pass
    found = await store.read(RecordQuery(filter=ALL, order="asc", limit=1000))
    assert found.records == records[-KEPT_ROWS:]
    await store.erase(ALL)
    assert (await store.trim(25)).is_done


async def test_tool_calls_lose_their_text_and_go_with_their_records(store: Storage) -> None:
    """Arguments and results are bodies; the calls are counted no more when their record is gone."""
    entries = []
    for _ in range(KEPT_ROWS + 20):
        record = make_record(started_at_us=START_US)
        entries.append(
            Entry(record, None, [make_call(record_id=record.id, started_at_us=START_US)])
        )

    await store.commit(Batch("sidecar-1", entries))
    while not (await store.trim(15)).is_done:
        pass
    assert (await store.read(ToolStatsQuery(ToolFilter()))).executions == KEPT_ROWS
    assert await store.tool_call(entries[0].record.id, 0) is None
    kept = await store.tool_call(entries[21].record.id, 0)
    assert kept is not None
    assert kept.arguments is None


@pytest.mark.parametrize(
    "backend",
    [one for one in BACKENDS if one.is_durable and one.name != "sqlite-sparse"],
    ids=lambda b: b.name,
)
async def test_space_is_used_again(backend: Backend, tmp_path: Path) -> None:
    """Trimming as much as comes keeps the size where it is, blocks of payloads included."""
    chance = random.Random(3)
    async with await backend.open(tmp_path) as store:
        sizes: list[int] = []
        for number in range(24):
            entries = []
            for _ in range(60):
                payload = make_payload(1)
                payload.response_body = make_body(chance.randbytes(20_000))
                entries.append(Entry(make_record(started_at_us=START_US), payload))

            await store.commit(Batch("sidecar-1", entries))
            if number >= 8:
                while (await store.retention()).used_bytes > sizes[7]:
                    assert not (await store.trim(60)).is_done
            sizes.append((await store.retention()).used_bytes)

        assert min(sizes[8:]) > 0.7 * sizes[7]
        await store.reclaim()
        left = await store.read(RecordQuery(filter=replace(ALL), order="asc", limit=10_000))
        payloads = await store.payloads([record.seq for record in left.records])
        bodies = [payload.response_body for payload in payloads.values()]
        assert sum(body is not None for body in bodies) > 0.6 * 8 * 60
