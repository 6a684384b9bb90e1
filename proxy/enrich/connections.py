"""Columns of the connections whose messages are read, by the id of their exchange.

Messages precede the record of their connection. The first message carries the heads, so the columns
of that record are made then, and each message gets a copy. Bounded: the least recently used
connection is evicted first, and its further messages have only their own columns.
"""

from collections import OrderedDict
from typing import Any, Final, NamedTuple

from storage.record import Payload, Record

MAX_BYTES: Final = 16 << 20
"""Room for about 10,000 connections, as only sessions with models have heads."""
_FIXED_BYTES: Final = 600
"""Size of a connection without its texts."""
_TAKEN: Final = (
    "status",
    "method",
    "scheme",
    "host",
    "path",
    "query",
    "http_version",
    "endpoint",
    "client_ip",
    "upstream",
    "user_agent",
    "request_id",
    "project",
    "user_id",
    "keyed",
    "direction",
)
"""Columns that a message copies from its connection."""


class Connection(NamedTuple):
    """The values that all messages of a connection share."""

    columns: tuple[Any, ...]
    """In the order of `_TAKEN`."""
    heads: tuple[bytes, bytes]
    """Redacted heads of request and response, for the calls of a session with a model; empty if
    they are not kept.
    """

    @classmethod
    def of(cls, record: Record, heads: tuple[bytes, bytes]) -> "Connection":
        return cls(tuple(getattr(record, name) for name in _TAKEN), heads)

    @property
    def size_bytes(self) -> int:
        texts = sum(len(value) for value in self.columns if isinstance(value, str))
        return _FIXED_BYTES + texts + sum(map(len, self.heads))

    def give_to(self, record: Record) -> None:
        """Copy the columns of the connection to the record of one of its messages."""
        for name, value in zip(_TAKEN, self.columns, strict=True):
            setattr(record, name, value)

    def with_heads(self, payload: Payload | None) -> Payload | None:
        """Return the payload of a call with the heads of its connection added, if they are kept."""
        if not self.heads[0]:
            return payload
        bodies = (None, None) if payload is None else (payload.request_body, payload.response_body)
        return Payload(*self.heads, *bodies)


class Connections:
    """The connections of one sidecar."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.evictions = 0
        """Number of connections evicted before they ended."""
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._known: OrderedDict[bytes, Connection] = OrderedDict()

    def add(self, exchange_id: bytes, connection: Connection) -> None:
        self.forget(exchange_id)
        self._known[exchange_id] = connection
        self._size_bytes += connection.size_bytes
        while self._size_bytes > self._max_bytes:
            self.evictions += 1
            self.forget(next(iter(self._known)))

    def get(self, exchange_id: bytes) -> Connection | None:
        """Return a connection and mark it as the most recently used; None if it is unknown."""
        found = self._known.get(exchange_id)
        if found is not None:
            self._known.move_to_end(exchange_id)
        return found

    def forget(self, exchange_id: bytes) -> None:
        """Remove a connection that has ended from the known ones; do nothing if it is unknown."""
        found = self._known.pop(exchange_id, None)
        if found is not None:
            self._size_bytes -= found.size_bytes
