"""Every setting, declared once: name, type, default, limits and help. TOML, environment, flags and docs follow.

Strategy: frozen msgspec structs. The supervisor's parent loads and validates them completely (`load`), then hands them
to every process as one JSON document (`freeze`, `thaw`) through a descriptor, so that all of them see the same
settings and only one reads files. Invariant: a key that stands here has an effect; unknown keys are errors.
Units: a name's suffix (`_s` seconds, `_ms`, `_bytes`); plain `bytes` where the name says so. 0 switches a limit off.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from proxy.process.memfd import read_document
from proxy.settings.addresses import UpstreamAddress, parse_address, parse_upstream

__all__ = [
    "AdminHostSettings",
    "AdminSettings",
    "CaptureLevel",
    "CaptureSettings",
    "LimitSettings",
    "LogSettings",
    "ProxySettings",
    "RedactSettings",
    "RetentionSettings",
    "RingSettings",
    "RouteSettings",
    "Settings",
    "SettingsError",
    "SpoolSettings",
    "StorageSettings",
    "TailSettings",
    "TokenSettings",
    "UpstreamAddress",
    "freeze",
    "parse_address",
    "parse_upstream",
    "read_settings",
    "redacted",
    "thaw",
]

CaptureLevel = Literal["none", "meta", "headers", "body"]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class SettingsError(Exception):
    """The settings cannot be used. All problems at once, one line each, naming the setting and its origin."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections are."""


class LimitSettings(_Section, frozen=True):
    """[proxy.limits]: where a request or a connection ends; 0 = off."""

    max_header_bytes: Annotated[int, Meta(ge=0, le=16 * MIB, description="a whole head, larger: 431")] = 32768
    max_header_line_bytes: Annotated[int, Meta(ge=0, le=16 * MIB, description="one line of it: 431, or 414")] = 8192
    max_headers: Annotated[int, Meta(ge=0, le=100_000, description="fields of a head, more: 431")] = 100
    max_body_bytes: Annotated[int, Meta(ge=0, description="a request body, larger: 413")] = 0
    max_connections: Annotated[int, Meta(ge=0, description="open client connections per worker, more: 503")] = 10000
    max_connections_per_client: Annotated[int, Meta(ge=0, description="of one address per worker, more: 503")] = 0
    timeout_headers_s: Annotated[float, Meta(ge=0, description="a request head, from its first byte: 408")] = 10
    timeout_body_idle_s: Annotated[float, Meta(ge=0, description="between bytes of a request body: 408")] = 30
    timeout_keep_alive_s: Annotated[float, Meta(ge=0, description="idle client connection between requests")] = 75
    timeout_connect_s: Annotated[float, Meta(ge=0, description="opening an upstream connection: 504")] = 5
    timeout_first_byte_s: Annotated[float, Meta(ge=0, description="until the upstream's answer begins: 504")] = 300
    timeout_write_stall_s: Annotated[float, Meta(ge=0, description="a peer that takes no bytes")] = 30
    timeout_upstream_idle_s: Annotated[
        float, Meta(ge=0, description="between bytes of a response; off, because streams may be silent")
    ] = 0
    upstream_keep_alive_s: Annotated[float, Meta(ge=0, description="idle upstream connections are kept this long")] = 4
    upstream_max_connections: Annotated[int, Meta(ge=0, description="upstream connections per worker and route")] = 512
    drain_delay_s: Annotated[float, Meta(ge=0, description="not ready but still accepting, after SIGTERM")] = 0
    drain_timeout_s: Annotated[float, Meta(ge=0, description="exchanges may take this long to finish then")] = 30


class ProxySettings(_Section, frozen=True):
    """[proxy]: the data port."""

    listen: Annotated[str, Meta(description="address of the data port, host:port")] = "0.0.0.0:8080"
    workers: Annotated[int, Meta(ge=0, le=64, description="worker processes; 0 = everything in one process")] = 1
    upstream: Annotated[str, Meta(description="catch-all route `default`: http, https, or unix:/path")] = ""
    engine: Annotated[
        Literal["protocol", "reference"], Meta(description="`reference` (aiohttp) is for reading and comparison")
    ] = "protocol"
    source: Annotated[Literal["backend", "edge"], Meta(description="where this proxy stands, shown on records")] = (
        "backend"
    )
    stage: Annotated[str, Meta(max_length=128, description="deployment stage shown on records")] = ""
    trusted_proxies: Annotated[tuple[str, ...], Meta(description="CIDRs whose X-Forwarded-For is believed")] = ()
    tls_cert_file: Annotated[str, Meta(description="PEM certificate chain: TLS on the data port")] = ""
    tls_key_file: Annotated[str, Meta(description="PEM key of it; empty: in the same file")] = ""
    via: Annotated[str, Meta(description="pseudonym in Via; empty: no Via is added")] = ""
    record_id_header: Annotated[str, Meta(description="response header with the record id; empty: none")] = (
        "X-Sidelog-Id"
    )
    instance: Annotated[
        str, Meta(max_length=64, description="name of this sidecar; empty: random, made once, kept in state.json")
    ] = ""
    limits: LimitSettings = LimitSettings()


