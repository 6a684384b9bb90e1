"""The status that its client gives a call whose response says none. Pure.

A client whose deadline has passed takes the call for DEADLINE_EXCEEDED, whatever comes. An answer
that ends without a valid `grpc-status` is taken for what its HTTP status stands for, of 200 for
UNKNOWN. Of a stream that was reset before its deadline, only the code of the reset is known.

Standards: gRPC over HTTP/2 ("Responses"), and its mapping of statuses of HTTP
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
"""How much longer a deadline is stated than it is: clients write it with three digits (gRPC's
core).
"""
_EARLY_US: Final = 5_000
"""How much less of a deadline may be left here than at the client, whose clock began before the
request came.
"""


def unsaid_status(
    record: Record, grpc: Grpc, captured: CapturedExchange, exchange: DecodedExchange
) -> int | None:
    """Return the code that the client gives a call whose response says none; None where that cannot
    be known.
    """
    if grpc.timeout_us is not None and is_past(record.duration_us, grpc.timeout_us):
        return DEADLINE_EXCEEDED
    is_answered = record.outcome == Outcome.OK or bool(captured.flags & FLAG_OWN_RESPONSE)
    if not is_answered or grpc.reset_code is not None or not _is_end_seen(exchange, record):
        return None
    if record.status is None:
        return None

    return grpc_status_of(record.status)


def is_past(duration_us: int, timeout_us: int) -> bool:
    """Whether a call that has taken so long has reached its deadline at its client."""
    least_us = timeout_us * (_PER_CENT - _ROUNDED_PER_CENT) // _PER_CENT - _EARLY_US
    return duration_us >= least_us


def _is_end_seen(exchange: DecodedExchange, record: Record) -> bool:
    """Whether the trailers would have been seen: those of gRPC-Web are the end of a body."""
    body = exchange.response_body
    if b"-web" not in exchange.response.content_type.lower() or not record.response_bytes:
        return True
    return body is not None and body.has_end and not body.is_coded
