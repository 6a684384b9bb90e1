"""The stored record: one exchange, or one event, written once at completion and never updated.

Every part of the program imports it, so it imports only msgspec and the standard library. Times
named `*_at_us` are Unix microseconds of the wall clock, durations named `*_us` are differences of a
monotonic one; null means "not known" or "not reached", never zero.
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
"""Kinds of content that are not text. `media`: a picture, font, archive, video, audio or PDF.
`octets`: all other binary data, parts of which may be text.
"""

MESSAGE_EVENT, GRPC_MESSAGE_EVENT = MESSAGE_EVENTS = ("websocket_message", "grpc_message")
"""Event names under which messages of WebSockets and of gRPC streams are stored."""


class Outcome(StrEnum):
    """How an exchange ended, independent of its status; the order is the wire code in the ring."""

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
    """Return the level of an exchange: error for 5xx and failures, warn for 4xx and interruptions,
    else info.
    """
    if (status is not None and status >= 500) or outcome in _BROKEN:
        return "error"
    if (status is not None and status >= 400) or outcome in (
        Outcome.CLIENT_CLOSED,
        Outcome.SHUTDOWN,
    ):
        return "warn"

    return "info"


StreamEnd = Literal["complete", "error", "cut", "client_closed"]
"""How a streamed response ended: with its own terminator, with an error instead, or because a side
left.
"""


class Stream(msgspec.Struct, gc=False):
    """Output of an LLM call: its pace, its end, and meters that have no column of the record."""

    first_content_us: int | None
    """From the request's start to the first frame with content, µs."""
    frames: int | None
    """Number of frames; null: a document instead of a stream, or not all frames were seen."""
    longest_gap_us: int | None
    """Longest silence between two chunks, µs."""
    finished: bool
    """Whether the stream's own terminator was seen, and no error."""
    finish_reason: str | None = None
    """Why the output ended, in the provider's word."""
    end: StreamEnd | None = None
    """How the stream ended; null: not a stream, or its end was not seen."""
    tools: list[str] | None = None
    """Names of the tools that the model called, each once; null: none seen."""
    meters: dict[str, int] | None = None
    """Other amounts that are billed: `cache_write_1h_tokens`, `input_audio_tokens`, `web_searches`
    and so on.
    """
    service_tier: str | None = None
    """The tier that was billed, in the provider's word: `flex`, `priority`, `batch`, `fast`."""
    cost_lacks: list[str] | None = None
    """Meters without a price in the price list: the true cost is higher than the one shown."""
    is_document: bool = False
    """Whether the response was one document instead of a stream."""
    begun_by: str | None = None
    """Id of the record that began the job whose answer this record shows."""
    failed_tools: list[str] | None = None
    """Names of the tools that failed since the previous call, as the request reports, or within
    this call; null: none.
    """


