"""Words of the search language, used before a colon: field, kind of values, help text. Values."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from storage.grpc import STATUSES
from storage.record import DIRECTIONS, LEVELS, OUTCOMES

Kind = Literal[
    "name", "place", "part", "choice", "status", "duration", "bytes", "count", "decimal", "time", "address", "client",
    "trace", "id", "text", "reason", "grpc",
]  # fmt: skip
"""How a value is matched: `name` exactly, `part` as a substring, both as a pattern if it has a `*`.
A `place` is a JSON path: matched like a name, or compared as a number.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    name: str
    kind: Kind
    field: str
    """Field of the record (`storage.search.expression`)."""
    help: str
    example: str
    values: tuple[str, ...] = ()
    """All possible values, or those to suggest."""
    facet: str | None = None
    """Facet of the API that lists its values."""
    is_upper: bool = False
    """Whether values are in upper case."""
    is_lower: bool = False
    """Whether values are in lower case."""


SYNONYMS: Final = {
    "completed": "ok", "refused by sidelog": "rejected", "upstream failed": "upstream_error",
    "upstream timed out": "upstream_timeout", "client disconnected": "client_closed",
    "response incomplete": "truncated", "worker died": "worker_lost",
    "sidelog was stopped": "shutdown", "warning": "warn",
}  # fmt: skip
"""Label in the web UI → the value that it stands for."""
SOURCES: Final = ("backend", "edge")
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_STATUSES: Final = ("2xx", "3xx", "4xx", "5xx", "404", "429", "500")


def _name(name: str, field: str, help: str, example: str, *, facet: str | None = None) -> Word:
    return Word(name=name, kind="name", field=field, help=help, example=example, facet=facet)


def _number(name: str, kind: Kind, field: str, help: str, example: str) -> Word:
    return Word(name=name, kind=kind, field=field, help=help, example=example)


def _place(name: str, help: str, example: str) -> Word:
    return Word(name=name, kind="place", field=name, help=help, example=example)


def _part(name: str, field: str, help: str, example: str) -> Word:
    return Word(name=name, kind="part", field=field, help=help, example=example)


def _choice(name: str, values: tuple[str, ...], help: str, example: str) -> Word:
    return Word(
        name=name, kind="choice", field=name, help=help, example=example, values=values, facet=name
    )


