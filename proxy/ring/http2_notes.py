"""What an entry notes of HTTP/2: whose stream it was, how that was reset, and the gRPC messages on it. Pure.

Written by a worker at the end of an exchange, read by the collector. Little-endian:

* note 10, `STREAM`, of every client that speaks HTTP/2: number of its connection (u64, counted by the worker from 1),
  stream id (u32; 0: the record is of the connection itself), code of the reset (i64; -1: none), who reset it (u8:
  `NOT_RESET`, `BY_CLIENT`, `BY_UPSTREAM`, `BY_US`).
* note 11, `MESSAGES`, of a request that is gRPC (gRPC-Web is none): messages (u64) and largest of them in bytes (u64),
  of the request, then of the response.

The worker counts messages because windows keep only parts of a body. One counts once its prefix of five bytes is here
(gRPC over HTTP/2, Length-Prefixed-Message), with the length that it names, compressed as it may be.
"""

from struct import Struct
from typing import Final, NamedTuple

STREAM: Final = Struct("<QIqB")
MESSAGES: Final = Struct("<QQQQ")
NOT_RESET, BY_CLIENT, BY_UPSTREAM, BY_US = range(4)
_PREFIX_BYTES: Final = 5


class MessageCounter:
    """Counts the messages of one direction, however they are cut."""

    __slots__ = ("_left", "_prefix", "largest_bytes", "messages")

    def __init__(self) -> None:
        self._left = 0
        """Bytes of the newest message that are still to come."""
        self._prefix = b""
        """Of the next one, where it is not whole."""
        self.messages = self.largest_bytes = 0

    def add(self, data: bytes) -> None:
        at, end = self._left, len(data)
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
            at += size
        self._left = at - end


class StreamState:
    """What becomes the notes, kept while the exchange runs."""

    __slots__ = ("connection", "id", "requests", "reset_by", "reset_code", "responses")

    def __init__(self, connection: int, stream_id: int) -> None:
        self.connection = connection
        self.id = stream_id
        self.reset_code = -1
        self.reset_by = NOT_RESET
        self.requests: MessageCounter | None = None
        """Of a call of gRPC, and so is the other."""
        self.responses: MessageCounter | None = None

    def note_reset(self, code: int, by: int) -> None:
        """Note the reset that ended it; further ones only follow from that."""
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
        """Note 11, empty where nothing is counted."""
        requests, responses = self.requests, self.responses
        if requests is None or responses is None:
            return b""
        return MESSAGES.pack(requests.messages, requests.largest_bytes, responses.messages, responses.largest_bytes)


class StreamNote(NamedTuple):
    """Note 10 read back."""

    connection: int
    stream_id: int
    reset_code: int
    """-1: none."""
    reset_by: int


class MessagesNote(NamedTuple):
    """Note 11 read back."""

    request_messages: int
    request_largest_bytes: int
    response_messages: int
    response_largest_bytes: int


def read_stream_note(note: bytes) -> StreamNote | None:
    """Return what note 10 says; None for one of another size, maybe a later version's."""
    return StreamNote(*STREAM.unpack(note)) if len(note) == STREAM.size else None


def read_messages_note(note: bytes) -> MessagesNote | None:
    """Return what note 11 says; None for one of another size, maybe a later version's."""
    return MessagesNote(*MESSAGES.unpack(note)) if len(note) == MESSAGES.size else None