class Record(msgspec.Struct, gc=False):
    """One stored row. The collector's hot path builds it by position, in the order of the fields:
    append, never reorder.
    """

    seq: int
    """Number of the row (`storage/base.py`); 0 until the store has assigned it."""
    id: bytes
    """16 bytes, UUIDv7: milliseconds 48, version 4, sub-millisecond 12, variant 2, process nonce
    42, counter 20.
    """
    instance: str
    """Name of the sidecar that wrote it."""
    kind: Kind
    """`exchange`, or `event` (a record that is not an exchange)."""
    started_at_us: int
    """Request head complete, or the moment of refusal."""
    ended_at_us: int
    """Last byte handed to the transport, or the failure; 0 while the exchange is in flight."""
    level: Level = "info"
    """Severity, from status and outcome (see `level_of`), or from `error_type` where both show
    success.
    """
    outcome: str = Outcome.OK.value
    """One of `Outcome`; `ok` means complete as HTTP, whatever the status."""
    status: int | None = None
    """Status that the client received; 499 only when it left before a response head was sent."""
    method: str | None = None
    """Request method, null when the head was unreadable."""
    scheme: str = "http"
    """`http` or `https` of the URL that the client asked for: from a trusted proxy's header, else
    from the connection.
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
    """From start to end, monotonic; for a message that ends an LLM call, from the request to this
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
    """host:port (or socket path) that was used."""
    route_id: str | None = None
    """Configured route; null when no route matched."""
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
    """Position of this proxy: `backend` or `edge`."""
    stage: str | None = None
    """Deployment stage from the configuration."""
    trace_id: str | None = None
    """W3C trace id (32 hex), null without a valid `traceparent`."""
    span_id: str | None = None
    """W3C parent id (16 hex), null without a valid `traceparent`."""
    request_id: str | None = None
    """The X-Request-Id accepted from the client, or a generated one."""
    user_agent: str | None = None
    error_type: str | None = None
    """Error code of the provider, the tool or the proxy."""
    shed: Shed = "none"
    """Parts that the worker left out under load."""
    name: str | None = None
    """Events: the event's name."""
    data: bytes | None = None
    """Events: the payload, JSON."""
    key_id: str | None = None
    """API key of the proxied service, as it was at the time of the call."""
    key_name: str | None = None
    key_last4: str | None = None
    """Last four characters of its secret."""
    auth_code: str | None = None
    """One of the six key codes when the call was refused by the key check."""
    provider: str | None = None
    model: str | None = None
    resolved_model: str | None = None
    """Model that the response names."""
    input_tokens: int | None = None
    """Input tokens, cached ones included."""
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    """Input tokens read from the provider's cache."""
    cache_write_tokens: int | None = None
    """Input tokens written to the provider's cache."""
    reasoning_tokens: int | None = None
    usage_state: str | None = None
    """State of the token counts. `exact`; `partial`: the response was cut, counts up to there;
    `lost`: not seen; `absent`: the provider sent none; null: not an LLM call.
    """
    cost_usd: float | None = None
    price_source: str | None = None
    stream: Stream | None = None
    """Pace of a streamed response, and the finish reason of any LLM call."""
    keyed: bool = False
    """Whether the route's key check was `required` or `optional`; refused calls included."""
    endpoint: str | None = None
    """Template of the path, `/users/{id}`, as known when the record was made. Of events, only
    messages have one, from their connection.
    """
    conversation: bytes | None = None
    """The conversation that an LLM call belongs to, 16 bytes; null when it belongs to none or this
    is unknown.
    """
    marks: bytes | None = None
    """Hashes of 16 bytes by which a later call is recognised as a continuation of this one: of the
    messages, and of the response's id.
    """
    grpc: Grpc | None = None
    """Facts of a gRPC call; null for all other records."""
    redactions: dict[str, int] | None = None
    """Redaction id (`storage/redactions.py`) → number of values redacted; null: nothing was
    redacted.
    """
    message: str | None = None
    """Normalised line of the error message (`storage/failure_message.py`); null: none."""
    weight: float = 1.0
    """Number of exchanges that it stands for, to a millionth: above 1 where `[[capture.rules]]`
    kept a share of them.
    """
    direction: Direction = "in"
    """`in`: a client called a service behind sidelog; `out`: a service, or a command, called
    another host.
    """

    @property
    def target(self) -> str | None:
        """Path and query; for an outgoing call the whole URL, for a tunnel host and port."""
        if self.path is None:
            return None
        if self.query is None:
            target = self.path
        else:
            target = f"{self.path}?{self.query}"
        if self.direction == "in" or not target.startswith("/"):
            return target
        return f"{self.scheme}://{self.host}{target}"

    @property
    def latency_us(self) -> int | None:
        """The duration, where it says how fast a service is; null for events, for a WebSocket and
        for a CONNECT: these last as long as they are used.
        """
        is_connection = self.status == SWITCHING_PROTOCOLS or self.method == "CONNECT"
        if self.kind == "event" or is_connection:
            return None
        return self.duration_us

    @property
    def is_in_flight(self) -> bool:
        """Whether its exchange has not ended. A finished record has an end before the store gives it
        a number.
        """
        return not self.seq and not self.ended_at_us

    @property
    def has_messages(self) -> bool:
        """Whether it may have messages that are stored as events: those of a WebSocket or of a gRPC
        stream.
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
    """Content codings that were removed; those of the original if nothing is kept; null: none."""
    omitted: str | None
    """Why nothing is kept: `level`, `shed`, `coding` (could not be decoded, so not redacted); else
    null.
    """
    coding_error: str | None = None
    """Why a coding was not removed, or only in part: `gzip: not coded`, `snappy: unknown`, `br:
    damaged`.
    """
    charset: str | None = None
    """Python codec that restores the original bytes of the text, with a byte order mark if `-sig`
    follows; null: stored unchanged.
    """
    content: Content | None = None
    """Kind of content if it is not text. It is decided once, for redaction, the index of words, and
    searches.
    """


class Payload(msgspec.Struct, gc=False):
    """Heads and bodies of one exchange, stored apart from the row so that lists never read them."""

    request_head: bytes
    """As received from the client, redacted, without the final empty line."""
    response_head: bytes
    """As received from the upstream (ours for our own answers), redacted, without the final empty
    line.
    """
    request_body: Body | None
    response_body: Body | None
    """Both bodies are null when the exchange had none."""
    timeline: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """For streams, one (byte offset in the decoded body, µs since start) per chunk, rising, at most
    512.
    """
    request_trailers: bytes = b""
    response_trailers: bytes = b""
    """Trailer fields after a chunked body, as received, redacted, without the last line end; may be
    empty.
    """


ToolStatus = Literal["processing", "success", "error"]
"""`processing` calls are shown while they run and are never stored."""


class ToolCall(msgspec.Struct, kw_only=True, gc=False):
    """One tool call (MCP `tools/call`), stored once its answer is known or will not come.

    A call that is still `processing` is stored separately until then, so that a kill does not lose
    it.
    """

    record_id: bytes
    """16 bytes, id of the exchange that asked for it, with which it is usually stored too."""
    position: int = 0
    """Position within a JSON-RPC batch of calls."""
    started_at_us: int
    """When the headers of the asking exchange were received."""
    created_at_us: int
    """When the row was made."""
    tool_name: str
    server_label: str
    status: ToolStatus
    latency_us: int | None = None
    """Time until the message with the answer; null if there was no answer."""
    cost_usd: float = 0.0
    arguments: bytes | None = None
    result: bytes | None = None
    """Arguments and result are JSON, redacted."""
    error_details: bytes | None = None
    """JSON object; null on success."""
    metadata: bytes = b"{}"
    """JSON object: method, protocol version, transport, JSON-RPC id, and so on."""
    rpc_id: str | None = None
    """JSON-RPC id as JSON text: `7` and `"7"` differ."""
    session: str | None = None
    """Hash of the session id."""
    llm_request_id: str | None = None
    """The LLM call that it was made for, as the client states."""
    project: str | None = None
    container: str | None = None
    client: str | None = None
    """These three are copies of the record's, for the scope of readers."""
    key_id: str | None = None
    key_name: str | None = None
    key_last4: str | None = None
    """The API key as it was at the time of the call."""
    search: str = ""
    """Case-folded text of arguments and result, at most 16 KiB."""
    weight: float = 1.0
    """The weight of the record it is stored with."""


