"""The Model Context Protocol: the operation of a request, and the calls of tools."""

from collections.abc import Iterable

from proxy.enrich.facts import Facts, Operation
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.mcp.jsonrpc import read_operation
from proxy.enrich.mcp.reader import McpReader, is_mcp
from proxy.enrich.readers.reader import Means, Reader
from storage.record import Record, ToolCall


class Mcp(Reader):
    """Reads calls, and keeps the sessions in which responses are awaited."""

    def __init__(self, means: Means) -> None:
        self._redactor = means.redactor
        self._calls = McpReader(means.redactor)

    def may_read(self, exchange: DecodedExchange) -> bool:
        return is_mcp(exchange)

    def name(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        body = exchange.request_body
        if body is None or exchange.line.method != "POST":
            return None
        operation = read_operation(body)
        if operation is None:
            return None

        named: dict[str, str | None] = {"method": operation.method}
        if operation.name is not None:
            named["name"] = self._redactor.redact_text(operation.name)
        return Facts(operation=Operation(str(operation), {"mcp": named}))

    def read(self, record: Record, exchange: DecodedExchange) -> Facts | None:
        return self._calls.read(record, exchange)

    def running_tools(self, record: Record, exchange: DecodedExchange) -> list[ToolCall]:
        return self._calls.in_flight(record, exchange)

    def await_responses(self, calls: Iterable[ToolCall]) -> None:
        self._calls.await_responses(calls)

    def pending(self) -> list[ToolCall]:
        return self._calls.pending()

    def expired(self) -> list[ToolCall]:
        return self._calls.expired()
