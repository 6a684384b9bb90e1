"""Merge the facts of readers into records.

A column with a value keeps it, and facts fill the others; the level only rises. Texts from bodies
are redacted before they are stored in a column.
"""

from collections.abc import Iterable

import msgspec

from proxy.enrich.conversations.conversation import Conversations
from proxy.enrich.facts import CALLER_ERRORS, CallUsage, Facts, Thread
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.redact.redactor import Redactor
from storage.record import LEVELS, Level, Outcome, Record, Stream, format_id, level_of


class Merger:
    """Fills the records of one sidecar. Not thread-safe: it keeps conversations."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.conversations = Conversations()

    def merge(self, record: Record, facts: Facts, exchange: DecodedExchange | None = None) -> None:
        """Fill a record from the facts of one reader. Without an exchange, they belong to a
        message.
        """
        if facts.is_whole and record.outcome == Outcome.CLIENT_CLOSED:
            record.outcome = Outcome.OK.value
            record.level = level_of(record.status, record.outcome)

        record.grpc = record.grpc or facts.grpc
        record.provider = record.provider or facts.provider
        record.usage_state = record.usage_state or facts.usage_state
        if record.model is None and facts.model is not None:
            record.model = self._redactor.redact_text(facts.model)
        if facts.usage is not None:
            self._merge_usage(record, facts, facts.usage)
        if facts.started_at_us is not None:
            record.duration_us = max(0, record.ended_at_us - facts.started_at_us)

        record.error_type = record.error_type or facts.error_type
        if facts.level is not None:
            _raise_level(record, facts.level)
        if facts.stream_end is not None and record.stream is not None:
            record.stream.end = facts.stream_end
            record.stream.finished = facts.stream_end == "complete"
        if facts.begun_by is not None:
            _stream_in(record).begun_by = format_id(facts.begun_by)

        self._merge_data(record, facts)
        if facts.thread is not None:
            self._set_conversation(record, facts.thread, exchange)

    def settle(self, record: Record, merged: Iterable[Facts]) -> None:
        """Raise the level of a failure that neither status nor outcome shows, so that searches find
        it.
        """
        if record.error_type is None:
            suspicions = (facts.suspicion for facts in merged if facts.suspicion is not None)
            record.error_type = next(suspicions, None)
        if record.error_type is None or record.outcome != Outcome.OK or record.level != "info":
            return

        is_callers = record.error_type in CALLER_ERRORS or any(facts.is_callers for facts in merged)
        record.level = "warn" if is_callers else "error"

    def _merge_usage(self, record: Record, facts: Facts, usage: CallUsage) -> None:
        """Fill the columns of an LLM call: models, tokens, stream and cost."""
        text = self._redactor.redact_text
        record.model = text(usage.model)
        record.resolved_model = text(usage.resolved_model)
        record.input_tokens = usage.input_tokens
        record.output_tokens = usage.output_tokens
        record.cache_read_tokens = usage.cache_read_tokens
        record.cache_write_tokens = usage.cache_write_tokens
        record.reasoning_tokens = usage.reasoning_tokens
        record.usage_state = usage.usage_state

        is_document = facts.stream is None
        stream = facts.stream or Stream(None, None, None, usage.is_finished, is_document=True)
        stream.finish_reason = text(usage.finish_reason)
        stream.tools = [text(name) or "" for name in usage.tools] or None
        stream.meters = usage.meters or None
        stream.service_tier = text(usage.service_tier)
        says_more = stream.finish_reason or stream.tools or stream.meters or stream.service_tier
        if not is_document or says_more:
            record.stream = stream

        if facts.cost is not None:
            record.cost_usd = facts.cost.usd
            record.price_source = facts.cost.source
            if facts.cost.lacks and record.stream is not None:
                record.stream.cost_lacks = [text(lack) or "" for lack in facts.cost.lacks]

    def _merge_data(self, record: Record, facts: Facts) -> None:
        """Add the error message and the readers' members to the data of a record."""
        data = facts.data
        if facts.failed_tools:
            tools = facts.failed_tools
            names = [self._redactor.redact_text(tool.name) or "" for tool in tools]
            _stream_in(record).failed_tools = names
            if facts.is_tools_fault:
                said = (", ".join(dict.fromkeys(names)), self._readable(tools[0].said))
                data = {"error_message": ": ".join(filter(None, said))} | data
                if tools[0].is_reported:
                    data["error_in"] = "request"
        if facts.error_message is not None:
            data = {"error_message": self._readable(facts.error_message)} | data
        if facts.operation is not None and facts.operation.data is not None:
            data = data | facts.operation.data
        if data:
            record.data = msgspec.json.encode(data | msgspec.json.decode(record.data or b"{}"))

    def _set_conversation(
        self, record: Record, thread: Thread, exchange: DecodedExchange | None
    ) -> None:
        """Set the conversation of a call."""
        if thread.connection is not None:
            record.conversation = self.conversations.of_session(
                record, thread.session, thread.caller, thread.connection
            )
            return

        assert exchange is not None, "only a WebSocket has messages with calls"
        if thread.job is not None:
            record.conversation = self.conversations.of_response(record, exchange, thread.job)
            return

        place = self.conversations.place(record, exchange, thread.members, thread.response_id)
        if place is not None:
            record.conversation = place.conversation
            # A guessed text could be verified by a hash, so hashes are kept only together with
            # texts.
            if exchange.keeps_text:
                record.marks = place.marks
            else:
                record.marks = None

    def _readable(self, message: str) -> str:
        """Return a message without its secrets, whatever its format."""
        shown = self._redactor.redact_value(message.encode("utf-8", "replace"))
        return self._redactor.redact_text(shown.decode(errors="replace")) or ""


def _stream_in(record: Record) -> Stream:
    if record.stream is None:
        record.stream = Stream(None, None, None, False, is_document=True)
    return record.stream


def _raise_level(record: Record, level: Level) -> None:
    if LEVELS.index(level) > LEVELS.index(record.level):
        record.level = level
