"""Reading heads and bodies, which are columns of their records."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final

from storage.clickhouse.payloads import COLUMNS, HEADS, payload_of
from storage.record import Payload
from storage.relational.session import Session
from storage.relational.sql import MAX_INT

_SELECT: Final = f"SELECT seq, started_at_us, {', '.join(COLUMNS)} FROM records WHERE seq IN $1 AND started_at_us >= $2"


async def read_payloads(session: Session, seqs: Sequence[int]) -> dict[int, Payload]:
    """Read the payloads of some records, bodies as far as retention left them.

    Args:
        session: To read from.
        seqs: Of the records.
    """
    wanted = sorted({seq for seq in seqs if 0 < seq <= MAX_INT})
    if not wanted:
        return {}
    state = await session.state()
    floor_us = state.purge_floor_us or -MAX_INT - 1
    rows = await session.fetch(f"{_SELECT} AND {session.dialect.committed}", (wanted, floor_us))
    found = {}
    for seq, started_at_us, *values in sorted(rows):
        has_bodies = started_at_us >= (state.body_floor_us or floor_us) and seq > state.bodies_through_seq
        payload = payload_of(values[: len(HEADS)], values[len(HEADS) :] if has_bodies else None)
        if payload is not None:
            found[seq] = payload
    return found
