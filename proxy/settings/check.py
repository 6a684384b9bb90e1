"""Checks that types cannot express: addresses, header syntax, contradictions.

Pure generators yield (setting, fault) for complete settings; the loader adds the setting's origin.
They look outside only to see whether named files can be used and whether the storage URL has a
backend. Standards: RFC 9110 §5.1 (field names are tokens), §5.5 (values without CR, LF, NUL), §7.2
(Host).
"""

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from proxy.process.tls import server_context
from proxy.settings.addresses import is_loopback, parse_listen
from proxy.settings.check_alerts import check_alerts
from proxy.settings.check_headers import OWN_HEADERS, check_header_rules
from proxy.settings.check_outgoing import (
    check_egress,
    check_otel,
    check_replay,
    check_upstream,
    check_upstream_tls,
    check_usable,
    check_via,
    problem_of,
    reason_of,
)
from proxy.settings.check_redact import check_redact
from proxy.settings.model import EGRESS_ROUTE, PORTS, PriceSettings, RouteSettings, Settings
from proxy.settings.section import Problem, traits_of
from proxy.settings.sources import TABLES
from proxy.settings.templates import MAX_TEMPLATES
from proxy.settings.tokens import check_tokens
from storage.backends import check_url
from storage.search.language.errors import SearchError
from storage.search.language.parser import parse_search

_BASE_PATH: Final = re.compile(r"(?!/(?:api|ui|v1)/?\Z)(?:/(?!\.)[A-Za-z0-9._~-]+){0,16}/?\Z")
_READ_HEADERS: Final = frozenset(
    {"cookie", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"}
)
"""Further fields that the proxy reads or writes itself: they cannot carry a key, a project or a
user.
"""

NO_EFFECT: Final = "has no effect"
"""Fault of a setting that depends on another one."""
NO_UPSTREAM: Final = "no upstream configured: use --upstream URL or add [[routes]]"
MAX_RULES: Final = 64
"""Largest number of rules: each one is tried on every record that the earlier ones did not match.
"""
_SECRET: Final = re.compile("authoriz|auth$|auth-|key|token|secret|cookie", re.IGNORECASE)
"""Names of headers that carry credentials."""


def check(settings: Settings) -> Iterator[Problem]:
    """Check the settings against each other, and yield all faults as (dotted setting, reason)."""
    yield from _check_forms(settings)
    yield from _check_listeners(settings)
    yield from _check_proxy(settings)
    yield from _check_front(settings)
    yield from _check_tls("proxy", settings.proxy.tls_cert_file, settings.proxy.tls_key_file)
    yield from _check_tls("admin", settings.admin.tls_cert_file, settings.admin.tls_key_file)
    yield from check_redact(settings.redact)
    yield from _check_storage(settings)
    yield from check_tokens(settings)
    yield from _check_sizes(settings)
    yield from _check_rules(settings)
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


def _check_forms(section: msgspec.Struct, prefix: str = "") -> Iterator[Problem]:
    """Yield values without the form that their setting declares; a default always has it."""
    for each in msgspec.structs.fields(section):
        name = prefix + each.encode_name
        value = getattr(section, each.name)
        form = traits_of(each.type).form
        if isinstance(value, msgspec.Struct):
            yield from _check_forms(value, f"{name}.")
        elif name in TABLES:
            for index, table in enumerate(value):
                yield from _check_forms(table, f"{name}[{index}].")
        elif form is not None and value != each.default:
            for text in value if isinstance(value, tuple) else (value,):
                if fault := form(text):
                    yield name, fault


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
    """Yield the addresses of all ports, except those without the form of one."""
    for name, text in settings.listens.items():
        try:
            yield name, parse_listen(text)
        except ValueError:
            continue


def _check_listeners(settings: Settings) -> Iterator[Problem]:
    good = dict(_listeners(settings))
    owners: dict[tuple[str, int], str] = {}
    for name, address in good.items():
        if address[1] and address in owners:
            yield (
                name,
                f"is the address of the {owners[address]} too, got {settings.listens[name]!r}",
            )
        owners.setdefault(address, PORTS[name])

    admin = good.get("admin.listen")
    if admin and settings.admin.auth == "off" and not is_loopback(admin[0]):
        yield (
            "admin.auth",
            "`off` is accepted only on a loopback address, admin.listen is "
            f"{settings.admin.listen!r}",
        )


def _check_proxy(settings: Settings) -> Iterator[Problem]:
    if settings.proxy.proxy_protocol and not settings.proxy.trusted_proxies:
        yield (
            "proxy.proxy_protocol",
            "has no effect without trusted_proxies, whose connections begin with the header",
        )

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
    beside = f" with key {key_file!r}" if key_file else ""
    yield from check_usable(
        f"{section}.tls_cert_file",
        partial(server_context, cert_file, key_file),
        f"{cert_file!r}{beside}",
    )


def _check_storage(settings: Settings) -> Iterator[Problem]:
    try:
        check_url(settings.storage.url)
    except ValueError as error:
        yield "storage.url", str(error)


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
    capture = settings.capture
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
    yield from check_header_rules(name, route.headers, makes_traces=makes_traces)
    yield from _check_access(name, route)

    if len(route.endpoints) > MAX_TEMPLATES:
        yield (
            f"{name}.endpoints",
            f"expected at most {MAX_TEMPLATES} templates, got {len(route.endpoints)}",
        )

    yield from check_upstream_tls(name, route)
    if route.protobuf:
        yield from _check_schema(f"{name}.protobuf", route.protobuf)


def _check_schema(setting: str, file: str) -> Iterator[Problem]:
    try:
        beginning = Path(file).read_bytes()[:1]
    except OSError as error:
        yield setting, f"cannot be read: {reason_of(error)}, got {file!r}"
    else:
        if beginning != b"\n":  # the tag of its first file
            yield (
                setting,
                "expected a set of file descriptors, as protoc --descriptor_set_out writes it, "
                f"got {file!r}",
            )


def _check_access(name: str, route: RouteSettings) -> Iterator[Problem]:
    for key in ("key_header", "project_header", "user_header"):
        header = getattr(route, key)
        if header.lower() in OWN_HEADERS | _READ_HEADERS:
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
