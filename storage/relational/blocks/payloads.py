"""Packed heads and bodies: msgpack, many to a block, one zstd frame per block.

Strategy: heads of neighbouring exchanges are nearly the same, so a block of 64 KiB compresses far
better than each of them alone, at the cost of one call. Heads and bodies are in separate blocks, so
that body retention drops whole blocks, and a reader of heads inflates no bodies. A body longer than
a block gets a separate block.

Invariant: a place (block, offset, length) is one msgpack array; block 0 means that there is
nothing.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from storage.record import Body, Payload
from storage.zstd import zstd

MAX_BLOCK_BYTES: Final = 64 * 1024
LEVEL: Final = 3
"""Level 3 of zstd, its default: higher ones cost twice as much and save 5 % (measured)."""

HEADS: Final = 0
BODIES: Final = 1
GROWN: Final = 2
"""Bodies of one conversation, from several batches."""

Place = tuple[int, int, int]
Block = tuple[int, int, int, int, int, int, bytearray]
"""Id, kind, first and last seq of its records, start of the newest of them, uncompressed size, zstd
frame.
"""
NOWHERE: Final[Place] = (0, 0, 0)


class Heads(msgspec.Struct, array_like=True, gc=False):
    """The stored form of a payload without its bodies."""

    request_head: bytes
    response_head: bytes
    timeline: list[tuple[int, int]]
    request_trailers: bytes
    response_trailers: bytes


class Bodies(msgspec.Struct, array_like=True, gc=False):
    """The stored form of a payload's bodies."""

    request_body: Body | None
    response_body: Body | None


PackedHeads = tuple[bytes, bytes, list[tuple[int, int]], bytes, bytes]
"""The values of `Heads`, in its order."""
PackedBodies = tuple[Body | None, Body | None]
"""The values of `Bodies`, in its order."""


class OpenBlock:
    """A block that is being filled."""

    __slots__ = ("content", "first_seq", "id", "kind", "last_seq", "newest_us")

    def __init__(self, kind: int) -> None:
        self.kind = kind
        self.content = bytearray()
        self.id = 0
        self.first_seq = 0
        self.last_seq = 0
        self.newest_us = 0


class Packer:
    """Makes the blocks of one batch, with heads and bodies in separate blocks."""

    def __init__(self, last_block: int) -> None:
        self.last_block = last_block
        """Id of the newest block; both kinds share one sequence without gaps."""
        self.blocks: list[Block] = []
        """Finished blocks, as rows."""
        self._encode_into = msgspec.msgpack.Encoder().encode_into
        self._compress = zstd.ZstdCompressor(LEVEL).compress
        self._heads = OpenBlock(HEADS)
        self._bodies = OpenBlock(BODIES)

    def add(
        self, payload: Payload, seq: int, started_at_us: int, conversation: bytes | None = None
    ) -> tuple[Place, Place]:
        """Put one record's payload into the open blocks; return the places of its heads and its
        bodies.
        """
        # Tuples pack exactly like `Heads` and `Bodies`, and take half the time to make.
        heads = self._put(
            self._heads,
            (
                payload.request_head, payload.response_head, payload.timeline,
                payload.request_trailers, payload.response_trailers,
            ),
            seq,
            started_at_us,
        )  # fmt: skip
        if payload.request_body is None and payload.response_body is None:
            return heads, NOWHERE

        bodies = payload.request_body, payload.response_body
        if conversation is not None:
            place = self._elsewhere(conversation, bodies, seq, started_at_us)
            if place is not None:
                return heads, place

        return heads, self._put(self._bodies, bodies, seq, started_at_us)

    def _elsewhere(
        self, conversation: bytes, bodies: PackedBodies, seq: int, started_at_us: int
    ) -> Place | None:
        """Put bodies into a block that outlives this batch; return None to use a block of the
        batch.
        """
        return None

    def finish(self) -> None:
        self._close(self._heads)
        self._close(self._bodies)

    def _put(
        self, block: OpenBlock, value: PackedHeads | PackedBodies, seq: int, started_at_us: int
    ) -> Place:
        content = block.content
        offset = len(content)
        self._encode_into(value, content, -1)
        size = len(content)
        length = size - offset

        if offset and size > MAX_BLOCK_BYTES:
            # The record does not fit: the block is closed without it, and the record starts the
            # next one.
            rest = content[offset:]
            del content[offset:]
            self._close(block)
            content += rest
            offset = 0
            size = length

        if offset == 0:
            self.last_block += 1
            block.id = self.last_block
            block.first_seq = seq
            block.newest_us = started_at_us

        block.last_seq = seq
        if started_at_us > block.newest_us:
            block.newest_us = started_at_us
        if size >= MAX_BLOCK_BYTES:
            self._close(block)
        return block.id, offset, length

    def _close(self, block: OpenBlock) -> None:
        content = block.content
        if content:
            frame = bytearray(self._compress(content, zstd.ZstdCompressor.FLUSH_FRAME))
            self.blocks.append(
                (
                    block.id,
                    block.kind,
                    block.first_seq,
                    block.last_seq,
                    block.newest_us,
                    len(content),
                    frame,
                )
            )
            content.clear()


def inflate(frames: bytes) -> bytes:
    """Read the content of a block: each frame after the first was compressed with the previous
    content.
    """
    parts: list[bytes] = []
    while frames:
        if parts:
            before = zstd.ZstdDict(parts[-1], is_raw=True).as_prefix
        else:
            before = None
        decompressor = zstd.ZstdDecompressor(zstd_dict=before)
        parts.append(decompressor.decompress(frames))
        frames = decompressor.unused_data

    if len(parts) == 1:
        return parts[0]
    return b"".join(parts)


def compress_after(content: bytes, before: bytes) -> bytes:
    """Compress a frame of a block; `before` is the content of the previous frame, empty for the
    first.
    """
    if not before:
        return zstd.compress(content, LEVEL)
    return zstd.compress(content, LEVEL, zstd_dict=zstd.ZstdDict(before, is_raw=True).as_prefix)


def repack(frame: bytes, slices: Iterable[tuple[int, int]]) -> tuple[int, bytearray]:
    """Compress some slices (offset, length) of a block as a new block; return its size and its
    frame.
    """
    block = inflate(frame)
    kept = b"".join(block[offset : offset + length] for offset, length in slices)
    return len(kept), bytearray(zstd.compress(kept, LEVEL))


MAX_RECENT_BYTES: Final = 8 * 1024 * 1024
"""Memory of one read; a block has 64 KiB, one of a conversation up to 2 MiB."""


class RecentBlocks:
    """Contents of blocks by their ids. One caller at a time."""

    def __init__(self) -> None:
        self._contents: dict[int, bytes] = {}
        """The most recently used come last."""
        self._size = 0

    def lacking(self, numbers: Iterable[int]) -> list[int]:
        """List which of the numbered blocks are not in memory, so that they have to be read."""
        return sorted(set(numbers) - self._contents.keys())

    def inflated(
        self, numbers: Iterable[int], frames: Iterable[tuple[int, bytes]]
    ) -> dict[int, bytes]:
        """Return the contents of some blocks; `frames` has those that were `lacking`, and deleted
        blocks are left out.
        """
        found = {number: self._contents[number] for number in numbers if number in self._contents}
        found.update((number, inflate(frame)) for number, frame in frames)
        for number, content in found.items():
            self._size += len(content) - len(self._contents.pop(number, b""))
            self._contents[number] = content
        while self._size > MAX_RECENT_BYTES:
            oldest = next(iter(self._contents))
            self._size -= len(self._contents.pop(oldest))
        return found
