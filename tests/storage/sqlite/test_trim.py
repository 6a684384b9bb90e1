"""The cap on size takes rows out with a few statements, however many rows there are."""

import asyncio
import contextlib
import random
import re
import sqlite3
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from storage.base import READERS
from storage.errors import StorageRejected
from storage.purge import KEPT_ROWS
from storage.query import CountQuery, Filter, RecordQuery
from storage.record import Batch, Entry, Record
from storage.relational.sql import DICTIONARY_KINDS
from storage.relational.upkeep.trim import STEP_ROWS, trim
from storage.sqlite import unused_texts
from storage.sqlite.store import SqliteStorage
from storage.sqlite.upkeep import JOURNAL_SLICES, empty_journal
from storage.writer.size_cap import SizeCap
from tests.contract.test_storage_cap import files_bytes
from tests.contract.test_storage_tools import make_call
from tests.storage.samples import make_batch, make_payload, make_record
from tests.storage.sqlite.test_purge import number, slice_of
from tests.storage.sqlite.test_readers import LongRead
from tests.support.filters import make_filter

CAP = 8 << 20
ALL = Filter(kind="all")
_NUMBERS = re.compile(r"\bIN \([0-9]+, ")


async def test_slices_of_any_length_take_the_same_statements(store: SqliteStorage) -> None:
    """Each text is kept prepared, so none has its numbers written into it."""
    texts: list[str] = []
    for _ in range(8):
        await store.commit(
            Batch("sidecar-1", [Entry(make_record(), make_payload(seq)) for seq in range(100)])
        )

    await store._writer.run(lambda connection: connection.set_trace_callback(texts.append))
    rows = 0
    bodies = 0

    for most in (170, 90) * 4:
        trimmed = await store.trim(most)
        rows = rows + trimmed.rows
        bodies = bodies + trimmed.bodies

    assert rows > 90 < bodies
    assert (await store.read(CountQuery(Filter()))).exchanges == 800 - rows

    assert any("json_each" in text for text in texts)
    assert not [text for text in texts if _NUMBERS.search(text)]


def texts(path: Path, column: str) -> set[str]:
    """Read which texts of a column the dictionary has."""
    sql = "SELECT value FROM dictionary WHERE kind = ?"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return {value for (value,) in connection.execute(sql, (DICTIONARY_KINDS[column],))}


async def listed(store: SqliteStorage) -> list[Record]:
    """List everything, the oldest first."""
    return (await store.read(RecordQuery(filter=ALL, limit=100_000, order="asc"))).records


async def test_texts_that_clients_choose_do_not_pass_the_cap(tmp_path: Path) -> None:
    """Within one day, another User-Agent and Host with each request: they go with their rows, the
    newest stay.
    """
    chance = random.Random(7)
    path = tmp_path / "records.db"
    shown = 0
    agents: list[str] = []

    async with await SqliteStorage.open(path, durability="fast", max_bytes=CAP) as store:
        cap = SizeCap(store, CAP)
        while len(agents) < 4000:
            entries = []
            for _ in range(10):
                agents.append(chance.randbytes(1500).hex())
                record = make_record(
                    user_agent=agents[-1],
                    host=f"{chance.randbytes(300).hex()}.example",
                    project="one",
                )
                entries.append(Entry(record, None))

            await cap.make_room(len(entries), 10 * 3800)
            await store.commit(Batch("sidecar-1", entries))
            used = (await store.retention()).used_bytes
            assert used <= CAP
            assert files_bytes(tmp_path) <= 1.1 * CAP
            if cap.total.rows:
                shown += 1
                assert used >= 0.85 * CAP

        records = await listed(store)
        assert shown > 50
        assert len(records) > 4 * KEPT_ROWS
        assert [record.user_agent for record in records] == agents[-len(records) :]
        # Those of the newest rows and, beside them, few that wait to be looked for.
        assert len(texts(path, "user_agent")) < 1.2 * len(records)
        assert (await store.read(CountQuery(make_filter(projects=("one",))))).exchanges == len(
            records
        )


