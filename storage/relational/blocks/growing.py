"""Growing blocks: the bodies of one conversation, each of which repeats most of the previous one.

Strategy: the bodies of a conversation go into a separate block, from its second call on. While they
are short the block is one zstd frame, and each call replaces it: reading a frame takes 26 µs,
whatever its content, and searches read thousands of blocks. Afterwards each call adds one frame,
with the previous frame as its dictionary. So a history is stored once and each call costs only its
own addition: 7 % of its body (bench/results/agent-run-sqlite.json), in half of the time. Blocks are
bounded in size and in time, and each begins with a complete body: reading one inflates only its own
block. A backend rewrites a block that has grown, so a block also ends when its frames are longer
than the next body.

Invariant: the frames of a block, each inflated with the content of the previous one, give its
content. Only one writer grows a block, and erasure shortens it, so a block of the same length is
unchanged. A block is remembered exactly as the store has it, or not at all.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from storage.record import Entry
from storage.relational.blocks.payloads import GROWN, PackedBodies, Packer, Place, compress_after

MAX_BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Longest content of a block: reading one body of it inflates all, in about 2 ms."""
MAX_SPAN_US: Final = 3_600_000_000
"""Longest time between the bodies of a block. Retention deletes by hours, so a body stays up to
this much longer.
"""
MAX_REMEMBERED_BYTES: Final = 8 * 1024 * 1024
"""Memory of blocks that may still grow: those of fifty long conversations, or of thousands of short
ones. The least recently used stop growing.
"""
MAX_SEEN: Final = 4096
"""Conversations remembered as begun: about 200 bytes each, 1 MB in all."""
MAX_FIRST_BYTES: Final = 8 * 1024
"""Longest content of the first frame, unless its first body is longer: compressing so much again
takes 20 µs more than compressing only the last body.
"""
MIN_END_BYTES: Final = 16 * 1024
"""Shorter frames are written again with the next body, however short that is."""
_OBJECT_BYTES: Final = 350
"""Memory of a block, without its frames and last content."""


class Growth(NamedTuple):
    """The change of a block that is in the store."""

    id: int
    last_seq: int
    newest_us: int
    raw_bytes: int
    raw_bytes_before: int
    frames: bytearray
    added_bytes: int
    """The growth of the frames; negative if one frame replaces longer ones."""


@dataclass(slots=True)
class GrowingBlock:
    """One block, as it will be stored."""

    id: int
    stored_raw_bytes: int
    """Length of its stored content; 0 until it is stored."""
    stored_bytes: int
    """Length of its stored frames."""
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
        """Return the memory of the growing block in bytes, with its objects and the unused room of
        its frames.
        """
        return _OBJECT_BYTES + sys.getsizeof(self.frames) + sys.getsizeof(self.last)


class GrowingBlocks:
    """The blocks of one writer that may still grow."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, GrowingBlock | None] = OrderedDict()
        """Conversation → its block; None after its first call."""
        self._bytes = 0

    def forget(self) -> None:
        """Stop growing all blocks: a transaction failed, or rows were deleted."""
        self._blocks.clear()
        self._bytes = 0

    def continued(self, entries: Iterable[Entry]) -> list[int]:
        """List the numbers of the growing blocks to which the entries of known conversations may be
        appended.
        """
        found = [
            self._blocks.get(entry.record.conversation)
            for entry in entries
            if entry.record.conversation
        ]
        return sorted({block.id for block in found if block is not None})

    def check(self, numbers: Iterable[int], raw_bytes: Mapping[int, int]) -> None:
        """Forget those of some blocks that were changed by others, judged by the length of the
        stored content.
        """
        wanted = set(numbers)
        for conversation, block in self._blocks.items():
            if (
                block is not None
                and block.id in wanted
                and raw_bytes.get(block.id) != block.stored_raw_bytes
            ):
                self._bytes -= block.cost
                self._blocks[conversation] = None

    def add(
        self, conversation: bytes, content: bytes, seq: int, started_at_us: int, next_id: int
    ) -> tuple[GrowingBlock, Place] | None:
        """Append the bodies of a call to the block of its conversation; None for the first call."""
        if conversation not in self._blocks:
            self._keep(conversation, None)
            return None
        block = self._blocks.pop(conversation)
        if block is not None:
            self._bytes -= block.cost
        if block is None or not _has_room(block, content, started_at_us):
            block = GrowingBlock(
                next_id, 0, 0, bytearray(), 0, b"", seq, seq, started_at_us, started_at_us
            )

        place = (block.id, block.raw_bytes, len(content))
        block.raw_bytes += len(content)
        if block.raw_bytes <= MAX_FIRST_BYTES:
            block.last += content
            block.frames = bytearray(compress_after(block.last, b""))
        else:
            block.frames += compress_after(content, block.last)
            block.last = content
        block.last_seq = seq
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
    is_cheap = len(block.frames) <= max(len(content), MIN_END_BYTES)
    return is_near and is_cheap and block.raw_bytes + len(content) <= MAX_BLOCK_BYTES


class GrowingPacker(Packer):
    """Makes the blocks of one batch, and lets the blocks of conversations grow."""

    def __init__(self, last_block: int, growing: GrowingBlocks) -> None:
        super().__init__(last_block)
        self.growths: list[Growth] = []
        """Changes of earlier blocks, in the order of their ids; valid from the end of a batch to
        the next one.
        """
        self._growing = growing
        self._grown: dict[int, GrowingBlock] = {}

    @property
    def stored_bytes(self) -> int:
        """Bytes by which the stored blocks grow in all; known at the end."""
        return sum(len(block[-1]) for block in self.blocks) + sum(
            growth.added_bytes for growth in self.growths
        )

    def finish(self) -> None:
        super().finish()
        for _, block in sorted(self._grown.items()):
            size = len(block.frames)
            changed = (block.last_seq, block.newest_us, block.raw_bytes)
            if block.stored_bytes:
                before = block.stored_raw_bytes
                added = size - block.stored_bytes
                self.growths.append(Growth(block.id, *changed, before, block.frames, added))
            else:
                self.blocks.append((block.id, GROWN, block.first_seq, *changed, block.frames))

            block.stored_raw_bytes = block.raw_bytes
            block.stored_bytes = size

    def _elsewhere(
        self, conversation: bytes, bodies: PackedBodies, seq: int, started_at_us: int
    ) -> Place | None:
        content = msgspec.msgpack.encode(bodies)
        found = self._growing.add(conversation, content, seq, started_at_us, self.last_block + 1)
        if found is None:
            return None

        block, place = found
        self.last_block = max(self.last_block, block.id)
        self._grown[block.id] = block
        return place
