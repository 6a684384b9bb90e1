"""The facts that readers return about an exchange: one vocabulary, from which records are filled.

A reader knows its protocol and no column; the builder knows the columns and no protocol. Texts are
redacted later, when they are copied to a record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from proxy.enrich.formats.json_parts import Member, count_of, text_of
from storage.grpc import Grpc
from storage.record import Job, Level, Payload, Stream, StreamEnd, ToolCall
from storage.tools import FailedTool

UsageState = Literal["exact", "partial", "lost", "absent"]

MAX_TOOLS: Final = 32
"""Maximum number of tool names kept per call."""
KINDS: Final = ("audio", "image", "video")
"""Modalities of tokens, other than text."""
OTHER_MODELS: Final = ("other_models_input_tokens", "other_models_output_tokens")
"""Meters of the tokens of `CallUsage.others`."""
CALLER_ERRORS: Final = frozenset(
    (
        "parse_error",
        "invalid_request",
        "method_not_found",
        "invalid_params",
        "cancelled",
        "resource_not_found",
        "header_mismatch",
        "missing_client_capability",
        "unsupported_protocol_version",
        "url_elicitation_required",
    )
)
"""JSON-RPC errors caused by the caller, like statuses from 400 to 499."""


@dataclass(slots=True)
class CallUsage:
    """Usage that one call reported. New counts replace earlier ones; None: unknown."""

    model: str | None = None
    """As requested."""
    resolved_model: str | None = None
    """As named by the response."""
    response_id: str | None = None
    """Id of a response that later calls may continue."""
    uncached_tokens: int | None = None
    """Input tokens that were not read from a cache, if the provider counts them separately."""
    input_tokens: int | None = None
    """Cached tokens included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    meters: dict[str, int] = field(default_factory=dict)
    """Other priced units: see `storage.record.Stream.meters`."""
    service_tier: str | None = None
    region: str | None = None
    """Region that served the call, if that has a price of its own."""
    requests: int = 1
    """Number of requests that the counts add up."""
    price_list: str | None = None
    """Id of the price list that applies instead of the provider's."""
    others: list["CallUsage"] = field(default_factory=list)
    """Usage of other models that is billed with the call, each at its own price."""
    cost_usd: float | None = None
    """As the provider reported it."""
    finish_reason: str | None = None
    error_type: str | None = None
    tools: dict[str, None] = field(default_factory=dict)
    """Names of the tools that the model called, in order."""
    tool_names: dict[str, str] = field(default_factory=dict)
    """Names of the tools that the provider runs, by the ids of their calls."""
    failed_tools: list[FailedTool] = field(default_factory=list)
    """Tools that failed, here or as the request reports."""
    has_failed: bool = False
    """The response is, or ended with, an error."""
    is_finished: bool = False
    """The stream's own terminator was seen, or the response is whole."""
    is_settled: bool = False
    """Counts came with, or after, the reason why the output ended."""
    is_lost: bool = False
    """The end was not seen, so the counts may be outdated."""
    is_cut: bool = False
    """Client or upstream left before the end."""
    counts_read: int = 0
    """Number of updates of the counts."""

    def update(self, **counts: float | None) -> None:
        """Set the counts that are given; a count with the value None stays as it is."""
        for name, value in counts.items():
            if value is not None:
                self.counts_read += 1
                setattr(self, name, value)

    def measure(self, **meters: object) -> None:
        """Note further priced units; zeros and invalid counts are ignored."""
        for name, value in meters.items():
            if value and (count := count_of(value)):
                self.meters[name] = count

    def measure_cached(self, cached: Mapping[str, object]) -> None:
        """Note the cached part of each modality of the input. A zero is kept, because the price
        depends on it.
        """
        for kind in KINDS:
            if (
                f"input_{kind}_tokens" in self.meters
                and (count := count_of(cached.get(kind))) is not None
            ):
                self.meters[f"cache_{kind}_read_tokens"] = count

    def set_texts(self, **texts: object) -> None:
        """Set the attributes that are given; an attribute stays as it is if its value is not a
        text.
        """
        for name, value in texts.items():
            if text := text_of(value):
                setattr(self, name, text)

    def add_tools(self, names: Iterable[object]) -> None:
        for text in filter(None, map(text_of, names)):
            if len(self.tools) < MAX_TOOLS:
                self.tools[text] = None

    def add_failed_tool(self, call_id: object, name: object, said: object = None) -> None:
        """Note the failure of a tool that the provider ran."""
        if isinstance(call_id, str):
            known = self.tool_names.get(call_id)
        else:
            known = None
        if len(self.failed_tools) < MAX_TOOLS:
            self.failed_tools.append(
                FailedTool(text_of(name) or known or "unknown", text_of(said) or "")
            )

    def fail(self, *error_types: object) -> None:
        """Note an error; its type is the first of the values that is a text."""
        self.error_type = next(filter(None, map(text_of, error_types)), None)
        self.has_failed = True

    def take_reason(self) -> str | None:
        """Return the finish reason, and clear it."""
        reason = self.finish_reason
        self.finish_reason = None
        return reason

    def forget_counts(self) -> None:
        """Drop all counts and the cost: wrong ones are worse than none."""
        self.uncached_tokens = None
        self.input_tokens = None
        self.output_tokens = None
        self.reasoning_tokens = None
        self.cache_read_tokens = None
        self.cache_write_tokens = None
        self.cost_usd = None
        self.meters.clear()
        self.others.clear()

    @property
    def parts(self) -> tuple["CallUsage", ...]:
        """The usages that are priced one by one: this one and those of other models. If the provider
        reported a cost, it covers all of them, and there is only this one.
        """
        if self.cost_usd is None:
            return (self, *self.others)
        return (self,)

    @property
    def has_usage(self) -> bool:
        return self.input_tokens is not None or self.output_tokens is not None or bool(self.meters)

    @property
    def usage_state(self) -> UsageState:
        """Reliability of the counts. An error within a stream cuts it, like a lost connection."""
        if self.is_lost:
            return "lost"
        if not self.has_usage:
            return "absent"
        if self.is_settled or (self.is_finished and not self.has_failed and not self.is_cut):
            return "exact"

        return "partial"


