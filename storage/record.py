"""The stored record: one exchange, or one event, written once at completion and never updated.

The ground of the whole program: stdlib and msgspec only. Times named `*_at_us` are Unix
microseconds of the wall clock, durations named `*_us` are differences of a monotonic one; null
means "not known" or "not reached", never zero.
"""

import time
from enum import StrEnum
from typing import Final, Literal

import msgspec

from storage.grpc import SWITCHING_PROTOCOLS, Grpc

Level = Literal["debug", "info", "warn", "error"]
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warn", "error")

Kind = Literal["exchange", "event"]
Direction = Literal["in", "out"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("in", "out")
Shed = Literal["none", "tail", "bodies"]
Content = Literal["media", "octets"]
"""What is no text: a picture, font, archive, video, audio or PDF; and all else, of which only some
parts may read.
"""

MESSAGE_EVENT, GRPC_MESSAGE_EVENT = MESSAGE_EVENTS = ("websocket_message", "grpc_message")
"""Names of the events that messages of WebSockets and of gRPC streams are stored as."""


class Outcome(StrEnum):
    """How an exchange ended, apart from its status; the order is the wire code in the ring."""

    OK = "ok"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    CLIENT_CLOSED = "client_closed"
    REJECTED = "rejected"
    TRUNCATED = "truncated"
    WORKER_LOST = "worker_lost"
    SHUTDOWN = "shutdown"


OUTCOMES: Final = tuple(Outcome)
_BROKEN: Final = (
    Outcome.UPSTREAM_ERROR,
    Outcome.UPSTREAM_TIMEOUT,
    Outcome.TRUNCATED,
    Outcome.WORKER_LOST,
)


def level_of(status: int | None, outcome: str) -> Level:
    """Grade an exchange: error for 5xx and broken ends, warn for 4xx and interruptions, else info."""
    if (status is not None and status >= 500) or outcome in _BROKEN:
        return "error"
    if (status is not None and status >= 400) or outcome in (
        Outcome.CLIENT_CLOSED,
        Outcome.SHUTDOWN,
    ):
        return "warn"

    return "info"


StreamEnd = Literal["complete", "error", "cut", "client_closed"]
"""How a streamed response ended: by its own terminator, by an error instead, or by one of the sides
leaving.
"""


class Stream(msgspec.Struct, gc=False):
    """How the output of an LLM call came and ended, and what it is paid by beside the columns of a
    record.
    """

    first_content_us: int | None
    """From the request's start to the first frame with content, µs."""
    frames: int | None
    """Number of frames; null: no stream but one document, or not all of them were seen."""
    longest_gap_us: int | None
    """Longest silence between two chunks, µs."""
    finished: bool
    """Whether the stream's own terminator was seen, and no error."""
    finish_reason: str | None = None
    """Why the output ended, as the provider says."""
    end: StreamEnd | None = None
    """How the stream ended; null: no stream, or its end was not seen."""
    tools: list[str] | None = None
    """Names of the tools that the model called, each once; null: none were seen."""
    meters: dict[str, int] | None = None
    """What else the call is paid by: `cache_write_1h_tokens`, `input_audio_tokens`, `web_searches`
    and so on.
    """
    service_tier: str | None = None
    """Tier that was billed, as the provider says: `flex`, `priority`, `batch`, `fast`."""
    cost_lacks: list[str] | None = None
    """Meters that the price list could not price: the cost is more than is shown."""
    is_document: bool = False
    """Whether the response was no stream but one document."""
    begun_by: str | None = None
    """Id of the record that began the call whose answer this one shows."""
    failed_tools: list[str] | None = None
    """Names of the tools that failed since the call before, as the request says, or within this
    one; null: none did.
    """


class Record(msgspec.Struct, gc=False):
    """One row. The collector's hot path builds it by position, in the order of the fields: append,
    never reorder.
    """

    seq: int
    """Number of the row (`storage/base.py`); 0 until the store has assigned it."""
    id: bytes
    """16 bytes, UUIDv7: milliseconds 48, version 4, sub-millisecond 12, variant 2, process nonce
    42, counter 20.
    """
    instance: str
    """Which sidecar wrote it."""
    kind: Kind
    """`exchange`, or `event` (a record that is not an exchange)."""
    started_at_us: int
    """Request head complete, or the moment of refusal."""
    ended_at_us: int
    """Last byte handed to the transport, or the failure."""
    level: Level = "info"
    """Severity, from status and outcome (see `level_of`); also from `error_type` where both tell of
    no failure.
    """
    outcome: str = Outcome.OK.value
    """One of `Outcome`; `ok` means complete as HTTP, whatever the status."""
    status: int | None = None
    """What the client got; 499 only when it left before a response head was sent."""
    method: str | None = None
    """Request method, null when the head was unreadable."""
    scheme: str = "http"
    """`http` or `https`: of the URL the client asked for, as a trusted proxy says, else as it
    connected.
    """
    host: str | None = None
    """Authority the client asked for."""
    path: str | None = None
    """Raw path as sent, without the query."""
    query: str | None = None
    """Raw query without the question mark, redacted."""
    http_version: str | None = None
    """`1.0`, `1.1` or `2`."""
    duration_us: int = 0
    """From start to end, monotonic; of a message that ends an LLM call, from the request to this
    message.
    """
    connect_us: int | None = None
    """Time spent opening an upstream connection; null when one was reused or none was reached."""
    first_byte_us: int | None = None
    """From start to the first byte of the upstream's response head."""
    upstream_us: int | None = None
    """From the head being written to the upstream to the end of its response."""
    upstream_sent_at_us: int | None = None
    """Head written to the upstream."""
    upstream_done_at_us: int | None = None
    """End of the upstream's response."""
    request_bytes: int = 0
    """Body bytes received from the client, on the wire without framing."""
    response_bytes: int = 0
    """Body bytes sent to the client, on the wire without framing."""
    request_complete: bool = True
    """False when the answer came, or the client left, before the request was finished."""
    client_ip: str | None = None
    """The client's address after the trusted-proxy rule."""
    upstream: str | None = None
    """host:port (or socket path) really used."""
    route_id: str | None = None
    """Configured route; null when none matched."""
    service: str | None = None
    """`serviceName` of the route."""
    container: str | None = None
    project: str | None = None
    """Project of the route, key or trusted header."""
    client: str | None = None
    """Client (organisation) of the route."""
    user_id: str | None = None
    """User of the key or trusted header."""
    source: str = "backend"
    """`backend` or `edge`: where this proxy stands."""
    stage: str | None = None
    """Deployment stage from the configuration."""
    trace_id: str | None = None
    """W3C trace id (32 hex), null without a valid `traceparent`."""
    span_id: str | None = None
    """W3C parent id (16 hex), null without a valid `traceparent`."""
    request_id: str | None = None
    """The X-Request-Id accepted from the client, or the one made for it."""
    user_agent: str | None = None
    error_type: str | None = None
    """The provider's, the tool's or the proxy's error code."""
    shed: Shed = "none"
    """What the worker left out under pressure."""
    name: str | None = None
    """Events: the event's name."""
    data: bytes | None = None
    """Events: the payload, JSON."""
    key_id: str | None = None
    """API key of the proxied service, snapshot."""
    key_name: str | None = None
    key_last4: str | None = None
    """Last four characters of its secret."""
    auth_code: str | None = None
    """One of the six key codes when the call was refused by the key check."""
    provider: str | None = None
    model: str | None = None
    resolved_model: str | None = None
    """As the response names it."""
    input_tokens: int | None = None
    """Input tokens, cached ones included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    """Input tokens read from the provider's cache."""
    cache_write_tokens: int | None = None
    """Input tokens written to the provider's cache."""
    reasoning_tokens: int | None = None
    usage_state: str | None = None
    """`exact`; `partial`: cut, what was said so far; `lost`: not seen; `absent`: none said; null:
    not an LLM call.
    """
    cost_usd: float | None = None
    price_source: str | None = None
    stream: Stream | None = None
    """Pace of a streamed response, and the reason why the output of any LLM call ended."""
    keyed: bool = False
    """Whether the route asked for an API key, `required` or `optional`; refused calls included."""
    endpoint: str | None = None
    """Template of the path, `/users/{id}`, as it was known when the record was made; of events only
    messages have one, that of their connection.
    """
    conversation: bytes | None = None
    """The conversation that an LLM call belongs to, 16 bytes; null when it is none, or nothing
    tells.
    """
    marks: bytes | None = None
    """What a call that continues this one states, as hashes of 16 bytes: its messages, the id of
    its response.
    """
    grpc: Grpc | None = None
    """What a call of gRPC said of itself; null for all else."""
    redactions: dict[str, int] | None = None
    """What was taken out before it was stored: id (`storage/redactions.py`) → in how many places;
    null: nothing.
    """
    message: str | None = None
    """What was said when it failed, without what differs each time (`storage/failure_message.py`);
    null: nothing.
    """
    weight: float = 1.0
    """How many exchanges it stands for, to a millionth: more than 1 where `[[capture.rules]]` kept
    a share of them.
    """
    direction: Direction = "in"
    """`in`: a client asked a service behind sidelog; `out`: a service, or a command, asked another
    host.
    """

    @property
    def target(self) -> str | None:
        """Path and query; of an outgoing call the whole URL, of a tunnel host and port."""
        if self.path is None:
            return None
        target = self.path if self.query is None else f"{self.path}?{self.query}"
        if self.direction == "in" or not target.startswith("/"):
            return target
        return f"{self.scheme}://{self.host}{target}"

    @property
    def has_messages(self) -> bool:
        """Whether its messages may be events of their own: those of a WebSocket, or of a stream of
        gRPC.
        """
        is_stream = self.grpc is not None and self.grpc.is_stream is not False
        is_connection = self.status == SWITCHING_PROTOCOLS or is_stream
        return self.kind == "exchange" and is_connection


class Body(msgspec.Struct, array_like=True, gc=False):
    """One captured body: decoded, redacted, compacted."""

    head: bytes
    """The first kept bytes; the whole body unless `truncated`."""
    tail: bytes
    """The last kept bytes; empty unless `truncated`."""
    size: int
    """True size on the wire, bytes."""
    truncated: bool
    """Whether anything between head and tail is missing."""
    coding: str | None
    """Content codings that were undone; where nothing is kept, those it had; null: none."""
    omitted: str | None
    """Why nothing is kept: `level`, `shed`, `coding` (could not be decoded, so not redacted); else
    null.
    """
    coding_error: str | None = None
    """Why a coding was not undone, or not to its end: `gzip: not coded`, `snappy: unknown`, `br:
    damaged`.
    """
    charset: str | None = None
    """Codec of Python that writes the text as it came, behind a byte order mark if `-sig` follows;
    null: as kept.
    """
    content: Content | None = None
    """What it is, where that is no text: decided once, for redaction, the index of words, and each
    search.
    """


class Payload(msgspec.Struct, gc=False):
    """Heads and bodies of one exchange; kept apart from the row, so that lists never touch them."""

    request_head: bytes
    """As received from the client, redacted, without the final empty line."""
    response_head: bytes
    """As received from the upstream (ours for our own answers), redacted, without the final empty
    line.
    """
    request_body: Body | None
    response_body: Body | None
    """These two are null when the exchange had none."""
    timeline: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """Streams: (byte offset in the decoded body, µs since start) per chunk, at most 512 entries,
    rising.
    """
    request_trailers: bytes = b""
    response_trailers: bytes = b""
    """Fields behind a chunked body, as received, redacted, without the last line end; empty: none.
    """


ToolStatus = Literal["processing", "success", "error"]
"""`processing` calls are shown while they run and are never stored."""


class ToolCall(msgspec.Struct, kw_only=True, gc=False):
    """One call of a tool (MCP `tools/call`), written once, when its answer is known or will not
    come.

    One that is still `processing` is kept aside until then, so that a kill does not lose it.
    """

    record_id: bytes
    """16 bytes, of the exchange that asked for it; usually also the one it is stored with."""
    position: int = 0
    """Place within a batch of calls."""
    started_at_us: int
    """Headers of the asking exchange received."""
    created_at_us: int
    """When the row was made."""
    tool_name: str
    server_label: str
    status: ToolStatus
    latency_us: int | None = None
    """To the message with the answer; null when none came."""
    cost_usd: float = 0.0
    arguments: bytes | None = None
    result: bytes | None = None
    """These two are JSON, redacted."""
    error_details: bytes | None = None
    """JSON object; null on success."""
    metadata: bytes = b"{}"
    """JSON object: method, protocol version, transport, JSON-RPC id, and so on."""
    rpc_id: str | None = None
    """JSON-RPC id as JSON text: `7` and `"7"` differ."""
    session: str | None = None
    """Hash of the session id."""
    llm_request_id: str | None = None
    """The LLM call it was made for, as stated by the client."""
    project: str | None = None
    container: str | None = None
    client: str | None = None
    """These three as on the record, for the scope of readers."""
    key_id: str | None = None
    key_name: str | None = None
    key_last4: str | None = None
    """API key, snapshot."""
    search: str = ""
    """Folded text of arguments and result, at most 16 KiB."""
    weight: float = 1.0
    """That of the record it is stored with."""


class Job(msgspec.Struct, gc=False):
    """Work that a provider does after it has answered: a background response, a batch, an
    operation.
    """

    id: bytes
    """16 bytes: a hash of the provider's name for it, or for a file with its results, within a
    project.
    """
    begun_by: bytes
    """Id of the record that began it; of the one that showed its result, where nothing is known of
    the beginning.
    """
    started_at_us: int
    """When that record started."""
    counted_by: bytes | None = None
    """Id of the record that its tokens and cost are counted with; null as long as there is none."""


class Entry(msgspec.Struct, gc=False):
    """What the writer hands to a store: the row and, for an exchange that was captured, its payload
    and calls.
    """

    record: Record
    payload: Payload | None = None
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list)
    jobs: list[Job] = msgspec.field(default_factory=list)
    """What became known of jobs."""


