"""Every setting, declared once: name, type, default, limits and help. TOML, environment, flags and
docs follow.

Strategy: frozen msgspec structs. The supervisor's parent loads and validates them completely
(`load`), then hands them to every process as one JSON document (`freeze`, `thaw`) through a
descriptor, so that all of them see the same settings and only one reads files. Invariant: a key
that stands here has an effect; unknown keys are errors. Units: a name's suffix (`_s` seconds,
`_ms`, `_bytes`); plain `bytes` where the name says so.
"""

from operator import attrgetter
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from proxy.process.memfd import read_document
from proxy.process.terminal import without_credentials
from proxy.settings.admin_model import AdminHostSettings as AdminHostSettings
from proxy.settings.admin_model import AdminSettings as AdminSettings
from proxy.settings.admin_model import ReplaySettings as ReplaySettings
from proxy.settings.admin_model import TokenSettings as TokenSettings
from proxy.settings.alert_model import AlertSettings
from proxy.settings.egress_model import EGRESS_ROUTE
from proxy.settings.egress_model import EgressSettings as EgressSettings
from proxy.settings.flags import FLAGS
from proxy.settings.outgoing_model import OtelSettings
from proxy.settings.redact_rules import Rule
from proxy.settings.route_model import CaptureRuleSettings as CaptureRuleSettings
from proxy.settings.route_model import CaptureSettings as CaptureSettings
from proxy.settings.route_model import HeaderSettings, LlmSettings
from proxy.settings.route_model import PriceSettings as PriceSettings
from proxy.settings.route_model import RouteSettings as RouteSettings
from proxy.settings.section import GIB, KIB, MIB, Section, about
from proxy.settings.section import CaptureLevel as CaptureLevel


class SettingsError(Exception):
    """The settings are unusable. The text has all problems, one line each, with setting and origin."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class LimitSettings(Section, frozen=True):
    """[proxy.limits]: what a request or a connection may take."""

    max_header_bytes: Annotated[
        int,
        about(
            "a request head, larger: 431; a line of it a quarter, at least 8 KiB, else 414 or "
            "431; of a response 4 times that; 0: 16 MiB",
            ge=0,
            le=16 * MIB,
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


class ProxySettings(Section, frozen=True):
    """[proxy]: the data port."""

    listen: Annotated[str, about(FLAGS["proxy.listen"].help)] = "127.0.0.1:8080"
    data_port: Annotated[bool, about(f"false: {FLAGS['proxy.data_port'].help}")] = True
    workers: Annotated[int, about(FLAGS["proxy.workers"].help, ge=0, le=64)] = 1
    upstream: Annotated[str, about(FLAGS["proxy.upstream"].help)] = ""
    source: Annotated[
        Literal["backend", "edge"],
        about("where this proxy stands, shown on records: backend or edge"),
    ] = "backend"
    stage: Annotated[str, about("deployment stage shown on records", max_length=128)] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        about(
            "the ingress or load balancer in front: addresses, CIDRs, or `private` for all "
            "private networks; its X-Forwarded-For, -Proto, -Host and Forwarded are trusted"
        ),
    ] = ()
    client_address_header: Annotated[
        str,
        about(
            "where trusted_proxies name the client, such as CF-Connecting-IP or X-Real-IP; empty, "
            "or no address in it: X-Forwarded-For"
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
    record_id_header: Annotated[str, about("response header with the record id; empty: none")] = (
        "X-Sidelog-Id"
    )
    instance: Annotated[
        str,
        about(
            "name of this sidecar; empty: random, chosen once, kept in state.json", max_length=64
        ),
    ] = ""
    limits: LimitSettings = LimitSettings()
    headers: HeaderSettings = HeaderSettings()


class StorageSettings(Section, frozen=True):
    """[storage]: where records go, and how they are batched on the way."""

    url: Annotated[str, about(FLAGS["storage.url"].help)] = "sqlite:///sidelog.db"
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
            "size of the store, a tenth more with its journal; at least 8 MiB, 0: unlimited", ge=0
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


class RedactSettings(Section, frozen=True, rename={"excepted": "except"}):
    """[redact]: beside the built-in names and rules; of names, case, - and _ are ignored."""

    headers: Annotated[tuple[str, ...], about("header names")] = ()
    query: Annotated[tuple[str, ...], about("query and form parameters")] = ()
    json_keys: Annotated[
        tuple[str, ...], about("keys of JSON, names in XML and HTML, form and multipart fields")
    ] = ()
    excepted: Annotated[
        tuple[str, ...], about('names that are not secrets, and places: "body.properties.*"')
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
            'rules that do not count, by id: "iban", "name:session"; sidelog redact list shows all'
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


PORTS = {
    "proxy.listen": "the data port",
    "egress.listen": "the port of outgoing calls",
    "admin.listen": "the admin port",
    "admin.metrics_listen": "the open metrics",
    "admin.health_listen": "the supervisor's health",
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


def redacted(settings: Settings) -> dict[str, Any]:
    """Return settings as plain values, with header values and credentials in URLs redacted."""
    shown: dict[str, Any] = msgspec.to_builtins(settings)
    for route in shown["routes"]:
        route["via"] = without_credentials(route["via"])
        route["limits"] = {
            name: limit for name, limit in route["limits"].items() if limit is not None
        }

    for owner in (shown["proxy"], *shown["routes"]):
        for name, rule in owner["headers"].items():
            if isinstance(rule, dict):
                owner["headers"][name] = dict.fromkeys(rule, "[REDACTED]")

    for token in shown["tokens"]:
        token |= {"token": "[REDACTED]"}
    for alert in shown["alerts"]:
        address = urlsplit(alert["url"])  # a webhook's path is often its secret
        alert |= {
            "url": f"{address.scheme}://{address.netloc}/[REDACTED]",
            "headers": dict.fromkeys(alert["headers"], "[REDACTED]"),
            "secret": "[REDACTED]" if alert["secret"] else "",
            "body": "[REDACTED]" if alert["body"] else "",  # some receivers read their token there
        }

    for name in ("via", "http_via"):
        shown["egress"][name] = without_credentials(shown["egress"][name])
    shown["otel"]["headers"] = dict.fromkeys(shown["otel"]["headers"], "[REDACTED]")
    for section, name in (("storage", "url"), ("otel", "endpoint")):
        shown[section][name] = without_credentials(shown[section][name])
    return shown
