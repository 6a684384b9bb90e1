"""What an exchange was beyond HTTP: the record's LLM columns, filled from the opened bodies.

The cheap question (`wants`) is asked of every exchange, everything else only of those that are such a call. Text that
came out of a body is redacted like any other before it stands in a column.
"""

from collections.abc import Sequence

from proxy.enrich.http.bodies import TooLong, Windows
from proxy.enrich.http.head_facts import Facts
from proxy.enrich.llm.call import Shape
from proxy.enrich.llm.prices import Prices
from proxy.enrich.llm.reader import Call, read_call, shape_of
from proxy.enrich.mcp.reader import McpReader
from proxy.enrich.redact.redactor import Redactor
from proxy.ring.descriptor import RouteLabels
from storage.record import Outcome, Record, Stream, level_of


class CallReader:
    """Reads calls for one sidecar."""

    def __init__(self, redactor: Redactor, prices: Prices | None = None) -> None:
        """Redact text with `redactor`; price calls with `prices`."""
        self._redactor = redactor
        self.mcp = McpReader(redactor)
        self._prices = prices or Prices()

    def shape_of(self, labels: RouteLabels, record: Record) -> Shape | None:
        """Choose the LLM shape of an exchange; None, quickly, when it is no such call."""
        return shape_of(labels.provider or "auto", record.method, record.path or "")

    def read_llm(
        self,
        shape: Shape,
        record: Record,
        request: Windows | None,
        response: Windows | None,
        facts: Facts,
        timeline: Sequence[tuple[int, int]],
        *,
        may_load: bool,
    ) -> None:
        """Fill the columns of an LLM call; they stay null when it turns out to be none.

        Args:
            shape: as `shape_of` chose it.
            record: to fill.
            request: the request's body, or None.
            response: the response's body, or None.
            facts: of the response's head.
            timeline: of the response.
            may_load: whether there is time to load the price list, a quarter of a second.

        Raises:
            TooLong: it must be loaded, and there is none.
        """
        upstream = (record.upstream or "").encode()
        call = read_call(shape, record.path or "", upstream, request, response, facts.content_type, timeline)
        if call is None:
            return
        if not may_load and self._prices.must_load(call.reading):
            raise TooLong
        self._fill(record, call)
        if call.stream is not None and call.stream.finished and record.outcome == Outcome.CLIENT_CLOSED:
            # Clients leave at the terminator, before the last chunk of the transfer coding: they had everything.
            record.outcome = Outcome.OK.value
            record.level = level_of(record.status, record.outcome)

    def _fill(self, record: Record, call: Call) -> None:
        reading, text = call.reading, self._redactor.redact_text
        record.provider = call.provider
        record.model, record.resolved_model = text(reading.model), text(reading.resolved_model)
        record.input_tokens, record.output_tokens = reading.input_tokens, reading.output_tokens
        record.cache_read_tokens, record.cache_write_tokens = reading.cache_read_tokens, reading.cache_write_tokens
        record.reasoning_tokens = reading.reasoning_tokens
        record.usage_state = reading.usage_state
        record.error_type = record.error_type or text(reading.error_type)
        record.stream = call.stream
        if (reason := text(reading.finish_reason)) is not None:
            record.stream = record.stream or Stream(None, None, None, reading.is_finished)
            record.stream.finish_reason = reason
        if (cost := self._prices.cost_of(call.provider, reading)) is not None:
            record.cost_usd, record.price_source = cost