_ALL: Final = (
    Word(name="status", kind="status", field="status", help="status, or its class", example="status:404,5xx",
         values=_STATUSES),
    Word(name="method", kind="name", field="method", help="request method", example="method:POST,PUT",
         values=_METHODS, facet="method", is_upper=True),
    _part("path", "path", "part of the path, or all of it with *", "path:/api/users/*"),
    _part("query", "query", "part of the query string", "query:page=2"),
    _name("host", "host", "host the client asked for", "host:*.example.com", facet="host"),
    _name("endpoint", "endpoint", "template of the path", "endpoint:/api/users/{id}", facet="endpoint"),
    _name("route", "route_id", "configured route", "route:api", facet="route"),
    _name("service", "service", "service of the route", "service:catalogue", facet="service"),
    _name("project", "project", "project", "project:shop", facet="project"),
    _name("container", "container", "container of the route", "container:web-1", facet="container"),
    Word(name="client", kind="client", field="client", help="client's address or network, or client of the route",
         example="client:10.0.0.0/8", facet="client"),
    Word(name="ip", kind="address", field="client_ip", help="client's address or network", example="ip:2001:db8::/32"),
    _part("ua", "user_agent", "part of the User-Agent", "ua:curl"),
    _name("key", "key_id", "API key, by its id", "key:*", facet="key"),
    _name("user", "user_id", "user of the key or trusted header", "user:ann"),
    _choice("level", LEVELS, "severity", "level:>=warn"),
    _choice("kind", ("exchange", "event", "all"), "exchanges by default, with text events too", "kind:event"),
    _choice("direction", DIRECTIONS, "to a service behind sidelog, or out to another host", "direction:out"),
    _choice("source", SOURCES, "where the proxy stands", "source:edge"),
    _choice("outcome", tuple(outcome.value for outcome in OUTCOMES), "how the exchange ended", "outcome:client_closed"),
    Word(name="error", kind="reason", field="error_type", help="why it failed: an error code, an outcome, http_404",
         example="error:*timeout*", facet="error_type"),
    _name("message", "message", "error message, without the parts that vary",
          'message:"no such user*"'),
    _number("duration", "duration", "duration_us", "from request to last byte", "duration:>500ms"),
    _number("ttfb", "duration", "first_byte_us", "from request to first byte", "ttfb:1s..5s"),
    _number("bytes", "bytes", "bytes", "bytes of both bodies", "bytes:>1MB"),
    _number("request_bytes", "bytes", "request_bytes", "bytes of the request body", "request_bytes:0"),
    _number("response_bytes", "bytes", "response_bytes", "bytes of the response body", "response_bytes:>=64KiB"),
    Word(name="id", kind="id", field="id", help="the record's id", example="id:0192f0c1-8a3b-7c4d-9e5f-a6b7c8d9e0f1"),
    _name("request_id", "request_id", "X-Request-Id", "request_id:abc*"),
    Word(name="trace", kind="trace", field="trace_id", help="W3C trace id",
         example="trace:0af7651916cd43dd8448eb211c80319c"),
    _name("provider", "provider", "LLM provider", "provider:openai", facet="provider"),
    _name("model", "any_model", "model, as requested or as the response names it", "model:gpt-*", facet="model"),
    _name("requested_model", "model", "model as requested", "requested_model:gpt-4o", facet="model"),
    _name("resolved_model", "resolved_model", "model named by the response", "resolved_model:*mini*"),
    _number("tokens", "count", "tokens", "input and output tokens", "tokens:>1000"),
    _number("input_tokens", "count", "input_tokens", "input tokens", "input_tokens:>=1k"),
    _number("output_tokens", "count", "output_tokens", "output tokens", "output_tokens:0"),
    _number("cost", "decimal", "cost_usd", "cost in US dollars", "cost:>0.01"),
    _number("weight", "decimal", "weight", "number of exchanges that a sampled record stands for", "weight:>1"),
    Word(name="conversation", kind="id", field="conversation", help="conversation of LLM calls, by its id",
         example="conversation:0192f0c1-8a3b-7c4d-9e5f-a6b7c8d9e0f1"),
    _name("finish_reason", "finish_reason", "why the output ended", "finish_reason:length", facet="finish_reason"),
    _name("called_tool", "called_tool", "tool that a model called", "called_tool:search", facet="called_tool"),
    _name("tool_error", "tool_error", "tool that failed", "tool_error:search", facet="tool_error"),
    _name("tool", "tool", "MCP tool that was called", "tool:search"),
    Word(name="grpc_status", kind="grpc", field="grpc_status", help="status of a gRPC call; after ! any other",
         example="grpc_status:!OK", values=(*STATUSES, "!OK"), facet="grpc_status"),
    Word(name="redacted", kind="name", field="redacted", help="rule that redacted a value, or the name it had",
         example="redacted:name:password", facet="redacted", is_lower=True),
    _name("upstream", "upstream", "host and port of the upstream", "upstream:*:9000"),
    _name("stage", "stage", "deployment stage", "stage:production", facet="stage"),
    _name("instance", "instance", "name of the sidelog that wrote the record", "instance:sidecar-1", facet="instance"),
    _name("name", "name", "name of an event", "kind:event name:gap"),
    Word(name="since", kind="time", field="started_at_us", help="from this time on", example="since:-1h"),
    Word(name="until", kind="time", field="started_at_us", help="before this time", example="until:2026-11-20T10:00Z"),
    Word(name="text", kind="text", field="text", help="words in path, error, heads, bodies and messages",
         example='text:"connection reset"'),
)  # fmt: skip
WORDS: Final[Mapping[str, Word]] = {word.name: word for word in _ALL}
ALIASES: Final[Mapping[str, str]] = {
    "latency": "duration", "error_type": "error", "user_agent": "ua", "client_ip": "ip", "trace_id": "trace",
    "first_byte": "ttfb", "error_message": "message",
}  # fmt: skip
"""Alternative names, among them those of most parameters."""
PREFIXES: Final[Mapping[str, Word]] = {
    "header": _part("header", "header", "header of request or response", "header.x-tenant:acme"),
    "request_header": _part(
        "request_header", "request_header", "request header", "request_header.accept:*json*"
    ),
    "response_header": _part(
        "response_header", "response_header", "response header", "response_header.via:*"
    ),
    "body": _place("body", "value in a JSON body, by its path", "body.user.id:42"),
    "request_body": _place("request_body", "value in a JSON request", "request_body.model:gpt-*"),
    "response_body": _place("response_body", "value in a JSON response", "response_body.ok:false"),
}
"""Words that are followed by a dot and a name."""
_SUGGESTED: Final = 3


def find_word(name: str) -> Word | None:
    """Return the word with a name or an alias; None if it is unknown."""
    lowered = name.lower()
    return WORDS.get(ALIASES.get(lowered, lowered))


def word_of(name: str) -> Word | None:
    """Return the word with a name, an alias, or a prefix before a dot; None if it is unknown."""
    prefix, dot, rest = name.partition(".")
    if dot and rest:
        return PREFIXES.get(prefix.lower())
    return find_word(name)


def meant_method(text: str) -> str | None:
    """Return the usual method that a misspelt one resembles; None for other texts."""
    if text in _METHODS:
        return None
    usual = [method for method in _METHODS if abs(len(method) - len(text)) <= 1]
    return next(iter(get_close_matches(text, usual, n=1)), None)


def all_names() -> list[str]:
    return [*WORDS, *(f"{prefix}.NAME" for prefix in PREFIXES)]


def closest(name: str) -> list[str]:
    """Return the words that were probably meant, the likeliest first."""
    near = get_close_matches(
        name.lower(), [*WORDS, *ALIASES, *all_names()], n=_SUGGESTED, cutoff=0.6
    )
    return list(dict.fromkeys(ALIASES.get(each, each) for each in near))
