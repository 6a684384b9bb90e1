"""The status that a client assigns to a call whose response has no status.

A client whose deadline has passed reports DEADLINE_EXCEEDED, whatever comes. For a response without
a valid `grpc-status` it derives the status from the HTTP status; 200 becomes UNKNOWN. For a stream
that was reset before its deadline, only the code of the reset is known.
Standards: gRPC over HTTP/2 ("Responses"), and its mapping of HTTP statuses
(http-grpc-status-mapping).
"""

from typing import Final

from proxy.enrich.http.exchange import DecodedExchange
from proxy.http2.grpc import DEADLINE_EXCEEDED, grpc_status_of
from proxy.ring.exchange import FLAG_OWN_RESPONSE, CapturedExchange
from storage.grpc import Grpc
from storage.record import Outcome, Record

_PER_CENT: Final = 100
_ROUNDED_PER_CENT: Final = 1
"""Rounding of a deadline: clients write it with three digits, so up to 1 % more than meant (gRPC
core).
"""
_EARLY_US: Final = 5_000
"""Time that the client's clock is ahead of ours: it began before the request arrived."""


def unsaid_status(
    record: Record, grpc: Grpc, captured: CapturedExchange, exchange: DecodedExchange
) -> int | None:
    """Return the status that the client assigns to a call without one; None if it cannot be known."""
    if grpc.timeout_us is not None and is_past(record.duration_us, grpc.timeout_us):
        return DEADLINE_EXCEEDED
    is_answered = record.outcome == Outcome.OK or bool(captured.flags & FLAG_OWN_RESPONSE)
    if not is_answered or grpc.reset_code is not None or not _is_end_seen(exchange, record):
        return None
    if record.status is None:
        return None

    return grpc_status_of(record.status)


def is_past(duration_us: int, timeout_us: int) -> bool:
    """Return True if a call of this duration has reached its deadline at the client."""
    least_us = timeout_us * (_PER_CENT - _ROUNDED_PER_CENT) // _PER_CENT - _EARLY_US
    return duration_us >= least_us


def _is_end_seen(exchange: DecodedExchange, record: Record) -> bool:
    """Return True if trailers would have been captured.

    gRPC-Web sends them at the end of the body.
    """
    body = exchange.response_body
    if b"-web" not in exchange.response.content_type.lower() or not record.response_bytes:
        return True
    return body is not None and body.has_end and not body.is_coded