class AdminSettings(_Section, frozen=True):
    """[admin]: the port of the API, the UI and the metrics."""

    listen: Annotated[str, Meta(description="address of the admin port, host:port")] = "127.0.0.1:8090"
    auth: Annotated[Literal["token", "off"], Meta(description="`off` is accepted only on a loopback address")] = "token"
    tls_cert_file: Annotated[str, Meta(description="PEM certificate chain: TLS on the admin port")] = ""
    tls_key_file: Annotated[str, Meta(description="PEM key of it; empty: in the same file")] = ""
    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description="extra Host names beside loopback and the listen address")
    ] = ()
    fanout: Annotated[
        bool, Meta(description="snapshot cursors over all tenants for admins; LOGS_ADMIN_FANOUT=true does it too")
    ] = False
    max_streams_per_token: Annotated[int, Meta(ge=0, description="open streams of one token, more: 429; 0 = off")] = 20
    max_stream_opens_per_minute: Annotated[
        int, Meta(ge=0, description="streams one token opens within a minute, more: 429; 0 = off")
    ] = 60
    metrics_listen: Annotated[
        str, Meta(description="a further address, open and plain HTTP, with only /metrics, /healthz and /readyz")
    ] = ""
    health_listen: Annotated[
        str, Meta(description="address of the supervisor's own /healthz and /readyz, open and plain HTTP")
    ] = ""


class TailSettings(_Section, frozen=True):
    """[tail]: the live streams of the admin port."""

    ring_entries: Annotated[
        int, Meta(ge=2, le=1_000_000, description="entries kept in memory for streams; older ones come from the store")
    ] = 5000
    heartbeat_s: Annotated[float, Meta(ge=0.1, le=3600, description="a comment line this often keeps streams open")] = (
        15
    )
    cursor_ttl_s: Annotated[int, Meta(ge=1, le=86_400, description="age at which the fan-out's cursors expire")] = 900


class StorageSettings(_Section, frozen=True):
    """[storage]: where records go, and how they are batched on the way."""

    url: Annotated[
        str,
        Meta(
            description="sqlite:///FILE (relative to the data directory; four slashes: absolute), "
            "postgresql://USER:PASSWORD@HOST/DATABASE or memory:"
        ),
    ] = "sqlite:///sidelog.db"
    durability: Annotated[Literal["fast", "safe"], Meta(description="`safe` syncs each commit to disk")] = "safe"
    queue_max_bytes: Annotated[int, Meta(ge=MIB, le=16 * GIB, description="batches waiting for the store")] = 16 * MIB
    batch_max_records: Annotated[int, Meta(ge=1, le=100_000, description="records of one transaction")] = 3000
    batch_max_bytes: Annotated[int, Meta(ge=64 * KIB, le=GIB, description="bytes of one transaction")] = 8 * MIB
    batch_max_age_ms: Annotated[int, Meta(ge=1, le=60_000, description="a batch closes at this age")] = 200
    listen_url: Annotated[
        str, Meta(description="Postgres: URL of the server itself, to hear of other sidecars' commits at once")
    ] = ""


class RingSettings(_Section, frozen=True):
    """[ring]: shared memory between a worker and the collector."""

    bytes: Annotated[int, Meta(ge=MIB, le=64 * GIB, description="size of each worker's ring")] = 64 * MIB
    directory: Annotated[
        str, Meta(description="empty: /dev/shm, or an anonymous memory file where that is too small")
    ] = ""


class RetentionSettings(_Section, frozen=True):
    """[retention]: how much of the past is kept; whole hours go, the oldest first; 0 = no limit."""

    max_age_days: Annotated[float, Meta(ge=0, le=36500, description="records older than this go")] = 30
    body_max_age_days: Annotated[float, Meta(ge=0, le=36500, description="bodies may go earlier than records")] = 30
    max_bytes: Annotated[int, Meta(ge=0, description="cap of the store's size; oldest go first")] = 10 * GIB


