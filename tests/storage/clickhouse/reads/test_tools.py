"""Figures of tool calls: their numbers are far apart, and a walk over them takes few statements all
the same.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from storage.clickhouse.store import ClickhouseStorage
from storage.clickhouse.wire.link import LIMIT_S, Link, Row
from storage.record import Batch, Entry, ToolCall
from storage.tools import ToolFilter, ToolStatsQuery
from tests.storage.samples import START_US, make_record

MIDDLING_S = 0.03
"""Neither quick nor slow: a walk goes on as it has begun."""


async def test_calls_of_records_far_apart_are_added_up_at_once(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice has the calls of many records, not of one."""
    records = [make_record() for _ in range(40)]
    calls = [
        ToolCall(
            record_id=record.id, position=0, started_at_us=START_US, created_at_us=START_US, tool_name="add",
            server_label="s", status="success", arguments=b"{}", llm_request_id="req-1",
        )
        for record in records
    ]  # fmt: skip
    asked: list[str] = []
    fetch = Link.fetch

    async def slow(
        self: Link,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        limit_s: float = LIMIT_S,
        settings: dict[str, str] | None = None,
    ) -> list[Row]:
        asked.append(sql)
        await asyncio.sleep(MIDDLING_S)
        return await fetch(self, sql, parameters, limit_s=limit_s, settings=settings)

    async with await ClickhouseStorage.open(link.address, read_budget_s=60) as store:
        entries = [Entry(record, None, [call]) for record, call in zip(records, calls, strict=True)]
        await store.commit(Batch("a", entries))
        monkeypatch.setattr(Link, "fetch", slow)
        stats = await store.read(ToolStatsQuery(ToolFilter(llm_request_ids=("req-1",))))

    assert (stats.executions, stats.exact) == (40, True)
    assert len(asked) < 10
