"""What is asked of each system: kinds of traffic, as scripts for wrk or, over HTTP/2, as targets
and fields for h2load.

A scenario of HTTP/1.1 is a path and a Lua script (`scripts`). Real traffic differs from request to
request, in heads and in bodies: such scenarios come first. h2load has the same fields in each
request; its targets differ, each comes once on a connection before they begin anew.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from bench.contents import kind_of
from bench.contents.documents import api
from bench.contents.kind import Kind
from bench.contents.kinds import VARIANTS
from bench.macro.scripts import (
    AGENT,
    BASE64,
    MIX,
    PICTURES,
    TEN_HEADERS,
    Portion,
    fixed,
    mixed,
    varying,
)

HUGE_BYTES: Final = 1024 * 1024
CONNECTIONS: Final = 64
"""Saturate every system measured here."""

GRPC_FIELDS: Final = {
    "User-Agent": "grpc-python/1.85.0 grpc-c/53.0.0 (linux; chttp2)",
    "Content-Type": "application/grpc",
    "TE": "trailers",
    "Grpc-Accept-Encoding": "identity, deflate, gzip",
    "Grpc-Timeout": "5S",
    "X-Request-Id": TEN_HEADERS["X-Request-Id"],
}
"""With the four of HTTP/2 itself ten."""
GRPC_ASKED: Final = b"\0\0\0\0\x12\x0a\x0eitem-000000042\x10\x2a"
GRPC_ANSWER: Final = (
    b"\0\0\0\0\x42\x0a\x40" + b"one of many things that a shop sells, with a name of some length"
)
"""Messages with a length before them: field 1 a text, field 2 a number."""

_GETVAR: Final = 'request = function() return get("/json/items/%d", 5000) end\n'
_LARGE: Final = f'request = function() return get("/made/json-16k/%d", {VARIANTS - 1}) end\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of request."""

    name: str
    title: str
    path: str
    """With places for a number and that of the run, where h2load takes targets that differ."""
    script: str = ""
    """Lua for wrk, whole."""
    connections: int = CONNECTIONS
    """As long as no rate is offered."""
    streams: int = 0
    """HTTP/2 requests under way at once on each connection; 0: clients speak HTTP/1.1."""
    fields: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    """Contents that are sent, and those that are answered from files."""
    body: bytes = b""
    """Of each request by h2load: a POST, if there is one."""
    is_http2_upstream: bool = False
    """Whether the upstream is spoken to by HTTP/2."""
    is_tls: bool = False
    """Whether clients speak TLS."""
    is_unix: bool = False
    """Whether the upstream is reached through a Unix socket."""


def huge() -> bytes:
    """Return the upstream's largest answer: JSON of an API."""
    return api(Random("huge"), HUGE_BYTES)


def of_portions(name: str, title: str, *portions: Portion) -> Scenario:
    """Return a scenario that is mixed of portions."""
    answered = (
        ("events-8k",) if any(portion.target == "/v1/messages" for portion in portions) else ()
    )
    kinds = dict.fromkeys(portion.kind for portion in portions)
    return Scenario(
        name=name, title=title, path="/json", script=mixed(portions), kinds=(*kinds, *answered)
    )


def carrying(kind: Kind) -> Scenario:
    """Return a scenario whose requests carry one kind of content each, the way it goes."""
    target = "/upload/%d" if kind.is_request else ""
    portion = Portion(share=100, kind=kind.name, is_sent=kind.is_request, target=target)
    return of_portions(kind.name, kind.title, portion)


def _over_http2() -> Iterator[Scenario]:
    """One stream on each of 16 connections (m1), as pools use them, or 32 on each of 4 (m32); 1 MiB
    with 2 on 4.
    """
    get = Scenario(
        name="h2get", title="h2 → h1 GET", path="/json/items/%d?run=%x", fields=TEN_HEADERS
    )
    unary = Scenario(
        name="grpc",
        title="gRPC unary",
        path="/bench.Items/Get",
        fields=GRPC_FIELDS,
        body=GRPC_ASKED,
    )
    large = Scenario(
        name="h2get1m", title="h2 → h1 1 MiB", path="/1m?item=%d&run=%x", fields=TEN_HEADERS
    )
    kinds = [get, replace(get, name="h2h2", title="h2 → h2 GET"), unary]

    for name, connections, streams in (("m1", 16, 1), ("m32", 4, 32)):
        for each in kinds:
            named = replace(each, name=f"{each.name}-{name}", title=f"{each.title}, {name}")
            yield replace(
                named, connections=connections, streams=streams, is_http2_upstream=each is not get
            )

    yield replace(large, connections=4, streams=2)
    yield replace(
        large,
        name="h2h2-1m",
        title="h2 → h2 1 MiB",
        connections=4,
        streams=2,
        is_http2_upstream=True,
    )


SCENARIOS: Final = (
    Scenario(
        name="getvar",
        title="GET, all different",
        path="/json",
        script=varying(_GETVAR),
    ),
    of_portions(
        "postvar",
        "POST 1 KB, all different",
        Portion(share=100, kind="json-1k", is_sent=True, target="/json/items/%d"),
    ),
    of_portions("mix", "web application", *MIX),
    of_portions("agent", "coding agent", *AGENT),
    of_portions("pictures", "pictures of 60 KB", *PICTURES),
    of_portions("base64", "uploads of base64", *BASE64),
    Scenario(name="get", title="bare GET", path="/json", script=fixed({})),
    Scenario(name="get10", title="GET, 10 headers", path="/json", script=fixed(TEN_HEADERS)),
    Scenario(
        name="post1k",
        title="POST 1 KB",
        path="/json",
        script=fixed(
            {"Content-Type": "application/json"},
            method="POST",
            body=kind_of("json-1k").body(0).decode("ascii"),
        ),
    ),
    Scenario(
        name="get16k", title="GET 16 KB", path="/json", script=varying(_LARGE), kinds=("json-16k",)
    ),
    Scenario(name="get1m", title="GET 1 MiB", path="/1m", script=fixed({})),
    Scenario(
        name="close",
        title="GET, a connection each",
        path="/json",
        script=varying(_GETVAR.replace("get(", "last(")),
    ),
    Scenario(name="tls", title="GET over TLS", path="/json", script=varying(_GETVAR), is_tls=True),
    Scenario(
        name="unix", title="GET, Unix socket", path="/json", script=varying(_GETVAR), is_unix=True
    ),
    *_over_http2(),
)


NAMES: Final = (*(scenario.name for scenario in SCENARIOS), "http2", "all")


def chosen(names: str) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, by commas, in the order of `SCENARIOS`; "http2" names
    those of HTTP/2.

    Raises:
        ValueError: no scenario has one of the names.
    """
    wanted = set(names.split(","))
    if unknown := wanted - set(NAMES):
        raise ValueError(
            f"unknown scenario {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}"
        )

    wanted |= {
        each.name for each in SCENARIOS if "all" in wanted or ("http2" in wanted and each.streams)
    }
    return tuple(scenario for scenario in SCENARIOS if scenario.name in wanted)
