"""Declarations of the settings of routes, capture and prices: part of `model.py`."""

import re
import ssl
from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, field

from proxy.process.tls import upstream_context
from proxy.settings.section import KIB, MIB, CaptureLevel, Section, about

_Count = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(ge=0)]


class RouteLimitSettings(Section, frozen=True):
    """[routes.limits]: limits of one route. The others are those of [proxy.limits]."""

    max_body_bytes: Annotated[_Count | None, about("request body, larger: 413")] = None
    timeout_connect_s: Annotated[_Seconds | None, about("time to connect to the upstream: 504")] = (
        None
    )
    timeout_first_byte_s: Annotated[
        _Seconds | None, about("time until the response begins: 504")
    ] = None
    upstream_max_connections: Annotated[_Count | None, about("upstream connections per worker")] = (
        None
    )


class HeaderSettings(Section, frozen=True):
    """[proxy.headers], [routes.headers]: fields set or removed on the way; a route's rules win."""

    set_request: Annotated[
        dict[str, str],
        about(
            'replaced on requests; "": removed; "env:NAME" reads the environment, here and below'
        ),
    ] = field(default_factory=dict)
    set_response: Annotated[dict[str, str], about('replaced on responses; "": removed')] = field(
        default_factory=dict
    )


class RouteSettings(Section, frozen=True):
    """[[routes]]: first match wins, in the order written."""

    id: Annotated[
        str, about("required; name of the route, shown on records", min_length=1, max_length=128)
    ]
    upstream: Annotated[
        str,
        about("required; http://…, https://…, with a path: put before each target; or unix:/path"),
    ]
    path: Annotated[str, about("prefix of the raw path")] = "/"
    host: Annotated[str, about("only requests for this host; empty: all")] = ""
    strip_prefix: Annotated[bool, about("remove `path` before forwarding")] = False
    upstream_host: Annotated[
        str,
        about("Host sent upstream; empty: the client's (http, unix) or the upstream's own (https)"),
    ] = ""
    service: Annotated[
        str, about("service name on records; empty: in OpenTelemetry sidelog", max_length=256)
    ] = ""
    container: Annotated[str, about("container on records", max_length=256)] = ""
    project: Annotated[str, about("project on records", max_length=256)] = ""
    client: Annotated[str, about("client (organisation) on records", max_length=256)] = ""
    provider: Annotated[
        Literal[
            "auto",
            "openai",
            "anthropic",
            "gemini",
            "ollama",
            "bedrock",
            "cohere",
            "llama.cpp",
            "mcp",
            "none",
        ],
        about(
            "openai, anthropic, gemini, ollama, bedrock, cohere, llama.cpp, mcp or none; auto: by "
            "path and headers"
        ),
    ] = "auto"
    endpoints: Annotated[
        tuple[str, ...],
        about(
            "templates of paths, such as /users/{name}, that endpoints are named by; * at the end "
            "is anything below; endpoints of other paths are learned"
        ),
    ] = ()
    """After `load` these include the templates of `openapi`."""
    openapi: Annotated[
        str,
        about(
            "OpenAPI description of the service (JSON or YAML), whose paths are such templates too"
        ),
    ] = ""
    protobuf: Annotated[
        str,
        about("schema of a gRPC service, from protoc --descriptor_set_out or sidelog grpc reflect"),
    ] = ""
    tool_cost_usd: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]],
        about("MCP: price of a successful call in US dollars, by tool"),
    ] = field(default_factory=dict)
    project_header: Annotated[
        str,
        about(
            "request header that names the project, trusted only from trusted_proxies; the "
            "project of the caller's API key takes precedence"
        ),
    ] = ""
    user_header: Annotated[
        str, about("request header that names the user, with the same precedence")
    ] = ""
    auth: Annotated[
        Literal["off", "optional", "required"],
        about("whether callers need an API key (sidelog keys): off, optional or required"),
    ] = "off"
    key_header: Annotated[
        str, about("request header with the API key; sidelog's own keys are not forwarded")
    ] = "api-key"
    scope: Annotated[str, about("scope the key needs; empty: any", max_length=128)] = ""
    agent: Annotated[
        str, about("agent the key must be allowed to call; empty: any", max_length=128)
    ] = ""
    upstream_protocol: Annotated[
        Literal["auto", "http1", "http2"],
        about(
            "spoken to the upstream. auto: HTTP/2 for gRPC, HTTP/1.1 for all else; http1: "
            "HTTP/1.1, gRPC is refused; http2: HTTP/2 for all but WebSockets"
        ),
    ] = "auto"
    via: Annotated[
        str,
        about(
            "proxy that tunnels to the upstream: http://[user:password@]host:port; off: none; "
            "empty: for https what HTTPS_PROXY and NO_PROXY say"
        ),
    ] = ""
    """The proxy in effect after `load`."""
    tls_verify: Annotated[bool, about("check the certificate of an https upstream")] = True
    upstream_ca_file: Annotated[str, about("PEM file to check it against; empty: the system's")] = (
        ""
    )
    upstream_cert_file: Annotated[
        str, about("PEM certificate chain shown to an https upstream that asks for one")
    ] = ""
    upstream_key_file: Annotated[str, about("PEM private key; empty: in the same file")] = ""
    capture: Annotated[
        Literal["", "none", "meta", "usage", "headers", "body"], about("overrides [capture].level")
    ] = ""
    """Never empty after `load`."""
    limits: RouteLimitSettings = RouteLimitSettings()
    headers: HeaderSettings = HeaderSettings()

    @property
    def strip_bytes(self) -> int:
        """Number of bytes of the path that are removed before forwarding."""
        if self.strip_prefix:
            return len(self.path.rstrip("/"))
        return 0

    def tls_context(self, protocol: str = "http/1.1") -> ssl.SSLContext:
        """Return the TLS context for its https upstream; raises as `upstream_context` does."""
        return upstream_context(
            self.upstream_ca_file,
            protocol,
            is_verified=self.tls_verify,
            cert_file=self.upstream_cert_file,
            key_file=self.upstream_key_file,
        )


