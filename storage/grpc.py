"""What a call of gRPC said of itself: a part of its record, packed as one value. Values only."""

from typing import Final, Literal

import msgspec

STATUSES: Final = (
    *(
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
    ),
    *(
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
    ),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
"""The names of the codes, by code."""
_UNKNOWN: Final = STATUSES.index("UNKNOWN")
_SERVICE_FAULTS: Final = frozenset((2, 4, 12, 13, 14, 15))

SWITCHING_PROTOCOLS: Final = 101
"""The status of a WebSocket."""

CallKind = Literal["unary", "client", "server", "bidi"]
CallEnd = Literal["trailers", "trailers_only", "reset", "none"]


def status_name(code: int) -> str:
    """Return the name of a code; one that is not defined is UNKNOWN, as it is for clients."""
    return STATUSES[code if code < len(STATUSES) else _UNKNOWN]


class Grpc(msgspec.Struct, gc=False):
    """One call."""

    status: int | None = None
    """The code as its client has it: as it was said, else by the deadline and the status of HTTP;
    null: not known.

    Where it was not said, `end` is `none` or `reset`.
    """
    message: str | None = None
    """Of the status, percent-decoded and redacted."""
    request_messages: int | None = None
    response_messages: int | None = None
    """Messages by direction; null where they could not be counted."""
    largest_bytes: int | None = None
    """The largest message of both directions, on the wire, without its prefix."""
    encoding: str | None = None
    """How messages were compressed, the response's before the request's; null: not at all."""
    timeout_us: int | None = None
    """How long the caller said it waits."""
    kind: CallKind | None = None
    """Who sends several messages: by the schema where there is one, else by what was seen; null: it
    cannot be known.
    """
    end: CallEnd = "none"
    """What ended the response."""
    reset_code: str | None = None
    """Name of the code of HTTP/2 that a stream was reset with."""
    is_stream: bool | None = None
    """Whether its messages are events of their own; null: not known yet."""

    @property
    def status_name(self) -> str | None:
        if self.status is None:
            return None
        return status_name(self.status)

    @property
    def is_fault(self) -> bool:
        """Whether the status says that the service failed; of all others but OK the caller is the
        reason.
        """
        return self.status is not None and (
            self.status in _SERVICE_FAULTS or self.status >= len(STATUSES)
        )
