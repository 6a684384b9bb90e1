"""The cap on size over every backend: held after each commit, nine tenths of it stay, the newest
records.
"""

import json
import random
from pathlib import Path

import pytest

from storage.backends import open_storage
from storage.base import Storage
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import Batch, Entry, Record, ToolCall
from storage.writer.size_cap import ROW_BYTES, SizeCap, batch_max_bytes
from tests.contract.backends import BACKENDS, Backend
from tests.storage.samples import START_US, make_body, make_payload, make_record

CAP = 8 << 20
ALL = Filter(kind="all")
DURABLE = [
    backend for backend in BACKENDS if backend.is_durable and backend.name != "sqlite-sparse"
]


def files_bytes(directory: Path) -> int:
    """Size of a SQLite file and its journal; 0 where there is none."""
    return sum(
        file.stat().st_size
        for file in directory.glob("records.db*")
        if not file.name.endswith("-shm")
    )


def ids(chance: random.Random, total_bytes: int) -> bytes:
    """Make a JSON text of ids that no other text has."""
    found = [chance.randbytes(16).hex() for _ in range(total_bytes // 35)]
    return json.dumps(found).encode()


async def opened(backend: Backend, directory: Path) -> Storage:
    """Open a store that is told of the cap, where that matters to it."""
    if backend.name == "sqlite":
        return await open_storage(
            "sqlite:///records.db", directory, durability="fast", max_bytes=CAP
        )
    return await backend.open(directory)


@pytest.mark.parametrize("body_bytes", [0, 6000], ids=["small", "large"])
@pytest.mark.parametrize("backend", DURABLE, ids=lambda backend: backend.name)
async def test_the_size_never_passes_the_cap(
    backend: Backend, tmp_path: Path, body_bytes: int
) -> None:
    """Within one hour, with bodies and without; sums are right at the end, and what is left is the
    newest.
    """
    chance = random.Random(7)
    # ClickHouse indexes octets as words, and merges that index in lumps of a twentieth of this cap.
    make_content = ids if backend.name.startswith("clickhouse") else random.Random.randbytes
    # As many as the writer commits together below such a cap.
    batch_records = batch_max_bytes(CAP, CAP) // (body_bytes + 300 + ROW_BYTES)
    async with await opened(backend, tmp_path) as store:
        cap = SizeCap(store, CAP)
        began_with = (await store.retention()).used_bytes
        written = 0
        shown = 0
        stored: list[Record] = []

        # Where rows take less than is reckoned here, more of them are needed.
        while written < 1.6 * CAP or (shown <= 5 and written < 8 * CAP):
            entries = []
            for number in range(batch_records):
                payload = make_payload(number)
                if body_bytes:
                    payload.response_body = make_body(make_content(chance, body_bytes))
                else:
                    payload.response_body = None
                payload.request_head = chance.randbytes(300)
                entries.append(
                    Entry(make_record(started_at_us=START_US, path=f"/{written}/{number}"), payload)
                )

            await cap.make_room(len(entries), len(entries) * (body_bytes + 300))
            await store.commit(Batch("sidecar-1", entries))
            stored += [entry.record for entry in entries]
            written += len(entries) * (body_bytes + 700)
            used = (await store.retention()).used_bytes
            assert used <= CAP
            assert files_bytes(tmp_path) <= 1.1 * CAP
            if cap.total.rows or cap.total.bodies:
                shown += 1
                assert used >= 0.9 * CAP

        assert shown > 5
        assert began_with < CAP / 4
        page = await store.read(RecordQuery(filter=ALL, limit=100_000))
        seqs = [record.seq for record in page.records]
        assert seqs == [record.seq for record in stored[: -len(seqs) - 1 : -1]]
        assert (
            (await store.read(CountQuery(ALL))).exchanges == (await store.info()).rows == len(seqs)
        )
        # Bodies may be all that went.
        newest_gone = stored[-len(seqs) - 1].seq if len(seqs) < len(stored) else 0
        assert newest_gone <= (await store.retention()).purged_through_seq < seqs[-1]
        payloads = await store.payloads(seqs)
        assert all(payloads[seq].request_head for seq in seqs)
        if body_bytes:
            assert cap.total.bodies > 0
            assert all(payloads[seq].response_body is not None for seq in seqs[: len(seqs) // 2])


@pytest.mark.parametrize("backend", DURABLE, ids=lambda backend: backend.name)
async def test_a_cap_that_was_lowered_is_reached_beside_the_batches(
    backend: Backend, tmp_path: Path
) -> None:
    """A batch waits for a few times what it brings, no more; the task does the rest."""
    chance = random.Random(7)
    async with await opened(backend, tmp_path) as store:
        entries = []
        for number in range(1100):
            payload = make_payload(number)
            payload.response_body = make_body(chance.randbytes(10_000))
            entries.append(Entry(make_record(started_at_us=START_US), payload))

        await store.commit(Batch("sidecar-1", entries))
        full = (await store.retention()).used_bytes
        cap = SizeCap(store, CAP)
        await cap.make_room(1, 100)
        assert (await store.retention()).used_bytes > 0.5 * full
        await cap.tidy()
        assert 0.85 * CAP < (await store.retention()).used_bytes <= CAP


@pytest.mark.parametrize("backend", DURABLE, ids=lambda backend: backend.name)
async def test_calls_of_tools_take_no_more_than_is_left_of_them(
    backend: Backend, tmp_path: Path
) -> None:
    """What a table has had once does not cost the records that could stay."""
    chance = random.Random(7)
    async with await opened(backend, tmp_path) as store:
        for _ in range(4):
            entries = [Entry(make_record(started_at_us=START_US)) for _ in range(500)]
            for entry in entries:
                entry.tool_calls = [
                    ToolCall(
                        record_id=entry.record.id, started_at_us=START_US, created_at_us=START_US, tool_name="add",
                        server_label="s", status="success", arguments=chance.randbytes(10_000),
                    )
                ]  # fmt: skip

            await store.commit(Batch("sidecar-1", entries))

        assert (await store.retention()).used_bytes > 2 * CAP
        await SizeCap(store, CAP).tidy()
        assert 0.8 * CAP < (await store.retention()).used_bytes <= CAP
        assert (await store.read(CountQuery(ALL))).exchanges > 0.7 * CAP / 10_500
