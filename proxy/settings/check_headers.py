"""Checks of header rules: they may not contradict the framing of messages, or set fields that the
proxy sets itself.

Standards: RFC 9110 §5.1 (field names are tokens), §5.5 (values without CR, LF, NUL), §7.6.1
(hop-by-hop fields).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from proxy.settings.forms import HEADER_NAME
from proxy.settings.model import HeaderSettings
from proxy.settings.section import Problem

_CONTROLS: Final = re.compile(r"[\x00\r\n]")
"""Characters that a header's value must not contain."""
_LATIN: Final = re.compile(r"[\x00-\xff]*\Z")

OWN_HEADERS: Final = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te",  # codespell:ignore te
        "trailer", "transfer-encoding", "upgrade", "x-sidelog-hop",
    }
)  # fmt: skip
"""Fields that a setting must not name: framing and connection belong to the proxy; Host is
`upstream_host`.
"""
_OWN_REQUEST_HEADERS: Final = frozenset(
    {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"}
)
"""Fields that the proxy sets on each request."""

_TRACE_HEADER: Final = "traceparent"
"""Field that the proxy sets while `[proxy] trace_context` is on; a rule would double or remove it.
"""


def check_header_rules(
    owner: str, rules: HeaderSettings, *, makes_traces: bool, record_id_header: str = ""
) -> Iterator[Problem]:
    """Yield the faults of the rules of `owner`, a route or `proxy`."""
    for key in HeaderSettings.__struct_fields__:
        setting = f"{owner}.headers.{key}"
        named = getattr(rules, key)
        own = OWN_HEADERS | (
            _OWN_REQUEST_HEADERS if key.endswith("request") else {record_id_header.lower()}
        )

        yield from check_headers(setting, named, own, "the proxy")
        for header, value in named.items():
            is_traced = makes_traces and key.endswith("request")
            if is_traced and header.lower() == _TRACE_HEADER:
                yield setting, f"{header} belongs to the proxy while proxy.trace_context is true"
            if not _LATIN.match(value):
                yield setting, f"the value of {header!r} must hold characters of Latin-1 only"


def check_headers(
    setting: str, headers: Mapping[str, str], own: frozenset[str], owner: str
) -> Iterator[Problem]:
    """Yield the faults of headers for our own requests; `own` are those that `owner` sets itself."""
    for name, value in headers.items():
        if fault := HEADER_NAME(name):
            yield setting, fault
        elif name.lower() in own:
            yield setting, f"{name} belongs to {owner} and cannot be changed"
        elif _CONTROLS.search(value):
            yield setting, f"the value of {name!r} must not hold CR, LF or NUL"