class Job(msgspec.Struct, gc=False):
    """Work that a provider does after it has answered: a background response, a batch, an
    operation.
    """

    id: bytes
    """16 bytes: a hash, within a project, of the provider's name for the job or for a file with its
    results.
    """
    begun_by: bytes
    """Id of the record that began it, or of the one that showed its result if the beginning is
    unknown.
    """
    started_at_us: int
    """When that record started."""
    counted_by: bytes | None = None
    """Id of the record that carries its tokens and cost; null until there is one."""


class Entry(msgspec.Struct, gc=False):
    """A row for the store, with its payload and calls if the exchange was captured."""

    record: Record
    payload: Payload | None = None
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list)
    jobs: list[Job] = msgspec.field(default_factory=list)
    """New facts about jobs."""


class Position(msgspec.Struct, gc=False):
    """How far one source (a ring) is consumed, with counts of its records. All counts are since it
    was created.
    """

    offset: int = 0
    """End of the last consumed entry, in bytes since the ring was created; never wraps."""
    taken: int = 0
    """Ring entries consumed up to `offset`, stored or not."""
    stored: int = 0
    """Records of this source committed as rows."""
    received: int = 0
    """Records that the producer counted, pushed or refused; valid once `closed`, and always for the
    collector's own source.
    """
    dropped: dict[str, int] = msgspec.field(default_factory=dict)
    """Reason → records; `ring_full` counts those that the producer refused."""
    closed: bool = False
    """Whether the producer is gone and all its records are accounted for, so that the ring file may
    be unlinked.
    """


class Batch(msgspec.Struct, gc=False):
    """One transaction: rows with payloads, and the positions they advance. Positions are absolute,
    not increments.
    """

    instance: str
    """The sidecar that owns the positions."""
    entries: list[Entry]
    positions: dict[bytes, Position] = msgspec.field(default_factory=dict)
    """Source uuid (16 bytes) → its position after this batch."""
    retired: list[bytes] = msgspec.field(default_factory=list)
    """Sources whose rows are removed: their counts are folded into another position of this batch.
    """
    prepared: object = None
    """Result of `Storage.prepare` for these entries; the commit stores the same without it."""


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

    Return None for anything else: the caller replies "not found", never an error.
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
