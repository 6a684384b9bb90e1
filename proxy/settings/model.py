"""Every setting, declared once: name, type, default, limits and help. TOML, environment, flags and
docs follow.

Strategy: frozen msgspec structs. The supervisor's parent loads and validates them completely
(`load`), then hands them to every process as one JSON document (`freeze`, `thaw`) through a
descriptor, so that all of them see the same settings and only one reads files. Invariant: a key
that stands here has an effect; unknown keys are errors. Units: a name's suffix (`_s` seconds,
`_ms`, `_bytes`); plain `bytes` where the name says so.
"""

import re
import ssl
from datetime import date
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, field

from proxy.process.memfd import read_document
from proxy.process.terminal import without_credentials
from proxy.process.tls import upstream_context
from proxy.settings import forms
from proxy.settings.flags import FLAGS
from proxy.settings.redact_rules import Rule
from proxy.settings.section import REDACTED, Section, about, hidden, hidden_path, traits_of

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CaptureLevel = Literal["none", "meta", "usage", "headers", "body"]


class SettingsError(Exception):
    """The settings are unusable. The text has all problems, one line each, with setting and origin."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


_Count = Annotated[int, Meta(ge=0)]
_Amount = Annotated[float, Meta(ge=0)]


class LimitSettings(Section, frozen=True):
    """[proxy.limits]: what a request or a connection may take."""

    max_header_bytes: Annotated[
        int,
        about(
            "size of a request head; larger: 431. A line may have a quarter of it, at least 8 "
            "KiB; longer: 414 or 431. A response head may have 4 times as much. 0: 16 MiB",
            ge=0,
            le=16 * MIB,
            form=forms.HEAD_BYTES,
        ),
    ] = 32768
    max_headers: Annotated[
        int,
        about(
            "fields of a request, more: 431; of a response 10 times that; 0: unlimited",
            ge=0,
            le=100_000,
        ),
    ] = 100
    max_body_bytes: Annotated[int, about("request body, larger: 413; 0: unlimited", ge=0)] = 0
    max_connections: Annotated[
        int,
        about(
            "open client connections per worker, more: the longest idle gives way, else 503; 0: "
            "unlimited",
            ge=0,
        ),
    ] = 10000
    max_connections_per_client: Annotated[
        int,
        about(
            "open connections per client address and worker, trusted_proxies aside, more: 503; 0: "
            "unlimited",
            ge=0,
        ),
    ] = 0
    timeout_headers_s: Annotated[
        float,
        about("time to receive a request head, from its first byte: 408; 0: no timeout", ge=0),
    ] = 10
    timeout_body_idle_s: Annotated[
        float, about("time between reads of a request body: 408; 0: no timeout", ge=0)
    ] = 30
    timeout_keep_alive_s: Annotated[
        float, about("time a client connection may be idle between requests; 0: no timeout", ge=0)
    ] = 75
    timeout_connect_s: Annotated[
        float, about("time to connect to the upstream: 504; 0: no timeout", ge=0)
    ] = 5
    timeout_first_byte_s: Annotated[
        float,
        about(
            "time until the response begins, of LLM calls 1800 s if that is longer: 504; 0: no "
            "timeout",
            ge=0,
        ),
    ] = 300
    timeout_write_stall_s: Annotated[
        float, about("time a peer may read nothing; 0: no timeout", ge=0)
    ] = 300
    timeout_upstream_idle_s: Annotated[
        float,
        about("time between reads of a response; 0: no timeout, as streams may be silent", ge=0),
    ] = 0
    upstream_keep_alive_s: Annotated[
        float,
        about(
            "time an upstream connection is kept idle; 0: not, unless the upstream announces a "
            "time",
            ge=0,
        ),
    ] = 4
    upstream_max_connections: Annotated[
        int, about("upstream connections per worker and route; 0: unlimited", ge=0)
    ] = 512
    drain_delay_s: Annotated[
        float,
        about(
            "time after SIGTERM to accept connections, not ready; 0: stop accepting at once", ge=0
        ),
    ] = 0
    drain_timeout_s: Annotated[
        float, about("time for requests in flight to finish then; 0: cut them off", ge=0)
    ] = 30

    @property
    def max_line_bytes(self) -> int:
        """Largest line of a head (nginx: four buffers of 8 KiB)."""
        head_bytes = self.max_header_bytes
        if head_bytes:
            return max(head_bytes // 4, min(head_bytes, 8 * KIB))
        return 16 * MIB


class HeaderSettings(Section, frozen=True):
    """[proxy.headers], [routes.headers]: fields set or removed on the way; a route's rules win."""

    set_request: Annotated[
        dict[str, str],
        about(
            'replaced on requests; "": removed; "env:NAME" reads the environment, here and below',
            hide=hidden,
            reads_environment=True,
        ),
    ] = field(default_factory=dict)
    set_response: Annotated[
        dict[str, str],
        about('replaced on responses; "": removed', hide=hidden, reads_environment=True),
    ] = field(default_factory=dict)


