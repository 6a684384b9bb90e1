"""The settings of a route, declared: part of `model.py`."""

from typing import Annotated, Literal

from msgspec import Meta, field

from proxy.settings.section import Section, about

_Count = Annotated[int, Meta(ge=0)]
_Seconds = Annotated[float, Meta(ge=0)]


class RouteLimitSettings(Section, frozen=True):
    """[routes.limits]: what differs on this route from [proxy.limits]; what is left out does not."""

    max_body_bytes: Annotated[_Count | None, about("request body, larger: 413")] = None
    timeout_connect_s: Annotated[_Seconds | None, about("time to connect to the upstream: 504")] = None
    timeout_first_byte_s: Annotated[_Seconds | None, about("time until the response begins: 504")] = None
    timeout_upstream_idle_s: Annotated[_Seconds | None, about("time between reads of a response")] = None
    upstream_keep_alive_s: Annotated[_Seconds | None, about("time an upstream connection is kept idle")] = None
    upstream_max_connections: Annotated[_Count | None, about("upstream connections per worker")] = None


class HeaderSettings(Section, frozen=True):
    """[proxy.headers], [routes.headers]: fields set or removed on the way; a route's rules win."""

    set_request: Annotated[
        dict[str, str], about('replaced on requests; "": removed; "env:NAME" reads the environment, here and below')
    ] = field(default_factory=dict)
    set_response: Annotated[dict[str, str], about('replaced on responses; "": removed')] = field(default_factory=dict)


class RouteSettings(Section, frozen=True):
    """[[routes]]: first match wins, in the order written."""

    id: Annotated[str, about("required; name of the route, shown on records", min_length=1, max_length=128)]
    upstream: Annotated[str, about("required; http://…, https://… or unix:/path")]
    path: Annotated[str, about("prefix of the raw path")] = "/"
    host: Annotated[str, about("only requests for this host; empty: all")] = ""
    strip_prefix: Annotated[bool, about("remove `path` before forwarding")] = False
    upstream_host: Annotated[
        str, about("Host sent upstream; empty: the client's (http, unix) or the upstream's own (https)")
    ] = ""
    service: Annotated[str, about("service name on records; empty: in OpenTelemetry sidelog", max_length=256)] = ""
    container: Annotated[str, about("container on records", max_length=256)] = ""
    project: Annotated[str, about("project on records", max_length=256)] = ""
    client: Annotated[str, about("client (organisation) on records", max_length=256)] = ""
    provider: Annotated[
        Literal["auto", "openai", "anthropic", "gemini", "ollama", "bedrock", "cohere", "llama.cpp", "mcp", "none"],
        about("openai, anthropic, gemini, ollama, bedrock, cohere, llama.cpp, mcp or none; auto: by path and headers"),
    ] = "auto"
    endpoints: Annotated[
        tuple[str, ...],
        about(
            "templates of paths, such as /users/{name}, that endpoints are named by; * at the end is anything below; "
            "endpoints of other paths are learned"
        ),
    ] = ()
    """With those of `openapi` after `load`."""
    openapi: Annotated[
        str, about("OpenAPI description of the service (JSON or YAML), whose paths are such templates too")
    ] = ""
    protobuf: Annotated[
        str, about("schema of a gRPC service, from protoc --descriptor_set_out or sidelog grpc reflect")
    ] = ""
    tool_cost_usd: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]], about("MCP: price of a successful call in US dollars, by tool")
    ] = field(default_factory=dict)
    project_header: Annotated[
        str,
        about(
            "request header that names the project, trusted only from trusted_proxies; the "
            "project of the caller's API key takes precedence"
        ),
    ] = ""
    user_header: Annotated[str, about("request header that names the user, with the same precedence")] = ""
    auth: Annotated[
        Literal["off", "optional", "required"],
        about("whether callers need an API key (sidelog keys): off, optional or required"),
    ] = "off"
    key_header: Annotated[str, about("request header with the API key; sidelog's own keys are not forwarded")] = (
        "api-key"
    )
    scope: Annotated[str, about("scope the key needs; empty: any", max_length=128)] = ""
    agent: Annotated[str, about("agent the key must be allowed to call; empty: any", max_length=128)] = ""
    upstream_protocol: Annotated[
        Literal["auto", "http1", "http2"],
        about(
            "spoken to the upstream. auto: HTTP/2 for gRPC, HTTP/1.1 for all else; http1: HTTP/1.1, gRPC is refused; "
            "http2: HTTP/2 for all but WebSockets"
        ),
    ] = "auto"
    tls_verify: Annotated[bool, about("check the certificate of an https upstream")] = True
    upstream_ca_file: Annotated[str, about("PEM file to check it against; empty: the system's")] = ""
    capture: Annotated[Literal["", "none", "meta", "usage", "headers", "body"], about("overrides [capture].level")] = ""
    """Never empty after `load`."""
    limits: RouteLimitSettings = RouteLimitSettings()
    headers: HeaderSettings = HeaderSettings()
