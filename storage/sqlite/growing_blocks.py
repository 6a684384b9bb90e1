"""Blocks that grow: the bodies of one conversation, whose requests repeat what the one before said.

Strategy: a conversation's bodies go into a block of their own, from its second call on. Each is one zstd frame that is
compressed with the bodies before it as its dictionary, so that a history is stored once and each call costs what it
adds: 7 % of what its body takes alone (bench/results/agent-run.json), for half of the time. A block is bounded in size
and in time, then the next one begins whole: no body is further away than one block is long.

Invariant: the frames of a block, each inflated with the content of the one before, give its content. What is remembered
here is what the store has, or is forgotten: a block that erasure or retention has touched is never continued.
"""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from storage.record import Entry
from storage.relational.payloads import GROWN, Block, Bodies, Packer, Place, compress_after
from storage.sqlite.connection import counter

MAX_BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Of content: reading one body of it inflates all, in about 2 ms."""
MAX_SPAN_US: Final = 3_600_000_000
"""Bodies of an older hour are kept no longer than the hour's own: retention goes by hours."""
MAX_REMEMBERED_BYTES: Final = 32 * 1024 * 1024
"""Frames, and last contents, of the blocks that may still grow; the least recently used are left as they are."""
MAX_SEEN: Final = 16_384
"""Conversations that are known to have begun."""
_INSERT: Final = (
    "INSERT INTO blocks (id, kind, first_seq, last_seq, newest_started_at_us, raw_bytes, data) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_GROW: Final = "UPDATE blocks SET last_seq = ?, newest_started_at_us = ?, raw_bytes = ?, data = ? WHERE id = ?"


@dataclass(slots=True)
class GrowingBlock:
    """One block, as it will be stored."""

    id: int
    stored_bytes: int
    """Length of its frames in the store; 0 before it is there."""
    frames: bytearray
    raw_bytes: int
    last: bytes
    """Content of the last frame."""
    first_seq: int
    last_seq: int
    first_us: int
    newest_us: int

    @property
    def cost(self) -> int:
        return len(self.frames) + len(self.last)


class GrowingBlocks:
    """The blocks of one writer that may still grow."""

    def __init__(self) -> None:
        self._erasures = -1
        self._blocks: OrderedDict[bytes, GrowingBlock | None] = OrderedDict()
        """Conversation → its block; None when only one call of it was seen."""
        self._bytes = 0

    def forget(self) -> None:
        """Continue no block: a transaction failed, or rows went."""
        self._blocks.clear()
        self._bytes = 0

    def check(self, connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        """Forget, of the blocks that a batch would continue, those that are not in the store as they were left."""
        erasures = counter(connection, "erasures")
        if erasures != self._erasures:
            self.forget()
            self._erasures = erasures
        for conversation in {entry.record.conversation for entry in entries}:
            block = None if conversation is None else self._blocks.get(conversation)
            if conversation is None or block is None:
                continue
            found = connection.execute("SELECT length(data) FROM blocks WHERE id = ?", (block.id,)).fetchone()
            if found is None or found[0] != block.stored_bytes:
                self._bytes -= block.cost
                self._blocks[conversation] = None

    def add(
        self, conversation: bytes, content: bytes, seq: int, started_at_us: int, next_id: int
    ) -> tuple[GrowingBlock, Place] | None:
        """Put the bodies of a call behind those before them; None for the first call of a conversation."""
        if conversation not in self._blocks:
            self._keep(conversation, None)
            return None
        block = self._blocks.pop(conversation)
        if block is not None:
            self._bytes -= block.cost
        if block is None or not _has_room(block, content, started_at_us):
            block = GrowingBlock(next_id, 0, bytearray(), 0, b"", seq, seq, started_at_us, started_at_us)
        place = (block.id, block.raw_bytes, len(content))
        block.frames += compress_after(content, block.last)
        block.raw_bytes += len(content)
        block.last, block.last_seq = content, seq
        block.newest_us = max(block.newest_us, started_at_us)
        self._keep(conversation, block)
        return block, place

    def _keep(self, conversation: bytes, block: GrowingBlock | None) -> None:
        self._blocks[conversation] = block
        self._bytes += 0 if block is None else block.cost
        while self._bytes > MAX_REMEMBERED_BYTES or len(self._blocks) > MAX_SEEN:
            _, oldest = self._blocks.popitem(last=False)
            self._bytes -= 0 if oldest is None else oldest.cost


def _has_room(block: GrowingBlock, content: bytes, started_at_us: int) -> bool:
    is_near = abs(started_at_us - block.first_us) <= MAX_SPAN_US
    return is_near and block.raw_bytes + len(content) <= MAX_BLOCK_BYTES


class GrowingPacker(Packer):
    """Makes the blocks of one batch, and lets those of conversations grow."""

    def __init__(self, last_block: int, growing: GrowingBlocks) -> None:
        super().__init__(last_block)
        self._growing = growing
        self._grown: dict[int, GrowingBlock] = {}
        self._conversation: bytes | None = None

    def add_call(self, entry: Entry, seq: int) -> tuple[Place, Place]:
        """Put an entry's payload, which it must have, where it belongs."""
        assert entry.payload is not None, "bug: an entry without a payload"
        self._conversation = entry.record.conversation
        return self.add(entry.payload, seq, entry.record.started_at_us)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all blocks, in the transaction of the batch."""
        self.finish()
        connection.executemany(_INSERT, self.blocks)
        for block in self._grown.values():
            row = (block.last_seq, block.newest_us, block.raw_bytes, block.frames)
            if block.stored_bytes:
                connection.execute(_GROW, (*row, block.id))
            else:
                new: Block = (block.id, GROWN, block.first_seq, *row)
                connection.execute(_INSERT, new)
            block.stored_bytes = len(block.frames)

    def _elsewhere(self, bodies: Bodies) -> Place | None:
        if self._conversation is None:
            return None
        content = msgspec.msgpack.encode(bodies)
        found = self._growing.add(self._conversation, content, self._seq, self._started_at_us, self.last_block + 1)
        if found is None:
            return None
        block, place = found
        self.last_block = max(self.last_block, block.id)
        self._grown[block.id] = block
        return place