async def test_a_text_that_a_row_still_uses_stays(
    store: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However old its id is, and if a batch brings it while it is looked for; what went comes back
    under another id.
    """
    monkeypatch.setattr(unused_texts, "STEP_ROWS", 40)
    monkeypatch.setattr(unused_texts, "STEP_TEXTS", 3)
    monkeypatch.setattr(unused_texts, "WAITING_SHARE", 10_000)
    expected: list[tuple[str, str]] = []
    gone = 0
    chance = random.Random(7)

    for batch in range(120):
        agents = [f"agent {10 * batch + place}" for place in range(10)] + ["agent"]
        # Of rows that went, and of those that go next.
        agents += [
            agent
            for agent, _ in chance.sample(
                expected[max(0, gone - 500) : gone + 50], 9 if gone else 0
            )
        ]
        records = [
            make_record(
                user_agent=each,
                model=f"model {each}",
                provider="p",
                redactions={f"name:{each}": 2},
            )
            for each in agents
        ]
        expected += [(agent, f"model {agent}") for agent in agents]
        await store.commit(make_batch(*records))

        if batch > 30:
            while (trimmed := await store.trim(20)).bodies:
                pass
            gone += trimmed.rows

        # Not from a list: the store remembers what it has read.
        assert {agent for agent, _ in expected[gone:]} <= texts(path, "user_agent")

    found = [(record.user_agent, record.model) for record in await listed(store)]
    assert found == expected[gone:]
    assert [record.redactions for record in await listed(store)] == [
        {f"name:{each}": 2} for each, _ in found
    ]
    for column in ("user_agent", "redactions"):
        assert len(texts(path, column)) < 1000 < len({agent for agent, _ in expected})
    calls = sum(agent == "agent" for agent, _ in expected[gone:])
    assert (await store.read(CountQuery(make_filter(models=("model agent",))))).exchanges == calls


async def test_a_project_that_a_tool_call_still_has_stays(
    store: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls name a project of their own."""
    monkeypatch.setattr(unused_texts, "WAITING_SHARE", 10_000)
    names = [f"project {number}" for number in range(200)]

    entries = [Entry(make_record(project=name, user_agent=name), None) for name in names]
    for name in names[:50]:
        record = make_record()
        entries.append(Entry(record, None, [make_call(record_id=record.id, project=name)]))
    await store.commit(Batch("sidecar-1", entries))
    while (await store.trim(10)).bodies or len(texts(path, "user_agent")) > 101:
        pass
    left = {record.project for record in await listed(store)} - {None}
    assert texts(path, "project") == left | set(names[:50])


async def test_a_slice_that_failed_leaves_the_texts_of_its_rows(
    store: SqliteStorage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are there again, before those that are looked through."""
    monkeypatch.setattr(unused_texts, "STEP_ROWS", 40)
    monkeypatch.setattr(unused_texts, "WAITING_SHARE", 10_000)
    refuse = (
        "CREATE TEMP TRIGGER refuse BEFORE UPDATE ON meta WHEN old.name = 'trims' BEGIN SELECT "
        "raise(ABORT, 'no'); END"
    )

    records = [make_record(user_agent=f"agent {number}") for number in range(600)]
    await store.commit(make_batch(*records))
    assert (await store.trim(300)).bodies == 300
    await store._writer.run(lambda connection: connection.execute(refuse).close())
    with pytest.raises(StorageRejected, match="no"):
        await store.trim(50)
    await store._writer.run(lambda connection: connection.execute("DROP TRIGGER refuse").close())
    for _ in range(60):
        await store.trim(1)
        assert {record.user_agent for record in await listed(store)} <= texts(path, "user_agent")

    assert 555 < len(await listed(store)) < 580


async def test_a_slice_ends_when_a_batch_waits(store: SqliteStorage) -> None:
    """One step always goes, but not the whole slice; each slice leaves all sums those of what is
    left.
    """
    await store.commit(
        Batch("sidecar-1", [Entry(make_record(), make_payload(seq)) for seq in range(1000)])
    )

    left = 1000
    steps = []
    while left > 900:
        steps.append(await slice_of(store, trim, 400, is_wanted=True))
        left -= steps[-1].rows
        assert (await store.read(CountQuery(Filter()))).exchanges == left

    assert {0, STEP_ROWS} == {step.rows for step in steps}
    assert max(step.rows + step.bodies for step in steps) == STEP_ROWS


async def test_slices_leave_the_journal_to_another_connection(
    store: SqliteStorage, path: Path
) -> None:
    """A commit that writes it back holds the write connection for as long as that takes."""
    in_file = partial(number, path, "SELECT count(*) FROM records", is_journal_read=False)
    await store.commit(make_batch(*(make_record() for _ in range(1000))))
    await store._writer.run(empty_journal)
    await store._writer.run(
        lambda connection: connection.execute("PRAGMA wal_autocheckpoint = 1").fetchall()
    )
    left = 1000
    rows = 0
    while not rows or store._slices % JOURNAL_SLICES == 0:
        rows = (await store.trim(200)).rows
        left -= rows
    assert in_file() > left
    while store._slices % JOURNAL_SLICES:
        left -= (await store.trim(200)).rows
    assert in_file() == left


async def test_batches_that_make_room_do_not_wait_for_searches(
    store: SqliteStorage, path: Path
) -> None:
    """With each read connection in use the size is measured, slices are taken, and the journal is
    written back.
    """
    in_file = partial(number, path, "SELECT count(*) FROM records", is_journal_read=False)
    await store._writer.run(empty_journal)
    await store.commit(make_batch(*(make_record() for _ in range(1000))))
    assert in_file() == 0

    async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
        for _ in range(READERS):
            read = await stack.enter_async_context(LongRead())
            tasks.create_task(store._read(read))
            await asyncio.to_thread(read.began.wait, 60)

        async with asyncio.timeout(60):
            assert (await store.retention()).last_seq == 1000
            for _ in range(JOURNAL_SLICES):
                await store.trim(10)

        assert in_file() == 1000  # as of when they began