class RouteLimitSettings(Section, frozen=True):
    """[routes.limits]: limits of one route. The others are those of [proxy.limits]."""

    max_body_bytes: Annotated[_Count | None, about("request body, larger: 413")] = None
    timeout_connect_s: Annotated[_Amount | None, about("time to connect to the upstream: 504")] = (
        None
    )
    timeout_first_byte_s: Annotated[
        _Amount | None, about("time until the response begins: 504")
    ] = None
    upstream_max_connections: Annotated[_Count | None, about("upstream connections per worker")] = (
        None
    )


class ProxySettings(Section, frozen=True):
    """[proxy]: the data port."""

    listen: Annotated[str, about(FLAGS["proxy.listen"].help, form=forms.LISTEN)] = "127.0.0.1:8080"
    data_port: Annotated[bool, about(f"false: {FLAGS['proxy.data_port'].help}")] = True
    workers: Annotated[int, about(FLAGS["proxy.workers"].help, ge=0, le=64)] = 1
    upstream: Annotated[str, about(FLAGS["proxy.upstream"].help)] = ""
    source: Annotated[
        Literal["backend", "edge"],
        about("where this proxy stands, shown on records: backend or edge"),
    ] = "backend"
    stage: Annotated[
        str, about("deployment stage shown on records", max_length=128, form=forms.LINE)
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        about(
            "the ingress or load balancer in front: addresses, CIDRs, or `private` for all "
            "private networks; its X-Forwarded-For, -Proto, -Host and Forwarded are trusted",
            form=forms.NETWORK,
        ),
    ] = ()
    client_address_header: Annotated[
        str,
        about(
            "where trusted_proxies name the client, such as CF-Connecting-IP or X-Real-IP; empty, "
            "or no address in it: X-Forwarded-For",
            form=forms.HEADER,
        ),
    ] = ""
    proxy_protocol: Annotated[
        bool,
        about(
            "connections from trusted_proxies begin with a PROXY header, version 1 or 2, that "
            "names their client; others have none"
        ),
    ] = False
    tls_cert_file: Annotated[str, about("PEM certificate chain: TLS on the data port")] = ""
    tls_key_file: Annotated[str, about("PEM private key; empty: in the same file")] = ""
    http2: Annotated[
        Literal["on", "prefer", "off"],
        about(
            "HTTP/2 of clients. on: without TLS if they begin with it, over TLS if they offer "
            "nothing else; prefer: over TLS to all that offer it; off: refused"
        ),
    ] = "on"
    trace_context: Annotated[
        bool,
        about(
            "requests without a valid traceparent (W3C) get one; its trace id is the record's id"
        ),
    ] = False
    record_id_header: Annotated[
        str, about("response header with the record id; empty: none", form=forms.HEADER)
    ] = "X-Sidelog-Id"
    instance: Annotated[
        str,
        about(
            "name of this sidecar; empty: random, chosen once, kept in state.json",
            max_length=64,
            form=forms.LABEL,
        ),
    ] = ""
    limits: LimitSettings = LimitSettings()
    headers: HeaderSettings = HeaderSettings()