class Position(msgspec.Struct, gc=False):
    """How far one source (a ring) is consumed, and what became of its records. All counts are since
    it was made.
    """

    offset: int = 0
    """End of the last consumed entry, in bytes since the ring was made; never wraps."""
    taken: int = 0
    """Ring entries consumed up to `offset`, whatever became of them."""
    stored: int = 0
    """Records of this source committed as rows."""
    received: int = 0
    """Records the producer counted, pushed and refused; true once `closed`, and for the collector's
    own source.
    """
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    """Reason → records; `ring_full` is what the producer refused."""
    closed: bool = False
    """The producer is gone and everything it pushed is accounted for: the ring file may be
    unlinked.
    """


class Batch(msgspec.Struct, gc=False):
    """One transaction: rows with payloads, and the positions they advance. Positions are absolute,
    not increments.
    """

    instance: str
    """Whose positions these are."""
    entries: list[Entry]
    positions: dict[bytes, Position] = msgspec.field(default_factory=dict)
    """Source uuid (16 bytes) → its position after this batch."""
    retired: list[bytes] = msgspec.field(default_factory=list)
    """Sources whose rows are removed: their counts were folded into another position of this batch.
    """
    prepared: object = None
    """What the store made of these entries before (`Storage.prepare`); without it the commit stores
    the same.
    """


