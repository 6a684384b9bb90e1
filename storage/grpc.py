"""Facts of a gRPC call: a part of its record, packed as one value. Values only."""

from typing import Final, Literal

import msgspec

STATUSES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of the status codes, by code."""
_UNKNOWN: Final = STATUSES.index("UNKNOWN")
_SERVICE_FAULTS: Final = frozenset((2, 4, 12, 13, 14, 15))

SWITCHING_PROTOCOLS: Final = 101
"""HTTP status of a WebSocket."""

CallKind = Literal["unary", "client", "server", "bidi"]
CallEnd = Literal["trailers", "trailers_only", "reset", "none"]


def status_name(code: int) -> str:
    """Return the name of a status code; undefined codes are UNKNOWN, as in gRPC clients."""
    return STATUSES[code if code < len(STATUSES) else _UNKNOWN]


class Grpc(msgspec.Struct, gc=False):
    """Status, message counts and metadata of one gRPC call."""

    status: int | None = None
    """The code that the client sees: the one sent, else derived from the deadline and the HTTP
    status; null: not known.

    If it was not sent, `end` is `none` or `reset`.
    """
    message: str | None = None
    """The status message, percent-decoded and redacted."""
    request_messages: int | None = None
    response_messages: int | None = None
    """Number of messages by direction; null if they could not be counted."""
    largest_bytes: int | None = None
    """Size of the largest message of both directions, on the wire, without its prefix."""
    encoding: str | None = None
    """Compression of the messages, the response's before the request's; null: not compressed."""
    timeout_us: int | None = None
    """Deadline that the caller sent, relative to the start."""
    kind: CallKind | None = None
    """Which side sends several messages: by the schema where it is known, else as observed; null:
    not known.
    """
    end: CallEnd = "none"
    """How the response ended."""
    reset_code: str | None = None
    """Name of the HTTP/2 error code of the reset."""
    is_stream: bool | None = None
    """Whether its messages are stored as events; null: not known yet."""

    @property
    def status_name(self) -> str | None:
        if self.status is None:
            return None
        return status_name(self.status)

    @property
    def is_fault(self) -> bool:
        """Whether the status blames the service. All other codes except OK blame the caller."""
        return self.status is not None and (
            self.status in _SERVICE_FAULTS or self.status >= len(STATUSES)
        )
