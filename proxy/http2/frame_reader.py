"""Frames and header blocks cut out of a peer's bytes (RFC 9113 §3.4, §4, §6.10).

Strategy: a frame is judged by its header before its payload arrives, so a forbidden frame ends the
    connection at once and nothing over a limit is buffered. The invariant: any split of the input
gives the same frames. Results are attributes, not return values, as in `http1/request_reader.py`.
"""

from typing import Final

from proxy.http2 import frames
from proxy.http2.errors import ConnectionFault, ErrorCode
from proxy.http2.frames import HEADER_BYTES, MAX_FRAME_BYTES, PREFACE

MAX_CONTINUATIONS: Final = 16
"""Limit of CONTINUATION frames after one HEADERS frame (F3)."""


class FrameReader:
    """Reads one frame after the other."""

    __slots__ = (
        "_at", "_block", "_block_bytes", "_block_id", "_data", "_has_preface", "_max_block_bytes", "flags", "has_begun",
        "is_end", "kind", "payload", "stream_id",
    )  # fmt: skip

    def __init__(self, *, expects_preface: bool, max_block_bytes: int) -> None:
        """Begin a connection; a client's begins with the preface, and both with SETTINGS."""
        self._data = b""
        self._at = 0
        self._has_preface = not expects_preface
        self._max_block_bytes = max_block_bytes
        self._block: list[bytes] = []
        """Parts of an incomplete header block."""
        self._block_bytes = 0
        self._block_id = 0
        """Stream of that block; 0 without a block."""
        self.has_begun = False
        """True once the preface and the first SETTINGS have come."""
        self.kind = 0
        self.flags = 0
        self.stream_id = 0
        self.payload = b""
        """These four describe the frame read last."""
        self.is_end = False
        """True if the header block begun last ends its stream."""

    @property
    def is_within_head(self) -> bool:
        """True if a header block was begun and is not complete."""
        is_cut = (
            self.in_hand >= HEADER_BYTES
            and self._data[self._at + 3] == frames.HEADERS
            and not self.has_more
        )
        return is_cut or self._block_id > 0

    @property
    def arriving_bytes(self) -> int:
        """Return how many bytes of an incomplete DATA frame have been received; its stream is
        `stream_id`.
        """
        is_data = self.in_hand > HEADER_BYTES and self._data[self._at + 3] == frames.DATA
        if is_data and not self.has_more:
            return self.in_hand - HEADER_BYTES
        return 0

    @property
    def is_within_frame(self) -> bool:
        """True if the peer has to complete a frame or a header block before anything else."""
        return self._block_id > 0 or (self.in_hand > 0 and not self.has_more)

    @property
    def in_hand(self) -> int:
        """Return how many bytes were fed and not read yet."""
        return len(self._data) - self._at

    @property
    def has_more(self) -> bool:
        """True if `read` would find a frame, or a fault."""
        if not self._has_preface:
            return self.in_hand > len(PREFACE)
        return self.in_hand >= HEADER_BYTES and self.in_hand >= HEADER_BYTES + self._payload_bytes()

    def _payload_bytes(self) -> int:
        """Return the length in the header of the next frame."""
        data = self._data
        at = self._at
        return data[at] << 16 | data[at + 1] << 8 | data[at + 2]

    def feed(self, data: bytes) -> None:
        """Add received bytes after those in hand."""
        if self._at < len(self._data):
            self._data = self._data[self._at :] + data
        else:
            self._data = data
        self._at = 0

    def read(self) -> bool:
        """Read the next frame into the attributes; return False if it is incomplete."""
        if not self._has_preface and not self._read_preface():
            return False
        data = self._data
        at = self._at
        if len(data) - at < HEADER_BYTES:
            if at == len(data):  # an idle connection keeps no memory of what it read
                self._data = b""
                self.payload = b""
                self._at = 0
            return False

        size = self._payload_bytes()
        self.kind = data[at + 3]
        self.flags = data[at + 4]
        self.stream_id = (
            (data[at + 5] & 0x7F) << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]
        )

        if size > MAX_FRAME_BYTES:
            raise ConnectionFault(
                ErrorCode.FRAME_SIZE_ERROR, f"a frame of more than {MAX_FRAME_BYTES} bytes"
            )
        if not self.has_begun and (self.kind != frames.SETTINGS or self.flags & frames.ACK):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if self._block_id and (
            self.kind != frames.CONTINUATION or self.stream_id != self._block_id
        ):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "another frame within a header block")

        end = at + HEADER_BYTES + size
        if end > len(data):
            return False

        self.payload = data[at + HEADER_BYTES : end]
        self._at = end
        self.has_begun = True
        return True

    def _read_preface(self) -> bool:
        """Read the preface of a client; the first byte that differs is a fault (F1)."""
        if not PREFACE.startswith(self._data[: len(PREFACE)]):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no preface of HTTP/2")
        self._has_preface = len(self._data) >= len(PREFACE)
        self._at = len(PREFACE) if self._has_preface else 0
        return self._has_preface

    def add_to_block(self, payload: bytes) -> bytes | None:
        """Take a part of a header block, without padding; return the block when it is complete
        (F3).
        """
        if self.kind == frames.HEADERS:
            self.is_end = self.flags & frames.END_STREAM != 0
        elif not self._block_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")

        self._block.append(payload)
        self._block_bytes += len(payload)
        if len(self._block) > 1 + MAX_CONTINUATIONS or self._block_bytes > self._max_block_bytes:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block over the limit")

        self._block_id = self.stream_id
        if not self.flags & frames.END_HEADERS:
            return None

        block = b"".join(self._block)
        self._block.clear()
        self._block_bytes = 0
        self._block_id = 0
        return block
