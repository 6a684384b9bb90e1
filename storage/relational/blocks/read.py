"""Payloads of rows, read from their blocks."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final, TypeVar

import msgspec

from storage.record import Payload
from storage.relational.blocks.payloads import Bodies, Heads
from storage.relational.session import BlockSession
from storage.relational.sql import MAX_INT

T = TypeVar("T")

_HEADS: Final = msgspec.msgpack.Decoder(Heads)
_BODIES: Final = msgspec.msgpack.Decoder(Bodies)
_NO_BODIES: Final = Bodies(None, None)


async def unpacked(session: BlockSession, seqs: Sequence[int]) -> dict[int, Payload]:
    """Read and unpack heads and bodies of some rows; see `Session.payloads`."""
    state = await session.state()
    rows = await session.places(sorted(seqs), state.purge_floor_us or -MAX_INT - 1)
    blocks = await contents(session, {block for row in rows for block in (row[1], row[4]) if block})
    found = {}

    for seq, *places, started_at_us in rows:
        heads = _value(_HEADS, blocks, places[:3])
        if heads is None:
            continue

        bodies = None
        if started_at_us >= state.body_floor_us and seq > state.bodies_through_seq:
            bodies = _value(_BODIES, blocks, places[3:])
        bodies = bodies or _NO_BODIES
        found[seq] = Payload(
            heads.request_head, heads.response_head, bodies.request_body, bodies.response_body, heads.timeline,
            heads.request_trailers, heads.response_trailers,
        )  # fmt: skip

    return found


def _value(
    decoder: msgspec.msgpack.Decoder[T], blocks: Mapping[int, bytes], place: Sequence[int]
) -> T | None:
    """Decode what is at a place; None if it is in no block, or the block was deleted."""
    block, offset, length = place
    content = blocks.get(block)
    if content is None:
        return None
    return decoder.decode(memoryview(content)[offset : offset + length])


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
