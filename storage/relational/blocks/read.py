"""Payloads of rows, read from their blocks."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from storage.record import Payload
from storage.relational.blocks.payloads import NOWHERE, Unpacker
from storage.relational.session import BlockSession
from storage.relational.sql import MAX_INT


async def unpacked(session: BlockSession, seqs: Sequence[int]) -> dict[int, Payload]:
    """Read and unpack heads and bodies of some rows; see `Session.payloads`."""
    state = await session.state()
    places = await session.places(sorted(seqs), state.purge_floor_us or -MAX_INT - 1)
    unpacker = Unpacker(
        await contents(session, {block for row in places for block in (row[1], row[4]) if block})
    )
    found = {}

    for (
        seq,
        heads_block,
        heads_at,
        heads_length,
        bodies_block,
        bodies_at,
        bodies_length,
        started_at_us,
    ) in places:
        if heads_block:
            heads = (heads_block, heads_at, heads_length)
        else:
            heads = NOWHERE
        has_bodies = (
            bodies_block and started_at_us >= state.body_floor_us and seq > state.bodies_through_seq
        )
        found[seq] = unpacker.payload(
            heads, (bodies_block, bodies_at, bodies_length) if has_bodies else NOWHERE
        )

    return {seq: payload for seq, payload in found.items() if payload is not None}


async def contents(session: BlockSession, numbers: AbstractSet[int]) -> dict[int, bytes]:
    """Read and inflate some blocks, except those that this read has already; deleted blocks are
    left out.
    """
    recent = session.recent_blocks
    lacking = recent.lacking(numbers)
    if not lacking:
        return recent.inflated(numbers, ())
    frames = await session.blocks(lacking)
    return await session.aside(partial(recent.inflated, numbers, frames))
