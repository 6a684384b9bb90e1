"""The Model Context Protocol: operations of requests, and tool calls."""

from collections.abc import Iterable
from typing import Final

from proxy.enrich.facts import Facts, Operation
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.mcp.jsonrpc import read_operation
from proxy.enrich.mcp.reader import McpReader
from proxy.enrich.mcp.sessions import opens_sse_transport
from proxy.enrich.readers.reader import Dependencies, Reader
from storage.record import Record, ToolCall

_PATHS: Final = ("/mcp", "/mcp/", "/mcp/message")
"""Usual suffixes of paths. Spring's, the last one, accepts a message with 200 instead of 202."""
_ACCEPTED: Final = 202
"""Status of a message that is answered on another stream."""


class Mcp(Reader):
    """Reads calls and keeps the sessions that wait for responses."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._redactor = dependencies.redactor
        self._calls = McpReader(dependencies.redactor)

    def may_read(self, exchange: DecodedExchange) -> bool:
        """Return True if the route says MCP.

        Without a route setting, headers, the suffix of the path, or the beginning of an event
        stream decide.
        """
        provider = exchange.labels.provider or "auto"
        if provider != "auto":
            return provider == "mcp"

        request = exchange.request
        if request.mcp_session or request.mcp_version or exchange.response.mcp_session:
            return True

        line = exchange.line
        if line.method == "POST":
            return line.path is not None and (
                line.path.endswith(_PATHS) or exchange.status == _ACCEPTED
            )
        body = exchange.response_body
        return body is not None and opens_sse_transport(body.head)

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
