"""Checks of upstreams, outgoing calls, spans and replays: not to ourselves, and valid addresses and
headers.

Standards: RFC 9110 §5.1 (field names are tokens), §5.5 (values without CR, LF, NUL).
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Final

from proxy.process.listeners import host_port
from proxy.process.tls import upstream_context
from proxy.settings.addresses import (
    UpstreamAddress,
    is_loopback,
    leads_to,
    parse_address,
    parse_upstream,
    parse_via,
)
from proxy.settings.check_headers import check_headers
from proxy.settings.model import (
    EgressSettings,
    OtelSettings,
    ReplaySettings,
    RouteSettings,
    Settings,
)
from proxy.settings.section import Problem

_EXTRA: Final = "pip install 'sidelog[egress]'"
MESSAGE_HEADERS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
    }
)
"""Headers that an OTLP request sets itself."""


def check_upstream(name: str, text: str, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield the faults of a route's upstream; `own` are our own addresses."""
    try:
        upstream = parse_upstream(text)
    except ValueError as error:
        yield f"{name}.upstream", f"{error}, got {text!r}"
        return

    if _is_own(upstream, own):
        yield f"{name}.upstream", f"is this proxy's own address, got {text!r}"


def _is_own(upstream: UpstreamAddress, own: list[tuple[str, int]]) -> bool:
    """Return whether an address leads to one of our own."""
    return any(leads_to(upstream, address) for address in own)


def check_via(name: str, text: str, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield the faults of a proxy on the way to an upstream."""
    try:
        via = parse_via(text)
    except ValueError as error:
        yield name, str(error)
        return

    if via is not None and _is_own(parse_upstream(f"http://{host_port(via.host, via.port)}"), own):
        yield name, "is this proxy's own address"


def check_upstream_tls(name: str, route: RouteSettings) -> Iterator[Problem]:
    """Yield the faults of the TLS files of a route's upstream."""
    files = {
        key: getattr(route, key)
        for key in ("upstream_ca_file", "upstream_cert_file", "upstream_key_file")
    }
    given = {key: file for key, file in files.items() if file}
    if not route.upstream.lower().startswith("https:"):
        for key, file in given.items():
            yield f"{name}.{key}", f"has no effect on an upstream that is not https, got {file!r}"
    elif route.upstream_ca_file and not route.tls_verify:
        yield (
            f"{name}.upstream_ca_file",
            f"has no effect while tls_verify is false, got {route.upstream_ca_file!r}",
        )

    if route.upstream_key_file and not route.upstream_cert_file:
        yield (
            f"{name}.upstream_key_file",
            f"has no upstream_cert_file beside it, got {route.upstream_key_file!r}",
        )

    ca_file, cert_file, key_file = files.values()
    if ca_file:
        yield from check_authorities(f"{name}.upstream_ca_file", ca_file)
    if cert_file:
        context_of = partial(
            upstream_context, "", is_verified=True, cert_file=cert_file, key_file=key_file
        )
        yield from check_usable(f"{name}.upstream_cert_file", context_of, repr(cert_file))


def check_authorities(setting: str, file: str) -> Iterator[Problem]:
    """Yield the fault of a file of authorities that may sign for a peer."""
    yield from check_usable(setting, partial(upstream_context, file, is_verified=True), repr(file))


def check_usable(setting: str, use: Callable[[], object], got: str) -> Iterator[Problem]:
    """Yield the reason for which files cannot be used. `got` names them."""
    try:
        use()
    except (OSError, ValueError) as error:
        yield setting, f"cannot be used: {reason_of(error)}, got {got}"


def reason_of(error: OSError | ValueError) -> object:
    """Return why a file cannot be used, without the numbers that errors have."""
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or error


def check_otel(settings: Settings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield the faults of [otel]; `own` are our own addresses."""
    otel = settings.otel
    if not otel.endpoint:
        return

    yield from _check_endpoint(otel, own)
    if not settings.proxy.data_port:
        yield (
            "otel.endpoint",
            "has no effect without a data port: each sidecar sends what it records itself",
        )

    yield from check_headers("otel.headers", otel.headers, MESSAGE_HEADERS, "the export")
    if not otel.signals or len(set(otel.signals)) < len(otel.signals):
        yield "otel.signals", f"expected traces, logs or both, got {list(otel.signals)}"


def _check_endpoint(otel: OtelSettings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    problem = problem_of(otel.endpoint, own)
    if problem:
        yield "otel.endpoint", problem
    elif otel.endpoint.rstrip("/").endswith(("v1/traces", "v1/logs")):
        yield "otel.endpoint", "must end before /v1/traces and /v1/logs, which are added"

    if otel.ca_file and otel.endpoint.startswith("http:"):
        yield "otel.ca_file", f"has no effect on an http endpoint, got {otel.ca_file!r}"
    elif otel.ca_file:
        yield from check_authorities("otel.ca_file", otel.ca_file)


def problem_of(url: str, own: list[tuple[str, int]], *, may_ask: bool = False) -> str:
    """Return the reason why requests cannot be sent to an address, empty if they can. `may_ask`
    allows a query.
    """
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?") if may_ask else (rest, "", "")
    is_plain = url.isprintable() and set(place).isdisjoint("?#@ ") and set(query).isdisjoint("# ")
    if scheme not in ("http", "https") or not is_plain:
        return "expected http://host:port or https://host:port, perhaps with a path; no credentials"

    try:
        receiver = parse_upstream(f"{scheme}://{place.partition('/')[0]}")
    except ValueError as error:
        return str(error)

    if _is_own(receiver, own):
        return "is this proxy's own address: it would record and send its own requests endlessly"

    return ""


def check_replay(replay: ReplaySettings) -> Iterator[Problem]:
    """Yield the faults of [replay]."""
    if replay.targets and not replay.enabled:
        yield "replay.targets", "has no effect without replay.enabled"


def check_egress(settings: Settings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield what is wrong with [egress], where `own` are our own addresses."""
    egress = settings.egress
    if not egress.listen:
        for name in egress.__struct_fields__:
            if value := getattr(egress, name):
                if isinstance(value, tuple):
                    shown = list(value)
                else:
                    shown = value
                yield f"egress.{name}", f"has no effect while egress.listen is empty, got {shown!r}"
        return

    if not settings.proxy.data_port:
        yield "egress.listen", f"has no effect without a data port, got {egress.listen!r}"
    if find_spec("cryptography") is None:
        yield "egress.listen", f"needs certificates: {_EXTRA}, got {egress.listen!r}"

    yield from _check_clients(egress)
    yield from check_via("egress.via", egress.via, own)
    yield from check_via("egress.http_via", egress.http_via, own)
    if egress.upstream_ca:
        yield from check_authorities("egress.upstream_ca", egress.upstream_ca)


def _check_clients(egress: EgressSettings) -> Iterator[Problem]:
    try:
        host, _ = parse_address(egress.listen)
    except ValueError:
        return  # reported with the ports
    if not is_loopback(host) and not egress.clients:
        yield (
            "egress.clients",
            f"must name who may use {egress.listen}, which other machines reach: a proxy that is "
            "open to all would be misused",
        )
