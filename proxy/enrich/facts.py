"""What readers say of an exchange: one vocabulary, from which the record builder fills a record.

A reader knows its protocol and no column; the builder knows the columns and no protocol. Texts
stand here as they came: the builder redacts them as it takes them over.
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
"""Names of tools that are kept of one call."""
KINDS: Final = ("audio", "image", "video")
"""Of tokens that are no text."""
OTHER_MODELS: Final = ("other_models_input_tokens", "other_models_output_tokens")
"""Meters of what `CallUsage.others` used."""
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
"""Errors of JSON-RPC that are the caller's own, as statuses from 400 to 499 are."""


@dataclass(slots=True)
class CallUsage:
    """What one call reported about itself. Counts replace those read before; null is not known."""

    model: str | None = None
    """As requested."""
    resolved_model: str | None = None
    """As the response names it."""
    response_id: str | None = None
    """Of a response that later calls may continue."""
    uncached_tokens: int | None = None
    """Input read from no cache, where the provider counts it apart."""
    input_tokens: int | None = None
    """Cached ones included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    meters: dict[str, int] = field(default_factory=dict)
    """What else is paid by: see `storage.record.Stream.meters`."""
    service_tier: str | None = None
    region: str | None = None
    """Where the call was served, if that has a price of its own."""
    requests: int = 1
    """That the counts are the sum of."""
    price_list: str | None = None
    """Id of the price list that the call is paid by, where it is not that of the provider."""
    others: list["CallUsage"] = field(default_factory=list)
    """What is billed with the call beside these counts: what other models were asked, each at its
    own price.
    """
    cost_usd: float | None = None
    """As the provider reported it."""
    finish_reason: str | None = None
    error_type: str | None = None
    tools: dict[str, None] = field(default_factory=dict)
    """Names of the tools that the model called, in order."""
    tool_names: dict[str, str] = field(default_factory=dict)
    """Of tools that the provider runs, by the ids of their calls."""
    failed_tools: list[FailedTool] = field(default_factory=list)
    """Those that failed, and those of which the request tells so."""
    has_failed: bool = False
    """The response is, or ended with, an error."""
    is_finished: bool = False
    """The stream's own terminator was seen, or the response is whole."""
    is_settled: bool = False
    """Counts came with, or after, the reason why the output ended."""
    is_lost: bool = False
    """What came last was not seen, so counts may be old ones."""
    is_cut: bool = False
    """One of the two sides left before the end."""
    counts_read: int = 0
    """How often there were counts."""

    def update(self, **counts: float | None) -> None:
        """Replace these counts; one whose new value is None stays as it was."""
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
        """Note how much of each kind of input, other than text, came from the cache; also 0: else
        no price is known.
        """
        for kind in KINDS:
            if (
                f"input_{kind}_tokens" in self.meters
                and (count := count_of(cached.get(kind))) is not None
            ):
                self.meters[f"cache_{kind}_read_tokens"] = count

    def set_texts(self, **texts: object) -> None:
        """Replace these attributes; one whose new value is no text stays as it was."""
        for name, value in texts.items():
            if text := text_of(value):
                setattr(self, name, text)

    def add_tools(self, names: Iterable[object]) -> None:
        for text in filter(None, map(text_of, names)):
            if len(self.tools) < MAX_TOOLS:
                self.tools[text] = None

    def add_failed_tool(self, call_id: object, name: object, said: object = None) -> None:
        """Note that a tool failed which the provider ran."""
        if isinstance(call_id, str):
            known = self.tool_names.get(call_id)
        else:
            known = None
        if len(self.failed_tools) < MAX_TOOLS:
            self.failed_tools.append(
                FailedTool(text_of(name) or known or "unknown", text_of(said) or "")
            )

    def fail(self, *error_types: object) -> None:
        """Note an error and the first of these types that is a text."""
        self.error_type = next(filter(None, map(text_of, error_types)), None)
        self.has_failed = True

    def take_reason(self) -> str | None:
        """Return the reason why the output ended, which is not known any more."""
        reason = self.finish_reason
        self.finish_reason = None
        return reason

    def forget_counts(self) -> None:
        """What may be wrong is not shown."""
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
        """A unit with a price of its own; a cost reported by the provider covers all of them."""
        if self.cost_usd is None:
            return (self, *self.others)
        return (self,)

    @property
    def has_usage(self) -> bool:
        return self.input_tokens is not None or self.output_tokens is not None or bool(self.meters)

    @property
    def usage_state(self) -> UsageState:
        """How far the counts can be trusted; an error in the middle of a stream cuts it as a lost
        connection does.
        """
        if self.is_lost:
            return "lost"
        if not self.has_usage:
            return "absent"
        if self.is_settled or (self.is_finished and not self.has_failed and not self.is_cut):
            return "exact"

        return "partial"


class Cost(NamedTuple):
    """A cost and where it comes from."""

    usd: float
    source: str
    """With `PARTLY` behind it where something is not included."""
    lacks: tuple[str, ...] = ()
    """What it does not include."""


class Operation(NamedTuple):
    """What a request asks for at a path that many operations share."""

    name: str
    """Behind the path in the name of the endpoint; empty: the request names none."""
    data: dict[str, Any] | None = None
    """Said of it in the data of the record."""


class Thread(NamedTuple):
    """What tells to which conversation a call belongs."""

    members: Mapping[str, Member] = {}
    """Of the request, undecoded."""
    response_id: str | None = None
    """That later calls may continue."""
    job: str | None = None
    """Name of the job whose result this is."""
    connection: bytes | None = None
    """Id of the handshake of the WebSocket that the call was made over."""
    caller: bytes = b""
    """Hash of the credentials of that handshake."""
    session: bytes | None = None
    """Name of the session that the call states there."""


@dataclass(slots=True)
class Facts:
    """What one reader says of an exchange or a message; what it leaves out it does not know."""

    operation: Operation | None = None
    grpc: Grpc | None = None
    provider: str | None = None
    model: str | None = None
    """As requested; a usage has its own."""
    usage: CallUsage | None = None
    usage_state: str | None = None
    """Instead of a usage: why there is none."""
    stream: Stream | None = None
    """How the answer came, where it came in frames."""
    cost: Cost | None = None
    is_whole: bool = False
    """Whether a client that left had everything."""
    stream_end: StreamEnd | None = None
    """How the stream ended, where another reader did not see that."""
    error_type: str | None = None
    """A code, redacted where a body may say anything in its place."""
    error_message: str | None = None
    is_callers: bool = False
    """Whether the error is the caller's fault."""
    suspicion: str | None = None
    """Error type, if no reader knows a better one."""
    level: Level | None = None
    """That the record has at least."""
    failed_tools: list[FailedTool] = field(default_factory=list)
    is_tools_fault: bool = False
    """Whether these tools are the reason why the exchange failed."""
    begun_by: bytes | None = None
    """Id of the record that began what this one ends."""
    started_at_us: int | None = None
    """Of what a message ends."""
    thread: Thread | None = None
    data: dict[str, Any] = field(default_factory=dict)
    """Members of the record's data, redacted."""
    tools: list[ToolCall] = field(default_factory=list)
    """Calls of tools that have ended or now wait."""
    jobs: list[Job] = field(default_factory=list)
    """Those that something new is known of."""
    payload: Payload | None = None
    """What was asked and answered, of a message."""