class SpoolSettings(_Section, frozen=True):
    """[spool]: on disk, in the data directory: batches that wait for a store that is away (durability `safe`)."""

    max_bytes: Annotated[int, Meta(ge=4 * MIB, le=1024 * GIB, description="budget, made up of whole segments")] = GIB


class CaptureSettings(_Section, frozen=True):
    """[capture]: what is kept of an exchange."""

    level: Annotated[CaptureLevel, Meta(description="each level adds to the one before")] = "body"
    request_body_bytes: Annotated[int, Meta(ge=0, le=64 * MIB, description="head window of request bodies")] = 65536
    response_body_bytes: Annotated[int, Meta(ge=0, le=64 * MIB, description="head window of response bodies")] = 65536
    tail_bytes: Annotated[int, Meta(ge=0, le=64 * MIB, description="tail window: the end of a long stream")] = 16384
    llm_body_bytes: Annotated[
        int, Meta(ge=0, le=64 * MIB, description="least head window where a route names its provider")
    ] = 1 << 20
    stored_body_bytes: Annotated[int, Meta(ge=0, le=64 * MIB, description="stored per body, after decoding")] = 81920
    websocket_message_bytes: Annotated[
        int, Meta(ge=0, le=MIB, description="copied of each WebSocket message; 0 = messages are not recorded")
    ] = 4096
    opt_out_header: Annotated[
        str, Meta(description="request header whose value (none, meta, headers) lowers the level; empty: not allowed")
    ] = ""


class RedactSettings(_Section, frozen=True):
    """[redact]: names whose values are never stored, added to the built-in list; case, - and _ do not matter."""

    headers: Annotated[tuple[str, ...], Meta(description="header names")] = ()
    query: Annotated[tuple[str, ...], Meta(description="query and form parameters")] = ()
    json_keys: Annotated[tuple[str, ...], Meta(description="keys of JSON bodies, multipart and form fields")] = ()
    patterns: Annotated[bool, Meta(description="also what looks like a key, a token or credentials, anywhere")] = True


class LogSettings(_Section, frozen=True):
    """[log]: sidelog's own log, on stderr, and a line per exchange on stdout."""

    level: Annotated[Literal["debug", "info", "warn", "error"], Meta(description="least severe level shown")] = "info"
    access: Annotated[
        Literal["off", "json", "common"], Meta(description="access log on stdout: JSON lines, or NCSA combined")
    ] = "off"


class RouteSettings(_Section, frozen=True):
    """[[routes]]: first match wins, in the order written."""

    id: Annotated[str, Meta(min_length=1, max_length=128, description="name of the route, shown on records")]
    upstream: Annotated[str, Meta(description="http://host:port, https://host or unix:/path")]
    path: Annotated[str, Meta(description="prefix of the raw path")] = "/"
    host: Annotated[str, Meta(description="only requests for this host; empty: all")] = ""
    strip_prefix: Annotated[bool, Meta(description="take `path` off before forwarding")] = False
    upstream_host: Annotated[
        str,
        Meta(description="Host sent upstream; empty: the client's (http, unix) or the upstream's own name (https)"),
    ] = ""
    service: Annotated[str, Meta(max_length=256, description="serviceName on records")] = ""
    container: Annotated[str, Meta(max_length=256, description="container on records")] = ""
    project: Annotated[str, Meta(max_length=256, description="project on records")] = ""
    client: Annotated[str, Meta(max_length=256, description="client (organisation) on records")] = ""
    location: Annotated[str, Meta(max_length=256, description="region of the target, on records")] = ""
    provider: Annotated[
        Literal["auto", "openai", "anthropic", "gemini", "ollama", "mcp", "none"],
        Meta(description="what the route speaks, for models, tokens and tools; `auto`: by path and headers"),
    ] = "auto"
    tool_cost_usd: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]], Meta(description="MCP: price of a successful call, by tool")
    ] = {}
    project_header: Annotated[
        str, Meta(description="request header that names the project; believed only from trusted_proxies")
    ] = ""
    user_header: Annotated[
        str, Meta(description="request header that names the user; believed only from trusted_proxies")
    ] = ""
    auth: Annotated[Literal["off", "optional", "required"], Meta(description="whether callers need an API key")] = "off"
    key_header: Annotated[str, Meta(description="request header with the key")] = "api-key"
    scope: Annotated[str, Meta(max_length=128, description="scope a key needs here; empty: any")] = ""
    agent: Annotated[str, Meta(max_length=128, description="agent a key must be allowed to call; empty: any")] = ""
    set_request_headers: Annotated[
        dict[str, str], Meta(description='headers set on forwarded requests; "env:NAME" reads the environment')
    ] = {}
    tls_verify: Annotated[bool, Meta(description="check the certificate of an https upstream")] = True
    upstream_ca_file: Annotated[str, Meta(description="PEM file to check it against; empty: the system's")] = ""
    capture: Annotated[
        Literal["", "none", "meta", "headers", "body"], Meta(description="overrides [capture].level")
    ] = ""
    """Never empty after `load`."""