class StorageSettings(Section, frozen=True):
    """[storage]: where records go, and how they are batched on the way."""

    url: Annotated[str, about(FLAGS["storage.url"].help, hide=without_credentials)] = (
        "sqlite:///sidelog.db"
    )
    durability: Annotated[
        Literal["fast", "safe"], about("safe, or fast: commits are not synced to disk")
    ] = "safe"
    queue_max_bytes: Annotated[
        int,
        about(
            "size of the batches waiting for the store, at most [ring] bytes; one is at most half "
            "of it",
            ge=MIB,
            le=16 * GIB,
        ),
    ] = 16 * MIB
    batch_max_age_ms: Annotated[
        int,
        about(
            "age at which a batch is committed, however small; 1000 for more than 10 sidecars on "
            "one Postgres",
            ge=1,
            le=60_000,
        ),
    ] = 200


class RingSettings(Section, frozen=True):
    """[ring]: shared memory between a worker and the collector."""

    bytes: Annotated[int, about("size of each worker's ring", ge=MIB, le=64 * GIB)] = 64 * MIB
    directory: Annotated[
        str, about("empty: /dev/shm, or an anonymous memory file where that is too small")
    ] = ""


class RetentionSettings(Section, frozen=True):
    """[retention]: what is kept; by age whole hours go, by size the oldest records."""

    max_age_days: Annotated[float, about("age of records; 0: unlimited", ge=0, le=36500)] = 30
    body_max_age_days: Annotated[
        float,
        about(
            "age of bodies, which may be deleted before their records; 0: unlimited", ge=0, le=36500
        ),
    ] = 30
    max_bytes: Annotated[
        int,
        about(
            "size of the store, a tenth more with its journal; at least 8 MiB, 0: unlimited",
            ge=0,
            form=forms.STORE_BYTES,
        ),
    ] = 10 * GIB


KEEP_ALL = RetentionSettings(max_age_days=0, body_max_age_days=0, max_bytes=0)


