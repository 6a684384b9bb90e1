"""Blocks of conversations: what is stored once, and where a block ends."""

from pathlib import Path
from typing import Any

from storage.relational.payloads import GROWN, inflate
from storage.sqlite import growing_blocks
from storage.sqlite.growing_blocks import MAX_BLOCK_BYTES, MAX_SPAN_US, GrowingBlocks
from storage.sqlite.store import SqliteStorage
from tests.contract.test_storage_repeated_bodies import run

A = bytes(16)


def text_of(turn: int) -> bytes:
    """A body that begins with the one before."""
    return b"".join(b"%d: something that was said, " % (number * number) for number in range(10 + turn))


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
    monkeypatch.setattr(growing_blocks, "MAX_REMEMBERED_BYTES", 3000)
    blocks = GrowingBlocks()
    grow(blocks, 1, 2)
    other = bytes([1]) * 16
    blocks.add(other, b"x" * 2900, 3, 0, 3)
    blocks.add(other, b"x" * 2900, 4, 0, 4)
    assert grow(blocks, 5, 6) == [0, 106]


async def test_a_conversation_is_stored_once(tmp_path: Path) -> None:
    """One block for each, beside those of batches; after a restart new ones begin."""
    async with await SqliteStorage.open(tmp_path / "s.db") as store:
        await run(store, 30)
        first = await _grown(store)
    async with await SqliteStorage.open(tmp_path / "s.db") as store:
        await run(store, 3)
        assert (len(first), len(await _grown(store))) == (2, 4)


async def _grown(store: SqliteStorage) -> list[int]:
    return await store._writer.run(
        lambda connection: [row[0] for row in connection.execute("SELECT id FROM blocks WHERE kind = ?", (GROWN,))]
    )
