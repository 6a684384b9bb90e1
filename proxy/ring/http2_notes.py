"""Notes of an entry about HTTP/2: its stream, the stream's reset, and the gRPC messages on it.

Written by a worker at the end of an exchange, read by the collector. Little-endian:

* note 10, `STREAM`, for every client that speaks HTTP/2: connection number (u64, counted by the
  worker from 1),
  stream id (u32; 0: the record is about the connection itself), reset code (i64; -1: none), side
  that reset it
  (u8: `NOT_RESET`, `BY_CLIENT`, `BY_UPSTREAM`, `BY_US`).
* note 11, `MESSAGES`, for a gRPC request (not gRPC-Web): number of messages (u64) and size of the
  largest (u64),
  of the request, then of the response; and a flag (u8) for a stream whose messages are entries of
  their own.

The worker counts messages because windows keep only parts of a body. A message counts as soon as
its five-byte prefix is complete (gRPC over HTTP/2, Length-Prefixed-Message), with the length in the
prefix, compressed or not.
"""

from struct import Struct
from typing import Final, NamedTuple

from proxy.http1.websocket_frames import Message, Opcode

STREAM: Final = Struct("<QIqB")
MESSAGES: Final = Struct("<QQQQ?")
NOT_RESET, BY_CLIENT, BY_UPSTREAM, BY_US = range(4)
_PREFIX_BYTES: Final = 5
_COMPRESSED: Final = 1


class MessageCounter:
    """Counts the messages of one direction, however the bytes are split, and copies some
    beginnings.
    """

    __slots__ = (
        "_copy", "_flags", "_left", "_most", "_prefix", "_size", "found", "largest_bytes", "max_bytes", "messages",
        "room",
    )  # fmt: skip

    def __init__(self, max_bytes: int = 0) -> None:
        """Copy at most `max_bytes` of a message, while there is `room`."""
        self._left = 0
        """Bytes of the newest message that are still to come."""
        self._prefix = b""
        """Incomplete prefix of the next message."""
        self.messages = 0
        self.largest_bytes = 0
        self.max_bytes = max_bytes
        self.room = 0
        """Number of the next messages to copy."""
        self.found: list[Message] | None = [] if max_bytes else None
        """Complete copies; None if no message is ever copied."""
        self._flags = 0
        self._size = -1
        """Size of the message being copied; -1 if there is none."""
        self._copy = b""
        self._most = 0
        """Limit of the copy in bytes."""

    @property
    def is_between(self) -> bool:
        """Return True if a message was counted and the newest message is complete."""
        return self.messages > 0 and not self._left

    def add(self, data: bytes) -> None:
        at = self._left
        end = len(data)
        if self._size >= 0:
            self._take(data[:at], is_last=at <= end)
        while at < end:
            prefix = self._prefix + data[at : at + _PREFIX_BYTES - len(self._prefix)]
            at += len(prefix) - len(self._prefix)
            if len(prefix) < _PREFIX_BYTES:
                self._prefix = prefix
                break

            self._prefix = b""
            size = int.from_bytes(prefix[1:], "big")
            self.messages += 1
            self.largest_bytes = max(self.largest_bytes, size)

            if self.room > 0 and prefix[0] <= _COMPRESSED:  # otherwise it is not a gRPC message
                self.room -= 1
                self._flags = prefix[0]
                self._size = size
                self._copy = b""
                self._most = self.max_bytes
                self._take(data[at : at + size], is_last=at + size <= end)

            at += size

        self._left = at - end

    def copy(self, max_bytes: int) -> None:
        """Copy at most `max_bytes` of each message, from the next message on."""
        self.max_bytes = max_bytes
        self.found = []

    def skip(self, size: int) -> bool:
        """Skip bytes of the newest message that were lost; return False if it has fewer bytes left."""
        self._left -= size
        self._most = len(self._copy) if size else self._most
        return self._left >= 0

    def _take(self, piece: bytes, *, is_last: bool) -> None:
        self._copy += piece[: self._most - len(self._copy)]
        if is_last and self.found is not None:
            self.found.append(
                Message(Opcode.BINARY, self._size, self._copy, self._flags == _COMPRESSED)
            )
            self._size = -1


class StreamState:
    """The state of a stream that becomes its notes, kept while the exchange runs."""

    __slots__ = (
        "connection",
        "id",
        "is_expired",
        "is_stream",
        "requests",
        "reset_by",
        "reset_code",
        "responses",
    )

    def __init__(self, connection: int, stream_id: int) -> None:
        self.connection = connection
        self.id = stream_id
        self.reset_code = -1
        self.reset_by = NOT_RESET
        self.requests: MessageCounter | None = None
        """Counter of a gRPC call. `responses` is set together with it."""
        self.responses: MessageCounter | None = None
        self.is_expired = False
        """True if a gRPC call has outlasted its deadline. It is only visible in the response that
        ends it.
        """
        self.is_stream = False
        """True if its messages are recorded one by one."""

    def note_reset(self, code: int, by: int) -> None:
        """Record the first reset. Later ones only follow from it."""
        if self.reset_by == NOT_RESET:
            self.reset_code = code
            self.reset_by = by

    def count_messages(self) -> None:
        self.requests = MessageCounter()
        self.responses = MessageCounter()

    @property
    def stream_note(self) -> bytes:
        return STREAM.pack(self.connection, self.id, self.reset_code, self.reset_by)

    @property
    def messages_note(self) -> bytes:
        """Return note 11, the counts of messages; empty if nothing was counted."""
        requests = self.requests
        responses = self.responses
        if requests is None or responses is None:
            return b""

        return MESSAGES.pack(
            requests.messages,
            requests.largest_bytes,
            responses.messages,
            responses.largest_bytes,
            self.is_stream,
        )


class StreamNote(NamedTuple):
    """Decoded note 10."""

    connection: int
    stream_id: int
    reset_code: int
    """Reset code; -1 without a reset."""
    reset_by: int


class MessagesNote(NamedTuple):
    """Decoded note 11."""

    request_messages: int
    request_largest_bytes: int
    response_messages: int
    response_largest_bytes: int
    is_stream: bool = False


def read_stream_note(note: bytes) -> StreamNote | None:
    """Decode note 10; None if it has another size, perhaps of a later version."""
    if len(note) == STREAM.size:
        return StreamNote(*STREAM.unpack(note))
    return None


def read_messages_note(note: bytes) -> MessagesNote | None:
    """Decode note 11; None if it has another size, perhaps of a later version."""
    if len(note) == MESSAGES.size:
        return MessagesNote(*MESSAGES.unpack(note))
    return None
