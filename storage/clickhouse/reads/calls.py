"""Reading tool calls whose answer is awaited: those that have ended in no row."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

import msgspec

from storage.record import ToolCall
from storage.relational.session import Session


async def waiting_calls(session: Session, instance: str) -> list[ToolCall]:
    """Read the calls of one sidecar that wait."""
    floor_us = (await session.state()).body_floor_us
    mine = f"instance = $1 AND started_at_us >= $2 AND {session.dialect.committed}"
    sql = (
        f"SELECT data FROM waiting_calls WHERE {mine} AND (record_id, position) NOT IN ("
        "SELECT record_id, position FROM tool_calls WHERE record_id IN "
        f"(SELECT record_id FROM waiting_calls WHERE {mine}) AND {session.dialect.committed}) "
        "ORDER BY started_at_us, seq"
    )
    rows = await session.fetch(sql, (instance, floor_us))
    # Of a batch that came twice a call may be there twice.
    calls = [msgspec.msgpack.decode(data, type=ToolCall) for (data,) in rows]
    return list({(call.record_id, call.position): call for call in calls}.values())
