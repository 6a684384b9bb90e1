"""Payloads of rows, read from the blocks that the rows name."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from storage.record import Payload, Record
from storage.relational.blocks.payloads import NOWHERE, Unpacker
from storage.relational.session import BlockSession, Rows
from storage.relational.sql import MAX_INT


async def unpacked(session: BlockSession, seqs: Sequence[int]) -> dict[int, Payload]:
    """Read and unpack heads and bodies of some rows; see `Session.payloads`."""
    state = await session.state()
    return await unpacked_at(session, await session.places(seqs, state.purge_floor_us or -MAX_INT - 1))


async def unpacked_of(session: BlockSession, records: Sequence[Record]) -> dict[int, Payload] | None:
    """Do the same with records of this transaction; None where their places were not read a moment ago."""
    known = session.recent_places
    if any(record.seq not in known for record in records):
        return None
    floor_us = (await session.state()).purge_floor_us
    kept = [record for record in records if not floor_us or record.started_at_us >= floor_us]
    return await unpacked_at(session, [(record.seq, *known[record.seq], record.started_at_us) for record in kept])


async def unpacked_at(session: BlockSession, places: Rows) -> dict[int, Payload]:
    """Do the same where their places are known (`BlockSession.places`)."""
    state = await session.state()
    unpacker = Unpacker(await contents(session, {block for row in places for block in (row[1], row[4]) if block}))
    found = {}
    for seq, heads_block, heads_at, heads_length, bodies_block, bodies_at, bodies_length, started_at_us in places:
        heads = (heads_block, heads_at, heads_length) if heads_block else NOWHERE
        has_bodies = bodies_block and started_at_us >= state.body_floor_us and seq > state.bodies_through_seq
        found[seq] = unpacker.payload(heads, (bodies_block, bodies_at, bodies_length) if has_bodies else NOWHERE)
    return {seq: payload for seq, payload in found.items() if payload is not None}


async def contents(session: BlockSession, numbers: AbstractSet[int]) -> dict[int, bytes]:
    """Read and inflate some blocks, unless this read has them already; deleted ones are left out."""
    recent = session.recent_blocks
    lacking = recent.lacking(numbers)
    if not lacking:
        return recent.inflated(numbers, ())
    frames = await session.blocks(lacking)
    return await session.aside(partial(recent.inflated, numbers, frames))
