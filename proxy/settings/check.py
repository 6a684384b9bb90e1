"""Checks that types cannot express: addresses, header syntax, contradictions.

Pure generators yield (setting, fault) for complete settings; the loader adds the setting's origin.
They look outside only to see whether named files can be used and whether the storage URL has a
backend. Standards: RFC 9110 §5.1 (field names are tokens), §5.5 (values without CR, LF, NUL), §7.2
(Host).
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from proxy.process.tls import server_context
from proxy.settings.addresses import is_loopback, parse_address, parse_listen
from proxy.settings.check_alerts import check_alerts
from proxy.settings.check_egress import check_egress
from proxy.settings.check_headers import OWN_HEADERS, TOKEN, check_header_rules
from proxy.settings.check_outgoing import (
    check_otel,
    check_replay,
    check_upstream,
    check_upstream_tls,
    check_via,
    problem_of,
)
from proxy.settings.check_redact import check_redact
from proxy.settings.model import EGRESS_ROUTE, PORTS, PriceSettings, RouteSettings, Settings
from proxy.settings.templates import MAX_TEMPLATES, is_template
from proxy.settings.tokens import check_tokens
from storage.backends import check_url
from storage.search.language.errors import SearchError
from storage.search.language.parser import parse_search

Problem = tuple[str, str]

_HOST_VALUE: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?\Z")
_PATH: Final = re.compile(r"/[!-\"$->@-~]*\Z")  # visible ASCII without # and ?
_BASE_PATH: Final = re.compile(r"(?!/(?:api|ui|v1)/?\Z)(?:/(?!\.)[A-Za-z0-9._~-]+){0,16}/?\Z")
_INSTANCE: Final = re.compile(r"[A-Za-z0-9._-]*\Z")

_READ_HEADERS: Final = frozenset(
    {"cookie", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"}
)
"""Further fields that the proxy reads or writes itself: they cannot carry a key, a project or a
user.
"""

MIN_CAP_BYTES: Final = 8 * 1024 * 1024
"""Smallest size cap: a store needs about this much for its own tables, its indexes and its newest
records.
"""

NO_EFFECT: Final = "has no effect"
"""Fault of a setting that depends on another one."""
NO_UPSTREAM: Final = "no upstream configured: use --upstream URL or add [[routes]]"
MAX_RULES: Final = 64
"""Largest number of rules: each one is tried on every record that the earlier ones did not match.
"""
MIN_SHARE: Final = 0.000001
"""Smallest share, since weights are kept to a millionth."""
_SECRET: Final = re.compile("authoriz|auth$|auth-|key|token|secret|cookie", re.IGNORECASE)
"""Names of headers that carry credentials."""
_READ: Final = dict.fromkeys(PORTS, parse_address) | {"proxy.listen": parse_listen}
_LEAST_BYTES: Final = 256
"""Smallest limit on heads; a lower one would refuse every request."""


def check(settings: Settings) -> Iterator[Problem]:
    """Check the settings against each other, and yield all faults as (dotted setting, reason)."""
    yield from _check_listeners(settings)
    yield from _check_proxy(settings)
    yield from _check_front(settings)
    yield from _check_tls("proxy", settings.proxy.tls_cert_file, settings.proxy.tls_key_file)
    yield from _check_tls("admin", settings.admin.tls_cert_file, settings.admin.tls_key_file)
    yield from _check_names(settings)
    yield from check_redact(settings.redact)
    yield from _check_storage(settings)
    yield from check_tokens(settings)
    yield from _check_sizes(settings)
    yield from _check_rules(settings)
    yield from _check_prices(settings)
    if not settings.routes and settings.proxy.data_port and not settings.egress.listen:
        yield "routes", NO_UPSTREAM
    if settings.storage.url.startswith("memory") and not settings.proxy.data_port:
        yield (
            "proxy.data_port",
            "must be true with a store in memory, which no other process can write",
        )

    yield from _check_route_ids(settings)
    yield from _check_reach(settings)
    own = [address for _, address in _listeners(settings)]
    yield from check_egress(settings, own)
    yield from check_otel(settings, own)
    yield from check_alerts(settings.alerts, own)
    yield from check_replay(settings.replay)

    for name, route in _named_routes(settings):
        yield from _check_route(name, route, makes_traces=settings.proxy.trace_context)
        yield from check_upstream(name, route.upstream, own)
        yield from check_via(f"{name}.via", route.via, own)


def warnings(settings: Settings) -> Iterator[Problem]:
    """Yield settings that are valid but hardly intended: prices without a call, or our key for all
    clients.
    """
    yield from _unreached_prices(settings.llm.prices)
    is_open = settings.proxy.data_port and not is_loopback(parse_listen(settings.proxy.listen)[0])
    for name, route in _named_routes(settings):
        rules = settings.proxy.headers.set_request | route.headers.set_request
        secret = next(
            (header for header, value in rules.items() if value and _SECRET.search(header)), None
        )
        if is_open and secret is not None and route.auth != "required":
            yield (
                f"{name}.auth",
                f"is {route.auth!r}: every client of {settings.proxy.listen} uses the {secret} "
                "set on requests; "
                'set auth = "required", or listen on 127.0.0.1',
            )


def _listeners(settings: Settings) -> Iterator[tuple[str, tuple[str, int]]]:
    for name, text in settings.listens.items():
        try:
            yield name, _READ[name](text)
        except ValueError:
            continue


def _check_listeners(settings: Settings) -> Iterator[Problem]:
    good = dict(_listeners(settings))
    owners: dict[tuple[str, int], str] = {}
    for name, text in settings.listens.items():
        if name not in good:
            try:
                _READ[name](text)
            except ValueError as error:
                yield name, f"{error}, got {text!r}"
        elif good[name][1] and good[name] in owners:
            yield name, f"is the address of {owners[good[name]]} too, got {text!r}"
        else:
            owners[good[name]] = PORTS[name]

    admin = good.get("admin.listen")
    if admin and settings.admin.auth == "off" and not is_loopback(admin[0]):
        yield (
            "admin.auth",
            "`off` is accepted only on a loopback address, admin.listen is "
            f"{settings.admin.listen!r}",
        )


def _check_proxy(settings: Settings) -> Iterator[Problem]:
    for text in settings.proxy.trusted_proxies:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            yield "proxy.trusted_proxies", f"expected an address, a CIDR or `private`, got {text!r}"

    if settings.proxy.proxy_protocol and not settings.proxy.trusted_proxies:
        yield (
            "proxy.proxy_protocol",
            "has no effect without trusted_proxies, whose connections begin with the header",
        )

    for name in ("record_id_header", "client_address_header"):
        text = getattr(settings.proxy, name)
        if text and not TOKEN.match(text):
            yield f"proxy.{name}", f"expected a token (letters, digits, hyphens), got {text!r}"

    if settings.proxy.record_id_header.lower() in OWN_HEADERS:
        yield (
            "proxy.record_id_header",
            f"{settings.proxy.record_id_header} has another meaning to the proxy",
        )

    yield from check_header_rules(
        "proxy",
        settings.proxy.headers,
        makes_traces=settings.proxy.trace_context,
        record_id_header=settings.proxy.record_id_header,
    )
    if not _INSTANCE.match(settings.proxy.instance):
        yield (
            "proxy.instance",
            f"expected letters, digits, `.`, `_` and `-`, got {settings.proxy.instance!r}",
        )

    if any(character in settings.proxy.stage for character in "\r\n\0"):
        yield "proxy.stage", f"must not hold CR, LF or NUL, got {settings.proxy.stage!r}"


def _check_front(settings: Settings) -> Iterator[Problem]:
    header = settings.proxy.client_address_header
    if header.lower() in OWN_HEADERS | _READ_HEADERS | {"forwarded"}:
        yield "proxy.client_address_header", f"{header} has another meaning to the proxy"
    elif header and not settings.proxy.trusted_proxies:
        yield (
            "proxy.client_address_header",
            f"has no effect without trusted_proxies, got {header!r}",
        )

    public_url = settings.admin.public_url
    if public_url and (problem := problem_of(public_url, [])):
        yield "admin.public_url", f"{problem}, got {public_url!r}"
    elif not _BASE_PATH.match(urlsplit(public_url).path):
        yield (
            "admin.public_url",
            f"expected a path such as /sidelog, and not one of ours, got {public_url!r}",
        )


def _check_tls(section: str, cert_file: str, key_file: str) -> Iterator[Problem]:
    if key_file and not cert_file:
        yield f"{section}.tls_key_file", f"has no tls_cert_file beside it, got {key_file!r}"
    try:
        server_context(cert_file, key_file)
    except (OSError, ValueError) as error:
        beside = f" with key {key_file!r}" if key_file else ""
        yield (
            f"{section}.tls_cert_file",
            f"cannot be used: {_reason(error)}, got {cert_file!r}{beside}",
        )


def _reason(error: OSError | ValueError) -> object:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or error


def _check_names(settings: Settings) -> Iterator[Problem]:
    for text in settings.admin.allowed_hosts:
        found = _HOST_VALUE.match(text)
        if found is None:
            yield "admin.allowed_hosts", f"expected a host name, got {text!r}"
        elif found[1]:
            yield (
                "admin.allowed_hosts",
                f"expected a host without a port: it is accepted with any, got {text!r}",
            )


def _check_storage(settings: Settings) -> Iterator[Problem]:
    try:
        check_url(settings.storage.url)
    except ValueError as error:
        yield "storage.url", str(error)

    if 0 < settings.retention.max_bytes < MIN_CAP_BYTES:
        yield (
            "retention.max_bytes",
            f"must be 0 or at least {MIN_CAP_BYTES} bytes, got {settings.retention.max_bytes}",
        )


def _check_rules(settings: Settings) -> Iterator[Problem]:
    if len(settings.capture.rules) > MAX_RULES:
        yield (
            "capture.rules",
            f"expected at most {MAX_RULES} rules, got {len(settings.capture.rules)}",
        )

    for index, rule in enumerate(settings.capture.rules):
        try:
            if parse_search(rule.query, 0) is None:
                yield f"capture.rules[{index}].query", f"expected a search, got {rule.query!r}"
        except SearchError as error:
            yield f"capture.rules[{index}].query", f"cannot be read, {error}"

        if 0 < rule.share < MIN_SHARE:
            yield (
                f"capture.rules[{index}].share",
                f"expected 0, or {MIN_SHARE} at least, got {rule.share}",
            )

        if rule.by != "record" and rule.share in (0, 1):
            yield (
                f"capture.rules[{index}].by",
                "has no effect unless a share is kept: share = 0.1 is one in ten",
            )

        if rule.share == 1 and not rule.level:
            yield (
                f"capture.rules[{index}]",
                "has no effect without share or level: share = 0 leaves all of it out",
            )


def _check_prices(settings: Settings) -> Iterator[Problem]:
    for index, price in enumerate(settings.llm.prices):
        try:
            _ = price.first_day
        except ValueError:
            yield (
                f"llm.prices[{index}].since",
                f"expected a day such as 2026-03-01, got {price.since!r}",
            )


def _unreached_prices(prices: Sequence[PriceSettings]) -> Iterator[Problem]:
    for index, price in enumerate(prices):
        for number, earlier in enumerate(prices[:index]):
            is_same = earlier.models.fullmatch(price.model) and earlier.provider in (
                "",
                price.provider,
            )
            if is_same and earlier.first_day <= price.first_day:
                reason = (
                    f"is never used: llm.prices[{number}] is tried first and takes all its calls; "
                    "put it in front"
                )
                yield f"llm.prices[{index}]", f"{reason}, got {price.model!r}"
                break


def _check_sizes(settings: Settings) -> Iterator[Problem]:
    limits = settings.proxy.limits
    capture = settings.capture
    if 0 < limits.max_header_bytes < _LEAST_BYTES:
        yield (
            "proxy.limits.max_header_bytes",
            f"expected 0 or at least {_LEAST_BYTES} bytes, got {limits.max_header_bytes}",
        )

    windows = capture.request_body_bytes + capture.response_body_bytes
    if windows > settings.ring.bytes // 2:
        yield (
            "ring.bytes",
            f"the windows of one exchange ({windows} bytes) may fill half a ring, got "
            f"{settings.ring.bytes}",
        )

    directory = settings.ring.directory
    if directory and not os.path.isdir(directory):
        yield "ring.directory", f"is not a directory, got {directory!r}"


def _named_routes(settings: Settings) -> Iterator[tuple[str, RouteSettings]]:
    last = len(settings.routes) - 1
    for index, route in enumerate(settings.routes):
        is_default = bool(settings.proxy.upstream) and index == last
        yield "proxy" if is_default else f"routes[{index}]", route


def _check_route_ids(settings: Settings) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name, route in _named_routes(settings):
        if route.id in seen:
            if name != "proxy":
                what = f"is the id of {seen[route.id]} too"
            else:
                what = f"makes the route `default`, as {seen[route.id]} is"
            yield f"{name}.id" if name != "proxy" else "proxy.upstream", f"{what}, got {route.id!r}"

        seen.setdefault(route.id, name)
        if route.id == EGRESS_ROUTE:
            yield f"{name}.id", f"is the id of outgoing calls ([egress]), got {route.id!r}"
        if not route.id.isprintable() or route.id != route.id.strip():
            yield (
                f"{name}.id",
                f"expected printable text without blanks around it, got {route.id!r}",
            )


def _check_reach(settings: Settings) -> Iterator[Problem]:
    """Yield routes that no request reaches, because an earlier one matches first."""
    before: list[tuple[str, RouteSettings]] = []
    for name, route in _named_routes(settings):
        taker = next((other for other, earlier in before if _takes_all_of(earlier, route)), None)
        if taker is not None and name == "proxy":
            yield (
                "proxy.upstream",
                f"gets no request: {taker} takes them all, got {route.upstream!r}",
            )
        elif taker is not None:
            yield (
                f"{name}.path",
                f"gets no request: {taker} is tried first and takes them all, got {route.path!r}",
            )

        before.append((name, route))


def _takes_all_of(earlier: RouteSettings, later: RouteSettings) -> bool:
    return later.path.startswith(earlier.path) and earlier.host.lower() in ("", later.host.lower())


def _check_route(name: str, route: RouteSettings, *, makes_traces: bool) -> Iterator[Problem]:
    if not _PATH.match(route.path):
        yield (
            f"{name}.path",
            f"expected a raw path that begins with /, without query, got {route.path!r}",
        )

    yield from _check_hosts(name, route)
    yield from check_header_rules(name, route.headers, makes_traces=makes_traces)
    yield from _check_access(name, route)

    if len(route.endpoints) > MAX_TEMPLATES:
        yield (
            f"{name}.endpoints",
            f"expected at most {MAX_TEMPLATES} templates, got {len(route.endpoints)}",
        )

    for template in route.endpoints:
        if not is_template(template):
            yield (
                f"{name}.endpoints",
                f"expected a path that begins with /, without query, got {template!r}",
            )

    yield from check_upstream_tls(name, route)
    if route.protobuf:
        yield from _check_schema(f"{name}.protobuf", route.protobuf)


def _check_schema(setting: str, file: str) -> Iterator[Problem]:
    try:
        beginning = Path(file).read_bytes()[:1]
    except OSError as error:
        yield setting, f"cannot be read: {_reason(error)}, got {file!r}"
    else:
        if beginning != b"\n":  # the tag of its first file
            yield (
                setting,
                "expected a set of file descriptors, as protoc --descriptor_set_out writes it, "
                f"got {file!r}",
            )


def _check_hosts(name: str, route: RouteSettings) -> Iterator[Problem]:
    found = _HOST_VALUE.match(route.host)
    if route.host and (found is None or found[1]):
        yield (
            f"{name}.host",
            f"expected a host without a port: it takes requests for any, got {route.host!r}",
        )

    if route.upstream_host and not _HOST_VALUE.match(route.upstream_host):
        yield f"{name}.upstream_host", f"expected a host, or host:port, got {route.upstream_host!r}"


def _check_access(name: str, route: RouteSettings) -> Iterator[Problem]:
    for key in ("key_header", "project_header", "user_header"):
        header = getattr(route, key)
        if header and not TOKEN.match(header):
            yield f"{name}.{key}", f"expected a header name, got {header!r}"
        elif header.lower() in OWN_HEADERS | _READ_HEADERS:
            yield f"{name}.{key}", f"{header} has another meaning to the proxy"

    if route.auth == "off":
        for key in ("scope", "agent"):
            if getattr(route, key):
                yield (
                    f"{name}.{key}",
                    f"has no effect while auth is `off`, got {getattr(route, key)!r}",
                )
    elif not route.key_header:
        yield f"{name}.key_header", "expected a header name, got an empty one"
