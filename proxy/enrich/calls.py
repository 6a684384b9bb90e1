"""Read the calls that an exchange carried: the LLM columns of its record, and the tool calls of MCP.

Whether there is any call is asked, cheaply, of every exchange; everything else only of those that have one. Text from a
body is redacted like any other before it stands in a column.
"""

from proxy.enrich.http.bodies import TooLong
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.llm.prices import Prices
from proxy.enrich.llm.reader import Call, read_call
from proxy.enrich.mcp.reader import McpReader, is_mcp
from proxy.enrich.redact.redactor import Redactor
from storage.record import Outcome, Record, Stream, ToolCall, level_of


class CallReader:
    """Reads calls for one sidecar. Not thread-safe."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.mcp = McpReader(redactor)
        self._prices = Prices()

    def read(self, record: Record, exchange: DecodedExchange, *, may_load_prices: bool) -> list[ToolCall]:
        """Fill the LLM columns of `record`, and return the tool calls that have ended or now wait.

        Raises:
            TooLong: the price list must be loaded, a quarter of a second, and `may_load_prices` is false.
        """
        setting = exchange.labels.provider or "auto"
        if (call := read_call(setting, record, exchange)) is not None:
            if not may_load_prices and self._prices.must_load(call.usage):
                raise TooLong
            self._fill(record, call)
        return self.mcp.read(record, exchange) if is_mcp(setting, record, exchange) else []

    def _fill(self, record: Record, call: Call) -> None:
        usage, text = call.usage, self._redactor.redact_text
        record.provider = call.provider
        record.model, record.resolved_model = text(usage.model), text(usage.resolved_model)
        record.input_tokens, record.output_tokens = usage.input_tokens, usage.output_tokens
        record.cache_read_tokens, record.cache_write_tokens = usage.cache_read_tokens, usage.cache_write_tokens
        record.reasoning_tokens = usage.reasoning_tokens
        record.usage_state = usage.usage_state
        record.error_type = record.error_type or text(usage.error_type)
        record.stream = self._stream_of(call)
        # Counts that stop short would be priced too cheap.
        if usage.usage_state == "exact" or usage.cost_usd is not None:
            cost = self._prices.cost_of(call.provider, usage)
            if cost is not None:
                record.cost_usd, record.price_source = cost.usd, cost.source
                if cost.lacks and record.stream is not None:
                    record.stream.cost_lacks = list(cost.lacks)
        has_ended = call.stream is not None and call.stream.end in ("complete", "error")
        if has_ended and record.outcome == Outcome.CLIENT_CLOSED:
            # Clients leave at the terminator, before the last chunk of the transfer coding: they had everything.
            record.outcome = Outcome.OK.value
            record.level = level_of(record.status, record.outcome)

    def _stream_of(self, call: Call) -> Stream | None:
        usage, stream, text = call.usage, call.stream, self._redactor.redact_text
        facts = Stream(
            None, None, None, usage.is_finished, text(usage.finish_reason),
            tools=[text(name) or "" for name in usage.tools] or None,
            meters=usage.meters or None,
            service_tier=text(usage.service_tier),
            is_document=True,
        )  # fmt: skip
        if stream is not None:
            stream.finish_reason, stream.tools, stream.meters = facts.finish_reason, facts.tools, facts.meters
            stream.service_tier = facts.service_tier
            return stream
        return facts if facts.finish_reason or facts.tools or facts.meters or facts.service_tier else None
