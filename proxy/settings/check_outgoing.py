"""What requests, spans, alerts and replays may not be: sent to ourselves, over what is no address or header.

Standards: RFC 9110 §5.1 (field names are tokens), §5.5 (values without CR, LF, NUL).
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from proxy.process.tls import upstream_context
from proxy.settings.addresses import leads_to, parse_upstream, parse_via
from proxy.settings.check_headers import CONTROLS, TOKEN
from proxy.settings.model import ReplaySettings, RouteSettings, Settings
from proxy.settings.outgoing_model import AlertSettings, OtelSettings
from storage.aggregates import TOP_FIELDS
from storage.search.cell import is_cell_field
from storage.search.language.errors import SearchError
from storage.search.language.parser import parse_search

Problem = tuple[str, str]

_OWN_HEADERS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)
"""What a request of OTLP says of itself."""


def check_upstream(name: str, text: str, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield what is wrong with the upstream of a route, where `own` are our own addresses."""
    try:
        upstream = parse_upstream(text)
    except ValueError as error:
        yield f"{name}.upstream", f"{error}, got {text!r}"
        return
    if any(leads_to(upstream, address) for address in own):
        yield f"{name}.upstream", f"is this proxy's own address, got {text!r}"


def check_via(name: str, text: str, own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield what is wrong with the proxy that tunnels to a route's upstream."""
    try:
        via = parse_via(text)
    except ValueError as error:
        yield f"{name}.via", str(error)
        return
    if via is not None and any(leads_to(parse_upstream(f"http://{via.host}:{via.port}"), address) for address in own):
        yield f"{name}.via", "is this proxy's own address"


def check_upstream_tls(name: str, route: RouteSettings) -> Iterator[Problem]:
    """Yield what is wrong with the files of a route's upstream connections."""
    files = {key: getattr(route, key) for key in ("upstream_ca_file", "upstream_cert_file", "upstream_key_file")}
    given = {key: file for key, file in files.items() if file}
    if not route.upstream.lower().startswith("https:"):
        for key, file in given.items():
            yield f"{name}.{key}", f"has no effect on an upstream that is not https, got {file!r}"
    elif route.upstream_ca_file and not route.tls_verify:
        yield f"{name}.upstream_ca_file", f"has no effect while tls_verify is false, got {route.upstream_ca_file!r}"
    if route.upstream_key_file and not route.upstream_cert_file:
        yield f"{name}.upstream_key_file", f"has no upstream_cert_file beside it, got {route.upstream_key_file!r}"
    ca_file, cert_file, key_file = files.values()
    for key, used in (("upstream_ca_file", (ca_file, "", "")), ("upstream_cert_file", ("", cert_file, key_file))):
        try:
            if files[key]:
                upstream_context(used[0], is_verified=True, cert_file=used[1], key_file=used[2])
        except (OSError, ValueError) as error:
            yield f"{name}.{key}", f"cannot be used: {getattr(error, 'strerror', None) or error}, got {files[key]!r}"


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
    problem = _problem_of(otel.endpoint, own)
    if problem:
        yield "otel.endpoint", problem
    elif otel.endpoint.rstrip("/").endswith(("v1/traces", "v1/logs")):
        yield "otel.endpoint", "must end before /v1/traces and /v1/logs, which are added"
    if otel.ca_file and otel.endpoint.startswith("http:"):
        yield "otel.ca_file", f"has no effect on an http endpoint, got {otel.ca_file!r}"
    elif otel.ca_file:
        try:
            upstream_context(otel.ca_file, is_verified=True)
        except (OSError, ValueError) as error:
            yield "otel.ca_file", f"cannot be used: {getattr(error, 'strerror', None) or error}, got {otel.ca_file!r}"


def _problem_of(url: str, own: list[tuple[str, int]]) -> str:
    """Return why nothing can be sent to an address; empty if it can."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or any(mark in rest for mark in "?#@ "):
        return "expected http://host:port or https://host:port, perhaps with a path; no credentials"
    try:
        receiver = parse_upstream(f"{scheme}://{rest.partition('/')[0]}")
    except ValueError as error:
        return str(error)
    is_own = any(leads_to(receiver, address) for address in own)
    return "is this proxy's own address: it would record and send its own requests endlessly" if is_own else ""


def check_alerts(alerts: tuple[AlertSettings, ...], own: list[tuple[str, int]]) -> Iterator[Problem]:
    """Yield what is wrong with [[alerts]]."""
    names: set[str] = set()
    for index, alert in enumerate(alerts):
        for setting, text in _check_alert(alert, own):
            yield f"alerts[{index}].{setting}", text
        if alert.name in names:
            yield f"alerts[{index}].name", f"is given twice, got {alert.name!r}"
        names.add(alert.name)


def _check_alert(alert: AlertSettings, own: list[tuple[str, int]]) -> Iterator[Problem]:
    if not alert.name.isprintable() or "/" in alert.name:
        yield "name", f"expected printable characters and no slash, got {alert.name!r}"
    for setting, text in (("query", alert.query), ("of", alert.of)):
        try:
            parse_search(text, 0)
        except SearchError as error:
            yield setting, str(error)
    if bool(alert.of) != (alert.figure == "share"):
        need = "expected the search whose share is taken, such as 'status:5xx', got ''"
        yield "of", f"goes with figure = 'share' alone, got figure = {alert.figure!r}" if alert.of else need
    yield from _check_threshold(alert)
    if alert.by and alert.by not in TOP_FIELDS and not is_cell_field(alert.by):
        yield "by", f"expected one of {', '.join(TOP_FIELDS)}, a header or a place in bodies, got {alert.by!r}"
    if alert.by and alert.below is not None:
        yield "by", "cannot be with `below`: values without a request are not known"
    if problem := _problem_of(alert.url, own):
        yield "url", problem
    try:
        secret_of(alert.secret)
    except ValueError as error:
        yield "secret", str(error)


def _check_threshold(alert: AlertSettings) -> Iterator[Problem]:
    if (alert.above is None) == (alert.below is None):
        yield "above", "expected either above or below"
    elif alert.figure == "share" and (alert.above or 0) >= 1:
        yield "above", f"is never reached: a share is from 0 to 1, got {alert.above:g}"
    elif alert.below == 0:
        yield "below", "is never reached: no figure is below 0"


def secret_of(text: str) -> bytes:
    """Return the key that signs, empty for none.

    Raises:
        ValueError: it is none.
    """
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("expected Base64 behind whsec_") from error
    if text and not 24 <= len(key) <= 64:
        raise ValueError(f"expected a key of 24 to 64 bytes, got {len(key)}")
    return key


def check_replay(replay: ReplaySettings) -> Iterator[Problem]:
    """Yield what is wrong with [replay]."""
    for target in replay.targets:
        try:
            address = parse_upstream(target)
            if address.scheme == "unix":
                yield "replay.targets", f"expected http://… or https://…, got {target!r}"
            if address.base_path:
                yield "replay.targets", f"expected scheme, host and port without a path, got {target!r}"
        except ValueError as error:
            yield "replay.targets", f"{error}, got {target!r}"
    if replay.targets and not replay.enabled:
        yield "replay.targets", "has no effect without replay.enabled"
