"""Counters of LLM, tool and gRPC calls for the metrics, with label sets that no client can blow up.

A model counts apart once a provider has answered for it with counts, a tool once it has succeeded; both up to a cap.
Everything else is `other`, and what the cap turned away is counted as overflow.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from storage.grpc import Grpc
from storage.record import Record, ToolCall

MAX_MODELS: Final = 200
MAX_TOOLS: Final = 500
OTHER: Final = "other"
NO_STATUS: Final = "none"

_TYPES: Final = (
    ("input", "input_tokens"),
    ("output", "output_tokens"),
    ("cache_read", "cache_read_tokens"),
    ("cache_write", "cache_write_tokens"),
    ("reasoning", "reasoning_tokens"),
)


class CallMetrics:
    """Counts since the start of this process."""

    def __init__(self) -> None:
        self.overflow = 0
        self._models: set[tuple[str, str]] = set()
        self._tools: set[tuple[str, str]] = set()
        self._tokens: dict[tuple[str, str, str], int] = {}
        self._cost: dict[tuple[str, str], float] = {}
        self._calls: dict[tuple[str, str, str], int] = {}
        self._grpc: dict[tuple[str, str], float] = {}
        self._grpc_messages: dict[tuple[str, str], float] = {}

    def observe(self, record: Record) -> None:
        if record.provider is None or record.usage_state in (None, "absent"):
            return
        key = self._admitted(
            self._models, (record.provider, record.resolved_model or record.model or OTHER), MAX_MODELS
        )
        for kind, name in _TYPES:
            tokens: int | None = getattr(record, name)
            if tokens:
                self._tokens[*key, kind] = self._tokens.get((*key, kind), 0) + tokens
        if record.cost_usd is not None:
            self._cost[key] = self._cost.get(key, 0.0) + record.cost_usd

    def observe_grpc(self, grpc: Grpc, route: str) -> None:
        """Count a call of gRPC and its messages; one that ended without a status has none."""
        key = (route, grpc.status_name or NO_STATUS)
        self._grpc[key] = self._grpc.get(key, 0) + 1
        for key, messages in (
            ((route, "request"), grpc.request_messages),
            ((route, "response"), grpc.response_messages),
        ):
            if messages:
                self._grpc_messages[key] = self._grpc_messages.get(key, 0) + messages

    def observe_tools(self, calls: Sequence[ToolCall]) -> None:
        for call in calls:
            if call.status == "processing":
                continue
            key = (call.server_label, call.tool_name)
            if call.status != "success" and key not in self._tools:
                key = (call.server_label, OTHER)
            key = self._admitted(self._tools, key, MAX_TOOLS)
            self._calls[*key, call.status] = self._calls.get((*key, call.status), 0) + 1

    def collect(self) -> Iterator[Metric]:
        yield _family("llm_tokens", "Tokens of LLM calls.", ("provider", "model", "type"), self._tokens)
        yield _family("llm_cost_usd", "Cost of LLM calls in US dollars.", ("provider", "model"), self._cost)
        text = "Calls of gRPC by their status, `none` of those that ended without."
        yield _family("grpc_requests", text, ("route", "status"), self._grpc)
        text = "Messages of gRPC calls that have ended."
        yield _family("grpc_messages", text, ("route", "direction"), self._grpc_messages)
        yield _family("mcp_tool_calls", "Tool calls that have ended.", ("server", "tool", "status"), self._calls)

    def _admitted(self, known: set[tuple[str, str]], key: tuple[str, str], limit: int) -> tuple[str, str]:
        if key in known:
            return key
        others = (key[0] if any(key[0] == first for first, _ in known) else OTHER, OTHER)
        if key == others:
            return key
        if len(known) >= limit:
            self.overflow += 1
            return others
        known.add(key)
        return key


def eviction_families(marks: int, requests: int) -> Iterator[Metric]:
    """Yield how many calls and requests were forgotten to make room."""
    text = "Calls and responses that were forgotten: calls that continue them begin a new conversation."
    yield _family("conversation_marks_evicted", text, (), {(): marks})
    text = "Requests over WebSockets that were forgotten because too many waited for their response."
    yield _family("websocket_requests_evicted", text, (), {(): requests})


def _family(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: "dict[tuple[str, str, str], int] | dict[tuple[str, str], float] | dict[tuple[()], int]",
) -> Metric:
    family = CounterMetricFamily("sidelog_" + name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
