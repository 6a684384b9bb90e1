"""Failures reported under a success status, in any protocol."""

from typing import Final

from proxy.enrich.endpoints.envelopes import STREAM_ERROR, failure_behind, may_fail
from proxy.enrich.endpoints.error_documents import failure_of
from proxy.enrich.endpoints.operation import asks_graphql, is_graphql
from proxy.enrich.facts import Facts
from proxy.enrich.http.exchange import DecodedBody, DecodedExchange
from proxy.enrich.readers.reader import Dependencies, Reader
from storage.record import Record

_FAILED: Final = 400
"""Lowest status that is a failure by itself."""


class Failures(Reader):
    """Reads errors in response bodies.

    Runs last, as the other readers know their protocol better.
    """

    def __init__(self, dependencies: Dependencies) -> None:
        """Ignore the dependencies: this reader keeps no state."""

    def may_read(self, exchange: DecodedExchange) -> bool:
        body = exchange.response_body
        head = b"" if body is None else body.head
        if exchange.status < _FAILED and may_fail(exchange.response.content_type, head):
            return True
        return _is_graphql(exchange)

    def read(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        answer = exchange.response_body
        failure = None
        if _is_graphql(exchange):
            failure = failure_of(answer)
        # Errors of unknown protocols are read only if nothing else reports a failure.
        if failure is None and record.error_type is None and 0 < exchange.status < _FAILED:
            failure = failure_behind(exchange.response, answer or DecodedBody.beginning(b"", 0))
        if failure is None:
            return None

        return Facts(
            error_type=failure.code,
            error_message=failure.message if exchange.keeps_text else None,
            is_callers=failure.is_callers,
            stream_end="error" if failure.code == STREAM_ERROR else None,
        )


def _is_graphql(exchange: DecodedExchange) -> bool:
    """Return True for a GraphQL path, or for a GraphQL request at any other path."""
    line = exchange.line
    if is_graphql(line.method, line.path or ""):
        return True
    body = exchange.request_body
    return asks_graphql(b"" if body is None else body.head, line.query)