def new_id(now_ns: int, nonce: int, counter: int) -> bytes:
    """Make a UUIDv7 (RFC 9562 §5.7): 48 bits of ms, 12 of sub-ms, 42 of process nonce, 20 of
    counter.
    """
    ms, rest_ns = divmod(now_ns, 1_000_000)
    high = (ms & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | (rest_ns * 4096 // 1_000_000)
    low = 1 << 63 | (nonce & 0x3FF_FFFF_FFFF) << 20 | (counter & 0xF_FFFF)
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


def now_us() -> int:
    return time.time_ns() // 1000


def format_id(raw: bytes) -> str:
    """Write a record id as a UUID with hyphens, lower case."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_CROCKFORD_VALUES: Final = {c: i for i, c in enumerate(CROCKFORD)} | {"o": 0, "i": 1, "l": 1}


def parse_id(text: str) -> bytes | None:
    """Read a record id in any of its spellings: UUID with or without hyphens, or `req_` and
    Crockford base32.

    Returns None for anything else: the caller replies "not found", never an error.
    """
    text = text.strip().lower()
    if text.startswith("req_") and len(text) == 30:
        number = 0
        for character in text[4:]:
            value = _CROCKFORD_VALUES.get(character)
            if value is None:
                return None
            number = number << 5 | value

        if number < 1 << 128:
            return number.to_bytes(17, "big")[1:]

        return None

    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        text = text.replace("-", "")
    if len(text) != 32 or not text.isascii() or not text.isalnum():
        return None

    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
