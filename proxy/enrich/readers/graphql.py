"""GraphQL: the name of the operation. `Failures` reads the errors."""

from proxy.enrich.endpoints.operation import is_graphql, operation_in_query, operation_of
from proxy.enrich.facts import Facts, Operation
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.readers.reader import Dependencies, Reader
from storage.record import Record


class GraphQl(Reader):
    """Names requests by their operation."""

    def __init__(self, dependencies: Dependencies) -> None:
        """Ignore the dependencies: this reader keeps no state."""

    def may_read(self, exchange: DecodedExchange) -> bool:
        return is_graphql(exchange.line.method, exchange.line.path or "")

    def name(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        body = exchange.request_body
        if not exchange.keeps_text:
            found = None
        elif body is None:
            found = operation_in_query(exchange.line.query)
        else:
            found = operation_of(body.head)
        return Facts(operation=Operation(found or ""))
