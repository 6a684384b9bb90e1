"""What the export to OpenTelemetry may not be: sent to ourselves, over an address or with headers that cannot be.

Standards: RFC 9110 §5.1 (field names are tokens), §5.5 (values without CR, LF, NUL).
"""

from collections.abc import Iterator
from typing import Final

from proxy.process.tls import upstream_context
from proxy.settings.addresses import leads_to, parse_upstream
from proxy.settings.check_headers import CONTROLS, TOKEN
from proxy.settings.model import Settings
from proxy.settings.otel_model import OtelSettings

Problem = tuple[str, str]

_OWN_HEADERS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)
"""What a request of OTLP says of itself."""


def check_otel(settings: Settings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield what is wrong with [otel], where `own` are our own addresses."""
    otel = settings.otel
    if not otel.endpoint:
        return
    yield from _check_endpoint(otel, own)
    if not settings.proxy.data_port:
        yield "otel.endpoint", "has no effect without a data port: each sidecar sends what it records itself"
    for name, value in otel.headers.items():
        if not TOKEN.match(name):
            yield "otel.headers", f"expected header names, got {name!r}"
        elif name.lower() in _OWN_HEADERS:
            yield "otel.headers", f"{name} belongs to the export and cannot be changed"
        elif CONTROLS.search(value):
            yield "otel.headers", f"the value of {name!r} must not hold CR, LF or NUL"
    if not otel.signals or len(set(otel.signals)) < len(otel.signals):
        yield "otel.signals", f"expected traces, logs or both, got {list(otel.signals)}"


def _check_endpoint(otel: OtelSettings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    scheme, _, rest = otel.endpoint.partition("://")
    authority, _, path = rest.partition("/")
    if scheme not in ("http", "https") or any(mark in rest for mark in "?#@ "):
        yield "otel.endpoint", "expected http://host:port or https://host:port, perhaps with a path; no credentials"
        return
    if path.rstrip("/").endswith(("v1/traces", "v1/logs")):
        yield "otel.endpoint", "must end before /v1/traces and /v1/logs, which are added"
    try:
        receiver = parse_upstream(f"{scheme}://{authority}")
    except ValueError as error:
        yield "otel.endpoint", str(error)
        return
    if any(leads_to(receiver, address) for address in own):
        yield "otel.endpoint", "is this proxy's own address: it would record and send its own requests endlessly"
    if otel.ca_file and scheme == "http":
        yield "otel.ca_file", f"has no effect on an http endpoint, got {otel.ca_file!r}"
    elif otel.ca_file:
        try:
            upstream_context(otel.ca_file, is_verified=True)
        except (OSError, ValueError) as error:
            yield "otel.ca_file", f"cannot be used: {getattr(error, 'strerror', None) or error}, got {otel.ca_file!r}"
