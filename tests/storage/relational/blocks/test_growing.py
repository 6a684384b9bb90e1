"""Blocks of conversations: what is stored once, and where a block ends."""

import random
import tracemalloc
from typing import Any

from storage.relational.blocks import growing
from storage.relational.blocks.growing import (
    MAX_BLOCK_BYTES,
    MAX_SPAN_US,
    MIN_END_BYTES,
    GrowingBlocks,
    GrowingPacker,
)
from storage.relational.blocks.payloads import inflate
from tests.contract.test_storage_repeated_bodies import A, B, entry


def text_of(turn: int) -> bytes:
    """A body that begins with the one before."""
    return b"".join(
        b"%d: something that was said, " % (number * number) for number in range(10 + turn)
    )


def grow(blocks: GrowingBlocks, *turns: int, **at: Any) -> list[int]:
    """Add turns to a conversation and return the blocks they went into; 0 where there was none."""
    ids = []
    for turn in turns:
        found = blocks.add(A, text_of(turn), turn, at.get("started_at_us", 0), turn + 100)
        ids.append(0 if found is None else found[0].id)
    return ids


def test_a_block_begins_with_the_second_call() -> None:
    """Calls that stay alone are packed with others."""
    blocks = GrowingBlocks()
    assert grow(blocks, 1, 2, 3) == [0, 102, 102]


def test_frames_inflate_to_what_was_added() -> None:
    """Each with the one before it; what is repeated costs little."""
    blocks = GrowingBlocks()
    grow(blocks, *range(40))
    block, (_, offset, length) = blocks.add(A, text_of(40), 40, 0, 7) or (None, (0, 0, 0))
    assert block is not None
    content = inflate(bytes(block.frames))
    assert content == b"".join(map(text_of, range(1, 41)))
    assert content[offset : offset + length] == text_of(40)
    assert len(block.frames) < len(content) / 15


def test_a_block_ends_by_size_and_by_time() -> None:
    """What would be too long, or too late, begins the next."""
    blocks = GrowingBlocks()
    assert grow(blocks, 1, 2) == [0, 102]
    assert blocks.add(A, bytes(MAX_BLOCK_BYTES), 3, 0, 103) is not None
    assert grow(blocks, 4, 5) == [104, 104]
    assert grow(blocks, 6, started_at_us=MAX_SPAN_US + 1) == [106]
    assert grow(blocks, 7, started_at_us=MAX_SPAN_US + 2) == [106]


def test_what_is_remembered_is_bounded(monkeypatch: Any) -> None:
    """Blocks that are forgotten are left as they are: the next call begins anew."""
    monkeypatch.setattr(growing, "MAX_REMEMBERED_BYTES", 3000)
    blocks = GrowingBlocks()
    grow(blocks, 1, 2)
    blocks.add(B, b"x" * 2900, 3, 0, 3)
    blocks.add(B, b"x" * 2900, 4, 0, 4)
    assert grow(blocks, 5, 6) == [0, 106]


def test_what_is_remembered_is_counted_with_its_objects(monkeypatch: Any) -> None:
    """Of short bodies these are most: thousands of blocks must not take several times what they
    may.
    """
    monkeypatch.setattr(growing, "MAX_REMEMBERED_BYTES", 400_000)
    draw = random.Random(1)
    blocks = GrowingBlocks()
    tracemalloc.start()

    for seq in range(1000, 2000):
        conversation = draw.randbytes(16)
        body = draw.randbytes(200).hex().encode()
        for turn in range(3):
            blocks.add(conversation, body + bytes(turn), seq, seq, seq)

    traced_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 200 < len(blocks._blocks) < 1000
    assert traced_bytes < 1.3 * growing.MAX_REMEMBERED_BYTES


def test_a_block_that_is_long_ends_before_a_short_body() -> None:
    """Writing it again would cost more than what the body may repeat."""
    blocks = GrowingBlocks()
    grow(blocks, 1, 2)
    noise = random.Random(1).randbytes(MIN_END_BYTES)
    assert blocks.add(A, noise, 3, 0, 103) is not None
    whole = blocks.add(A, noise + text_of(4), 4, 0, 104)
    assert whole is not None
    assert whole[0].id == 102
    assert grow(blocks, 5, 6) == [105, 105]


def test_a_block_that_was_changed_is_not_continued() -> None:
    """What the store has of it is shorter, or nothing; others go on."""
    blocks = GrowingBlocks()
    for seq in range(3):
        pack(blocks, seq)
    numbers = blocks.continued([entry(0), entry(0, B), entry(0, None)])
    first, second = (block for block in blocks._blocks.values() if block is not None)
    assert numbers == [first.id, second.id]
    blocks.check(
        numbers, {first.id: first.stored_raw_bytes, second.id: second.stored_raw_bytes - 1}
    )
    assert blocks.continued([entry(0), entry(0, B)]) == [first.id]


def pack(blocks: GrowingBlocks, turn: int) -> GrowingPacker:
    """Make the blocks of a batch of two conversations."""
    packer = GrowingPacker(100 * turn, blocks)
    for conversation in (A, B):
        made = entry(turn, conversation)
        assert made.payload is not None
        packer.add(made.payload, 0, made.record.started_at_us, conversation)

    packer.finish()
    return packer


def test_what_a_batch_adds_is_known() -> None:
    """New blocks are among those of the batch; of others, how they were and how they are."""
    blocks = GrowingBlocks()
    content: dict[int, tuple[int, int]] = {}
    for turn in range(4):
        packer = pack(blocks, turn)
        assert len(packer.growths) == (2 if turn > 1 else 0)
        added = packer.stored_bytes - sum(len(block[-1]) for block in packer.blocks)
        assert added == sum(len(growth.frames) - content[growth.id][1] for growth in packer.growths)
        assert all(growth.raw_bytes_before == content[growth.id][0] for growth in packer.growths)
        content |= {number: (size, len(frames)) for number, *_, size, frames in packer.blocks}
        content |= {growth.id: (growth.raw_bytes, len(growth.frames)) for growth in packer.growths}