class CaptureRuleSettings(Section, frozen=True):
    """[[capture.rules]]: what is left out; first match wins. Failed and slow ones stay."""

    query: Annotated[
        str,
        about(
            "required; a search, such as path:/healthz or ua:kube-probe*",
            min_length=1,
            max_length=4000,
        ),
    ]
    share: Annotated[
        float,
        about("of the exchanges it finds, how many are kept: 0.01 is one in a hundred", ge=0, le=1),
    ] = 1
    by: Annotated[
        Literal["record", "trace", "conversation"],
        about(
            "what is kept or left out together: each record alone, those of a trace, or those of "
            "a conversation"
        ),
    ] = "record"
    level: Annotated[
        Literal["", "usage", "headers"],
        about("of those, what is kept: headers (no bodies), usage (counts, no text); empty: all"),
    ] = ""
    slow_ms: Annotated[
        int, about("exchanges that take as long are kept whole; 0: none is slow", ge=0)
    ] = 1000


class CaptureSettings(Section, frozen=True):
    """[capture]: what is kept of an exchange."""

    level: Annotated[
        CaptureLevel,
        about(
            "none, meta, usage (also counts of LLM and tool calls, without text), headers or body"
        ),
    ] = "body"
    request_body_bytes: Annotated[
        int,
        about(
            "kept from the beginning of a request body, and 16 KiB of its end; LLM and MCP calls "
            "are read to 1 MiB",
            ge=0,
            le=64 * MIB,
        ),
    ] = 65536
    response_body_bytes: Annotated[
        int,
        about(
            "the same of a response body; of either, the larger limit is stored after decoding",
            ge=0,
            le=64 * MIB,
        ),
    ] = 65536
    max_wait_ms: Annotated[
        int,
        about(
            "longest time that a request waits for recording where records come faster than they "
            "are stored, or that stalls; 0: records are dropped instead",
            ge=0,
            le=60_000,
        ),
    ] = 100
    message_bytes: Annotated[
        int,
        about(
            "kept of each message of a WebSocket or a gRPC stream, as an event; 0: messages are "
            "not recorded",
            ge=0,
            le=MIB,
        ),
    ] = 4096
    rules: Annotated[tuple[CaptureRuleSettings, ...], about("what is left out of the log")] = ()

    @property
    def stored_body_bytes(self) -> int:
        """Return the largest stored size of a body of the route, after decoding."""
        kept = max(self.request_body_bytes, self.response_body_bytes)
        return kept + min(kept, 16 * KIB)


_Usd = Annotated[float, Meta(ge=0)]


class PriceSettings(Section, frozen=True):
    """[[llm.prices]]: prices of models, in the place of the list's; first match wins."""

    model: Annotated[
        str, about("required; name of models, * is any text: acme-*", min_length=1, max_length=256)
    ]
    provider: Annotated[str, about("only of this provider; empty: any", max_length=64)] = ""
    since: Annotated[
        str, about("day, in UTC, from which it is the price, such as 2026-03-01; empty: always")
    ] = ""
    input_usd: Annotated[_Usd, about("US dollars per million tokens of input")] = 0
    output_usd: Annotated[_Usd, about("the same of output")] = 0
    cache_read_usd: Annotated[
        _Usd | None, about("the same of input read from a cache; left out: as input")
    ] = None
    cache_write_usd: Annotated[
        _Usd | None, about("the same of input written to one; left out: as input")
    ] = None
    call_usd: Annotated[_Usd, about("US dollars per call")] = 0

    @property
    def models(self) -> re.Pattern[str]:
        """Return the pattern of the names of models that have this price."""
        return re.compile(".*".join(map(re.escape, self.model.split("*"))), re.DOTALL)

    @property
    def first_day(self) -> date:
        return date.fromisoformat(self.since or "1970-01-01")


class LlmSettings(Section, frozen=True):
    """[llm]: calls of models."""

    prices: Annotated[tuple[PriceSettings, ...], about("prices of models")] = ()