class SpoolSettings(Section, frozen=True):
    """[spool]: batches on disk while the store is unavailable (durability safe)."""

    max_bytes: Annotated[
        int,
        about(
            "at least 4 MiB; segments are 16 MiB or a quarter of it, whichever is less",
            ge=4 * MIB,
            le=1024 * GIB,
        ),
    ] = GIB


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
        about(
            "share of the exchanges found that is kept: 0.01 is one in a hundred",
            ge=0,
            le=1,
            form=forms.SHARE,
        ),
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
        about("what is kept of those: headers (no bodies), usage (counts, no text); empty: all"),
    ] = ""
    slow_ms: Annotated[
        int,
        about("exchanges that take at least this long are kept whole; 0: none is slow", ge=0),
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


class PriceSettings(Section, frozen=True):
    """[[llm.prices]]: prices of models, instead of the list's; first match wins."""

    model: Annotated[
        str, about("required; name of models, * is any text: acme-*", min_length=1, max_length=256)
    ]
    provider: Annotated[str, about("only of this provider; empty: any", max_length=64)] = ""
    since: Annotated[
        str,
        about(
            "day, in UTC, from which it is the price, such as 2026-03-01; empty: always",
            form=forms.DAY,
        ),
    ] = ""
    input_usd: Annotated[_Amount, about("US dollars per million tokens of input")] = 0
    output_usd: Annotated[_Amount, about("the same of output")] = 0
    cache_read_usd: Annotated[
        _Amount | None, about("the same of input read from a cache; left out: as input")
    ] = None
    cache_write_usd: Annotated[
        _Amount | None, about("the same of input written to one; left out: as input")
    ] = None
    call_usd: Annotated[_Amount, about("US dollars per call")] = 0

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


class RedactSettings(Section, frozen=True, rename={"excepted": "except"}):
    """[redact]: added to the built-in names and rules; names ignore case, - and _."""

    headers: Annotated[tuple[str, ...], about("header names", form=forms.HEADER_NAME)] = ()
    query: Annotated[
        tuple[str, ...], about("query and form parameters", form=forms.SECRET_NAME)
    ] = ()
    json_keys: Annotated[
        tuple[str, ...],
        about(
            "keys of JSON, names in XML and HTML, form and multipart fields", form=forms.SECRET_NAME
        ),
    ] = ()
    excepted: Annotated[
        tuple[str, ...],
        about('names that are not secrets, and places: "body.properties.*"', form=forms.kept_name),
    ] = ()
    patterns: Annotated[
        bool | tuple[str, ...],
        about(
            "also what looks like a key, a token, credentials or a card's number, anywhere; a "
            "list: and what these regular expressions of RE2 match, or the first group of each"
        ),
    ] = True
    disable: Annotated[
        tuple[str, ...],
        about(
            'rules that are not applied, by id: "iban", "name:session"; sidelog redact list shows '
            "all"
        ),
    ] = ()
    rules: Annotated[tuple[Rule, ...], about("further kinds of secrets")] = ()


class LogSettings(Section, frozen=True):
    """[log]: sidelog's own log, on stderr, and a line per exchange on stdout."""

    level: Annotated[Literal["debug", "info", "warn", "error"], about(FLAGS["log.level"].help)] = (
        "info"
    )
    access: Annotated[
        Literal["off", "json", "common"],
        about("access log on stdout: json, or common (NCSA combined); redacted"),
    ] = "off"


class OtelSettings(Section, frozen=True):
    """[otel]: stored records as spans and logs, to an OpenTelemetry receiver."""

    endpoint: Annotated[
        str,
        about(
            "address of an OTLP/HTTP receiver, such as http://collector:4318, to which /v1/traces "
            "and /v1/logs are "
            'added; "env:NAME" reads the environment; empty: nothing is sent',
            hide=without_credentials,
            reads_environment=True,
        ),
    ] = ""
    headers: Annotated[
        dict[str, str],
        about(
            'sent with each request; "env:NAME" reads the environment',
            hide=hidden,
            reads_environment=True,
        ),
    ] = field(default_factory=dict)
    signals: Annotated[
        tuple[Literal["traces", "logs"], ...],
        about("traces: a span an exchange; logs: a log record a record"),
    ] = ("traces", "logs")
    compression: Annotated[
        Literal["gzip", "none"],
        about("of what is sent; none: for a receiver that does not read gzip"),
    ] = "gzip"
    ca_file: Annotated[
        str,
        about("PEM file of the authorities that may sign for the receiver; empty: the system's"),
    ] = ""


EGRESS_ROUTE: Final = "egress"
"""Id of the route that records of outgoing calls have; no route of the settings may have it."""


class EgressSettings(Section, frozen=True):
    """[egress]: a forward proxy, which records what programs ask of others."""

    listen: Annotated[
        str,
        about(
            "address of its port, host:port; clients use it as http://…; empty: off",
            form=forms.ADDRESS,
        ),
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        about(
            "hosts whose TLS is read, with a certificate that sidelog's own authority signs: "
            "names, addresses, *.example.com for names below one, * for all; others are tunnelled",
            form=forms.HOST_PATTERN,
        ),
    ] = ()
    tunnel: Annotated[
        tuple[str, ...],
        about(
            "hosts that are never read, whatever hosts says; the same forms",
            form=forms.HOST_PATTERN,
        ),
    ] = ()
    clients: Annotated[
        tuple[str, ...],
        about(
            "who may use it in addition to this machine: addresses, CIDRs, or `private` for all "
            "private "
            "networks; required where it does not listen on loopback",
            form=forms.NETWORK,
        ),
    ] = ()
    service: Annotated[
        str,
        about(
            "service name on records of outgoing calls; empty: that of the routes, if they have the "
            "same",
            max_length=256,
        ),
    ] = ""
    upstream_ca: Annotated[
        str,
        about("PEM file of authorities that may sign for hosts, in addition to the system's"),
    ] = ""
    via: Annotated[
        str,
        about(
            "proxy that tunnels to the hosts: http://[user:password@]host:port; off: none; empty: "
            "HTTPS_PROXY of the environment",
            hide=without_credentials,
        ),
    ] = ""
    """As it is in effect after `load`."""
    http_via: Annotated[
        str,
        about(
            "proxy for http:// URLs, in the same form; empty: that of via, or http_proxy of the "
            "environment",
            hide=without_credentials,
        ),
    ] = ""
    """As it is in effect after `load`."""
    no_via: Annotated[
        str,
        about(
            "hosts that are reached without these proxies, in the form of NO_PROXY; empty: "
            "NO_PROXY of the environment"
        ),
    ] = ""
    """As it is in effect after `load`."""


class AdminSettings(Section, frozen=True):
    """[admin]: the port of the API, the UI and the metrics."""

    listen: Annotated[str, about(FLAGS["admin.listen"].help, form=forms.ADDRESS)] = "127.0.0.1:8090"
    auth: Annotated[
        Literal["token", "off"], about("off is accepted only on a loopback address")
    ] = "token"
    tls_cert_file: Annotated[str, about("PEM certificate chain: TLS on the admin port")] = ""
    tls_key_file: Annotated[str, about("PEM private key; empty: in the same file")] = ""
    allowed_hosts: Annotated[
        tuple[str, ...],
        about(
            "Host names, without port, accepted beside loopback and the listen address",
            form=forms.ALLOWED_HOST,
        ),
    ] = ()
    public_url: Annotated[
        str,
        about(
            "address of the web UI as a browser reaches it, such as https://logs.example/sidelog: "
            "links in messages of alerts begin with it, its host is one of allowed_hosts, and "
            "another proxy may pass its path on or take it off, as an X-Forwarded-Prefix of "
            "[proxy] trusted_proxies says; empty: messages have no links"
        ),
    ] = ""
    max_streams_per_token: Annotated[
        int,
        about(
            "open live streams per token, and a third of those opened a minute, more: 429; 0: "
            "unlimited",
            ge=0,
        ),
    ] = 20
    metrics_listen: Annotated[
        str,
        about(
            "host:port of a further address with only /metrics, /healthz and /readyz, without "
            "token or TLS: for a Prometheus on another host",
            form=forms.ADDRESS,
        ),
    ] = ""
    health_listen: Annotated[
        str,
        about(
            "host:port of the supervisor's own /healthz and /readyz, without token or TLS: served "
            "even while the collector restarts",
            form=forms.ADDRESS,
        ),
    ] = ""


class TokenSettings(Section, frozen=True):
    """[[tokens]]: further credentials of the admin port."""

    name: Annotated[str, about("name of the token, for limits and logs", form=forms.TOKEN_NAME)]
    token: Annotated[
        str,
        about(
            'the secret, "env:NAME", "file:PATH" that holds it, or "sha256:" and its SHA-256 in '
            "hexadecimal",
            hide=hidden,
        ),
    ] = ""
    """After `load` always the last."""
    role: Annotated[
        Literal["reader", "operate", "admin"],
        about(
            "`admin` sees and changes everything; `reader` reads its scope; `operate` may also "
            "send requests again"
        ),
    ] = "reader"
    projects: Annotated[tuple[str, ...], about("projects it may see; empty: all")] = ()
    containers: Annotated[tuple[str, ...], about("containers it may see; empty: all")] = ()
    clients: Annotated[tuple[str, ...], about("clients it may see; empty: all")] = ()


class ReplaySettings(Section, frozen=True):
    """[replay]: Send again in the web UI; `sidelog replay` needs none of it."""

    enabled: Annotated[
        bool,
        about(
            "whether tokens of role `operate` or `admin` may send a recorded request again, "
            "edited or not"
        ),
    ] = False
    targets: Annotated[
        tuple[str, ...],
        about(
            "http://… and https://… where it may be sent, in addition to the upstream of its own "
            "route",
            form=forms.TARGET,
        ),
    ] = ()


class AdminHostSettings(Section, frozen=True):
    """[[admin_hosts]]: names of the admin port that carry a scope, on top of the token's."""

    name: Annotated[str, about("host name, lower case, without port", form=forms.ADMIN_HOST)]
    projects: Annotated[tuple[str, ...], about("what is shown under this name; empty: all")] = ()
    containers: Annotated[tuple[str, ...], about("what is shown under this name; empty: all")] = ()
    clients: Annotated[tuple[str, ...], about("what is shown under this name; empty: all")] = ()


_Wait = Annotated[float, Meta(ge=0, le=366 * 86_400)]


class AlertSettings(Section, frozen=True):
    """[[alerts]]: a webhook is called when a figure of the log crosses a threshold."""

    name: Annotated[
        str, about("name of the alert", min_length=1, max_length=100, form=forms.ALERT_NAME)
    ]
    url: Annotated[
        str,
        about(
            'webhook; "env:NAME" reads the environment', hide=hidden_path, reads_environment=True
        ),
    ]
    query: Annotated[str, about("search for the requests it is about; empty: all")] = ""
    figure: Annotated[
        Literal["count", "share", "p50", "p95", "p99", "change", "cost"],
        about(
            "count of requests; share of those that `of` finds; their percentile of duration in "
            "ms; change: count, as a multiple of that of the window before; cost in US dollars"
        ),
    ] = "count"
    of: Annotated[str, about("share: search for the part that is counted, such as status:5xx")] = ""
    by: Annotated[
        str,
        about(
            "field of which each value fires by itself, such as key, model, project, "
            "header.x-tenant"
        ),
    ] = ""
    window_s: Annotated[
        float,
        about("length of the period, up to now, that the figure covers", ge=10, le=366 * 86_400),
    ] = 600
    above: Annotated[_Amount | None, about("it fires above this")] = None
    below: Annotated[_Amount | None, about("it fires below this")] = None
    for_s: Annotated[
        _Wait,
        about("time that the figure must be beyond the threshold before it fires; 0: at once"),
    ] = 0
    resolve_at: Annotated[
        _Amount | None,
        about(
            "a firing alert resolves below this, or with `below` above this; left out: at the "
            "threshold"
        ),
    ] = None
    min_requests: Annotated[
        int, about("with fewer requests in the window it does not fire", ge=0)
    ] = 0
    repeat_s: Annotated[
        float, about("time after which it is sent again while it fires; 0: never", ge=0)
    ] = 0
    headers: Annotated[
        dict[str, str],
        about(
            'sent with each message, such as Authorization; "env:NAME" reads the environment',
            hide=hidden,
            reads_environment=True,
        ),
    ] = field(default_factory=dict)
    secret: Annotated[
        str,
        about(
            'signs by Standard Webhooks: "whsec_" and Base64; pagerduty: its integration key; '
            '"env:NAME" reads the '
            "environment; empty: not",
            hide=hidden,
            reads_environment=True,
        ),
    ] = ""
    format: Annotated[
        Literal["standard", "alertmanager", "slack", "discord", "teams", "ntfy", "pagerduty"],
        about(
            "payload: standard (JSON of our own), alertmanager (its API, /api/v2/alerts), slack, "
            "discord, teams (by a workflow), ntfy (a topic's address) or pagerduty (Events API "
            "v2, /v2/enqueue)"
        ),
    ] = "standard"
    body: Annotated[
        str,
        about(
            "JSON to send instead of a format; {alert}, {value}, {link} and so on stand for "
            "fields of the message; "
            '"env:NAME" reads the environment',
            hide=hidden,
            reads_environment=True,
        ),
    ] = ""


class RouteSettings(Section, frozen=True):
    """[[routes]]: first match wins, in the order written."""

    id: Annotated[
        str,
        about(
            "required; name of the route, shown on records",
            min_length=1,
            max_length=128,
            form=forms.ROUTE_ID,
        ),
    ]
    upstream: Annotated[
        str,
        about("required; http://…, https://…, with a path: put before each target; or unix:/path"),
    ]
    path: Annotated[str, about("prefix of the raw path", form=forms.PATH)] = "/"
    host: Annotated[
        str, about("only requests for this host; empty: all", form=forms.RECEIVED_HOST)
    ] = ""
    strip_prefix: Annotated[bool, about("remove `path` before forwarding")] = False
    upstream_host: Annotated[
        str,
        about(
            "Host sent upstream; empty: the client's (http, unix) or the upstream's own (https)",
            form=forms.SENT_HOST,
        ),
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
            "is anything below; endpoints of other paths are learned",
            form=forms.TEMPLATE,
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
        dict[str, _Amount],
        about("MCP: price of a successful call in US dollars, by tool"),
    ] = field(default_factory=dict)
    project_header: Annotated[
        str,
        about(
            "request header that names the project, trusted only from trusted_proxies; the "
            "project of the caller's API key takes precedence",
            form=forms.HEADER,
        ),
    ] = ""
    user_header: Annotated[
        str,
        about("request header that names the user, with the same precedence", form=forms.HEADER),
    ] = ""
    auth: Annotated[
        Literal["off", "optional", "required"],
        about("whether callers need an API key (sidelog keys): off, optional or required"),
    ] = "off"
    key_header: Annotated[
        str,
        about(
            "request header with the API key; sidelog's own keys are not forwarded",
            form=forms.HEADER,
        ),
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
            "empty: for https those of HTTPS_PROXY and NO_PROXY",
            hide=without_credentials,
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


PORTS = {
    "proxy.listen": "data port",
    "egress.listen": "port of outgoing calls",
    "admin.listen": "admin port",
    "admin.metrics_listen": "metrics port",
    "admin.health_listen": "health port",
}
_ALWAYS_OPEN = ("proxy.listen", "admin.listen")


class Settings(Section, frozen=True):
    """All settings in effect."""

    data_dir: Annotated[str, about(FLAGS["data_dir"].help, min_length=1)] = "sidelog-data"
    """Absolute after `load`."""
    proxy: ProxySettings = ProxySettings()
    egress: EgressSettings = EgressSettings()
    admin: AdminSettings = AdminSettings()
    storage: StorageSettings = StorageSettings()
    ring: RingSettings = RingSettings()
    spool: SpoolSettings = SpoolSettings()
    retention: RetentionSettings = RetentionSettings()
    capture: CaptureSettings = CaptureSettings()
    llm: LlmSettings = LlmSettings()
    redact: RedactSettings = RedactSettings()
    log: LogSettings = LogSettings()
    otel: OtelSettings = OtelSettings()
    alerts: Annotated[
        tuple[AlertSettings, ...], about("thresholds, and webhooks that are called")
    ] = ()
    replay: ReplaySettings = ReplaySettings()
    tokens: Annotated[
        tuple[TokenSettings, ...], about("further credentials of the admin port")
    ] = ()
    admin_hosts: Annotated[
        tuple[AdminHostSettings, ...], about("names of the admin port with a scope")
    ] = ()
    routes: tuple[RouteSettings, ...] = ()
    """Routes in match order; after `load` the last is `default`, a catch-all for [proxy].upstream.
    """

    @property
    def recorded_routes(self) -> tuple[RouteSettings, ...]:
        """The routes that exchanges are counted by: outgoing calls are those of the last, where
        they are on.
        """
        if not self.egress.listen:
            return self.routes
        services = {route.service for route in self.routes}
        outgoing = RouteSettings(
            id=EGRESS_ROUTE,
            upstream="http://egress.invalid",
            service=self.egress.service or (services.pop() if len(services) == 1 else ""),
            capture=self.capture.level,
        )
        return (*self.routes, outgoing)

    @property
    def listens(self) -> dict[str, str]:
        """Return the address of every port that is opened, by the name of its setting."""
        ports = {name: str(attrgetter(name)(self)) for name in PORTS}
        if not self.proxy.data_port:
            del ports["proxy.listen"]
        return {name: address for name, address in ports.items() if address or name in _ALWAYS_OPEN}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Settings)


def freeze(settings: Settings) -> bytes:
    """Serialise settings as one JSON document, secrets included: for our own processes, never for a
    log.
    """
    return _encoder.encode(settings)


def thaw(document: bytes) -> Settings:
    """Deserialise the output of `freeze`; raises `msgspec.ValidationError` for other input."""
    return _decoder.decode(document)


def read_settings(fd: int) -> Settings:
    return thaw(read_document(fd))


def redacted(section: msgspec.Struct) -> dict[str, Any]:
    """Return settings as plain values, with their secrets redacted. Settings without a value are
    left out.
    """
    values = (
        (each.encode_name, getattr(section, each.name), each.type)
        for each in msgspec.structs.fields(section)
    )
    return {name: _shown(value, kind) for name, value, kind in values if value is not None}


def _shown(value: Any, kind: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return redacted(value)
    if isinstance(value, tuple):
        return tuple(_shown(each, kind) for each in value)

    hide = traits_of(kind).hide
    if hide is None:
        return value
    if isinstance(value, dict):
        return dict.fromkeys(value, REDACTED)
    return hide(value)