class TokenSettings(_Section, frozen=True):
    """[[tokens]]: further credentials of the admin port."""

    name: Annotated[str, Meta(description="name of the token, for limits and logs")]
    token: Annotated[str, Meta(description='the secret, or "env:NAME"')] = ""
    token_file: Annotated[str, Meta(description="file that holds the secret")] = ""
    sha256: Annotated[str, Meta(description="SHA-256 of the secret in hexadecimal")] = ""
    """Always set after `load`, the other two never."""
    role: Annotated[
        Literal["reader", "admin"], Meta(description="`admin` sees and changes everything; `reader` reads its scope")
    ] = "reader"
    projects: Annotated[tuple[str, ...], Meta(description="what it may see; empty: all")] = ()
    containers: Annotated[tuple[str, ...], Meta(description="what it may see; empty: all")] = ()
    clients: Annotated[tuple[str, ...], Meta(description="what it may see; empty: all")] = ()


class AdminHostSettings(_Section, frozen=True):
    """[[admin_hosts]]: names of the admin port that carry a scope, on top of the token's."""

    name: Annotated[str, Meta(description="host name, lower case, without port")]
    projects: Annotated[tuple[str, ...], Meta(description="what is shown under this name; empty: all")] = ()
    containers: Annotated[tuple[str, ...], Meta(description="what is shown under this name; empty: all")] = ()
    clients: Annotated[tuple[str, ...], Meta(description="what is shown under this name; empty: all")] = ()


_ALWAYS_OPEN = ("proxy.listen", "admin.listen")


class Settings(_Section, frozen=True):
    """Everything, as it is in effect."""

    data_dir: Annotated[str, Meta(min_length=1, description="where everything that lasts is kept")] = "sidelog-data"
    """Absolute after `load`."""
    proxy: ProxySettings = ProxySettings()
    admin: AdminSettings = AdminSettings()
    storage: StorageSettings = StorageSettings()
    tail: TailSettings = TailSettings()
    ring: RingSettings = RingSettings()
    spool: SpoolSettings = SpoolSettings()
    retention: RetentionSettings = RetentionSettings()
    capture: CaptureSettings = CaptureSettings()
    redact: RedactSettings = RedactSettings()
    log: LogSettings = LogSettings()
    tokens: Annotated[tuple[TokenSettings, ...], Meta(description="further credentials of the admin port")] = ()
    admin_hosts: Annotated[tuple[AdminHostSettings, ...], Meta(description="names of the admin port with a scope")] = ()
    routes: tuple[RouteSettings, ...] = ()
    """In match order; after `load` with [proxy].upstream as the last, catch-all route `default`."""

    @property
    def listens(self) -> dict[str, str]:
        """Setting → address, of every port that is opened."""
        ports = {
            "proxy.listen": self.proxy.listen,
            "admin.listen": self.admin.listen,
            "admin.metrics_listen": self.admin.metrics_listen,
            "admin.health_listen": self.admin.health_listen,
        }
        return {name: address for name, address in ports.items() if address or name in _ALWAYS_OPEN}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Settings)


def freeze(settings: Settings) -> bytes:
    """Write settings as one JSON document, secrets included: for our own processes, never for a log."""
    return _encoder.encode(settings)


def thaw(document: bytes) -> Settings:
    """Read what `freeze` wrote; raises `msgspec.ValidationError` for anything else."""
    return _decoder.decode(document)


def read_settings(fd: int) -> Settings:
    """Thaw the settings behind an inherited descriptor."""
    return thaw(read_document(fd))


def redacted(settings: Settings) -> dict[str, Any]:
    """Show settings as plain values without secrets: header values and the password of the storage URL."""
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    for route in shown["routes"]:
        route["set_request_headers"] = dict.fromkeys(route["set_request_headers"], "[REDACTED]")
    for token in shown["tokens"]:
        token["sha256"] = "[REDACTED]"
    for name in ("url", "listen_url"):
        shown["storage"][name] = _without_password(shown["storage"][name])
    return shown


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not separator or not at:
        return url
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user}{':[REDACTED]' if colon else ''}@{place}"
