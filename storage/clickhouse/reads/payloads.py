"""Reading heads and bodies, which are rows of their own."""

# ruff: noqa: S608 -- identifiers come from closed tables, every value is a bound parameter

from collections.abc import Sequence
from typing import Final

from storage.clickhouse.writes.payloads import BODIES, HEADS, payload_of
from storage.record import Payload
from storage.relational.session import Session
from storage.relational.sql import MAX_INT

_HEADS: Final = f"SELECT seq, {', '.join(HEADS)}, timeline FROM heads WHERE seq IN $1 AND started_at_us >= $2"
_BODIES: Final = f"SELECT seq, {', '.join(BODIES)} FROM bodies WHERE seq IN $1 AND started_at_us >= $2 AND seq > $3"


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
    heads = await session.fetch(f"{_HEADS} AND {session.dialect.committed}", (wanted, floor_us))
    if not heads:
        return {}
    floors = max(floor_us, state.body_floor_us or floor_us), state.bodies_through_seq
    bodies = await session.fetch(f"{_BODIES} AND {session.dialect.committed}", (wanted, *floors))
    known = {seq: values for seq, *values in bodies}
    return {seq: payload_of(values, known.get(seq)) for seq, *values in sorted(heads)}