class Cost(NamedTuple):
    """A cost and its source."""

    usd: float
    source: str
    """Source of the price; ends with `PARTLY` if a part is not included."""
    lacks: tuple[str, ...] = ()
    """Meters and tiers that are not included."""


class Operation(NamedTuple):
    """The operation of a request, at a path that many operations share."""

    name: str
    """Follows the path in the name of the endpoint; empty if the request names no operation."""
    data: dict[str, Any] | None = None
    """Members for the data of the record."""


class Thread(NamedTuple):
    """The parts of a call that identify its conversation."""

    members: Mapping[str, Member] = {}
    """Members of the request, undecoded."""
    response_id: str | None = None
    """Id of a response that later calls may continue."""
    job: str | None = None
    """Name of the job whose result this is."""
    connection: bytes | None = None
    """Id of the handshake, if the call was made over a WebSocket."""
    caller: bytes = b""
    """Hash of the credentials of that handshake."""
    session: bytes | None = None
    """Name of the session, if a call over a WebSocket states one."""


@dataclass(slots=True)
class Facts:
    """Facts of one reader about an exchange or a message; fields without a value are unknown."""

    operation: Operation | None = None
    grpc: Grpc | None = None
    provider: str | None = None
    model: str | None = None
    """As requested; a usage has its own."""
    usage: CallUsage | None = None
    usage_state: str | None = None
    """The state of a call without usage, as a reason."""
    stream: Stream | None = None
    """The pace and the end of the response, if it is a stream."""
    cost: Cost | None = None
    is_whole: bool = False
    """True if a client that left had received everything."""
    stream_end: StreamEnd | None = None
    """The end of the stream, if another reader did not see it."""
    error_type: str | None = None
    """Error code; redacted by the reader if a body may contain any text in its place."""
    error_message: str | None = None
    is_callers: bool = False
    """True if the caller caused the error."""
    suspicion: str | None = None
    """Error type, if no reader knows a better one."""
    level: Level | None = None
    """Lowest level of the record."""
    failed_tools: list[FailedTool] = field(default_factory=list)
    is_tools_fault: bool = False
    """True if these tools made the exchange fail."""
    begun_by: bytes | None = None
    """Id of the record that began the job."""
    started_at_us: int | None = None
    """Start of the call that a message ends."""
    thread: Thread | None = None
    data: dict[str, Any] = field(default_factory=dict)
    """Members of the record's data, redacted."""
    tools: list[ToolCall] = field(default_factory=list)
    """Tool calls that have ended or now wait."""
    jobs: list[Job] = field(default_factory=list)
    """Jobs that are new or have changed."""
    payload: Payload | None = None
    """Request and response of the call that a message ends."""
