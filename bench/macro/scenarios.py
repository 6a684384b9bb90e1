"""What is asked of each system: kinds of traffic, as scripts for wrk or, over HTTP/2, as targets and fields for h2load.

A scenario of HTTP/1.1 is a path and a Lua script. Fixed requests are built once by wrk itself, so that it stays cheap;
`getvar`, `postvar` and `mix` build a new one each time, so that nothing that remembers heads, paths or bodies can shine
by it. All real traffic is like that: they come first. Every script ends with one line of JSON that `load.py` reads;
wrk's own text output is for people and changes with its version.
h2load has the same fields in each request; its targets differ, each comes once on a connection before they begin anew.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

JSON_BYTES: Final = 470
"""Size of the upstream's small answer, bytes: an API answer of the usual kind (figure of the design)."""

LARGE_BYTES: Final = 16384
HUGE_BYTES: Final = 1024 * 1024
POST_BYTES: Final = 1024
STREAM_EVENTS: Final = 60
CONNECTIONS: Final = 64
"""Saturate every system measured here."""

TEN_HEADERS: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-GB,en;q=0.8,de;q=0.5",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://app.example.com/projects/42/overview",
    "Cookie": "theme=dark; locale=en; consent=all",
    "Cache-Control": "no-cache",
    "X-Request-Id": "6f1c2b7e9d304f5fa1d6c0be7a5e8d11",
    "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
"""Nine, and wrk adds Host."""

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
GRPC_ANSWER: Final = b"\0\0\0\0\x42\x0a\x40" + b"one of many things that a shop sells, with a name of some length"
"""Messages with a length before them: field 1 a text, field 2 a number."""

RESULT_MARK: Final = "RESULT "

_DONE: Final = (
    """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n"""
    + RESULT_MARK
    + """{"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"errors":%d}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
)

_VARYING: Final = """
math.randomseed(SEED)
local run = math.random(1, 2^31 - 1)
local n = 0
local function head(line)
  n = n + 1
  return string.format(line .. 'FIELDS', math.random(1, 5000), n, run, n, run, n, n, run)
end
local function get(target)
  return head("GET " .. target .. " HTTP/1.1\\r\\n") .. "\\r\\n"
end
local function last(target)
  return head("GET " .. target .. " HTTP/1.1\\r\\nConnection: close\\r\\n") .. "\\r\\n"
end
local function post()
  return head("POST /vary/%d?run=%x HTTP/1.1\\r\\n") .. string.format('JSON', n)
end
"""
_GETVAR: Final = 'request = function() return get("/json/items/%d?run=%x") end\n'
_MIX: Final = """
request = function()
  local kind = math.random(1, 100)
  if kind <= 70 then return get("/json/items/%d?run=%x") end
  if kind <= 90 then return post() end
  if kind <= 95 then return get("/events?item=%d&run=%x") end
  return get("/16k?item=%d&run=%x")
end
"""
_VARYING_HEAD: Final = "".join(
    f"{line}\r\n"
    for line in (
        "Host: bench.local",
        *(f"{name}: {value}" for name, value in TEN_HEADERS.items() if name not in ("X-Request-Id", "Traceparent")),
        "X-Request-Id: %016x%016x",
        "Traceparent: 00-%016x%016x-%08x%08x-01",
    )
)
_PLACE: Final = "########"
"""Stands where eight digits come into a body, so that its size is exact."""


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
    body: bytes = b""
    """Of each request by h2load: a POST, if there is one."""
    is_http2_upstream: bool = False
    """Whether the upstream is spoken to by HTTP/2."""
    is_tls: bool = False
    """Whether clients speak TLS."""
    is_unix: bool = False
    """Whether the upstream is reached through a Unix socket."""


def _fixed(headers: dict[str, str], *, method: str = "GET", body: str = "") -> str:
    lines = [f'wrk.method = "{method}"']
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    if body:
        lines.append(f"wrk.body = '{body}'")
    return "\n".join(lines) + "\n" + _DONE


def _varying(request: str, *, seed: str = "os.time()") -> str:
    """Return a script whose heads and bodies never repeat: ten headers of a traced client, a path out of 5 000."""
    fields = _VARYING_HEAD.replace("\r\n", "\\r\\n")
    body = json_text(POST_BYTES, name=_PLACE).replace(_PLACE, "%08d")
    body = f"Content-Type: application/json\\r\\nContent-Length: {POST_BYTES}\\r\\n\\r\\n{body}"
    return _VARYING.replace("SEED", seed).replace("FIELDS", fields).replace("JSON", body) + request + _DONE


def json_text(size_bytes: int, *, name: str = "item") -> str:
    """Return one JSON object of exactly `size_bytes`, without quotes that a configuration file would have to escape."""
    frame = f'{{"id":42,"name":"{name}","active":true,"text":""}}'
    words = "lorem ipsum dolor sit amet consetetur sadipscing elitr "
    missing = size_bytes - len(frame)
    return frame[:-2] + (words * (missing // len(words) + 1))[:missing] + frame[-2:]


def event_stream(events: int) -> str:
    """Return an event stream, each event about as long as a token of an LLM is on the wire."""
    return "".join(f'data: {{"index":{number},"delta":{{"content":"word"}}}}\n\n' for number in range(events))


def _over_http2() -> Iterator[Scenario]:
    """One stream on each of 16 connections (m1), as pools use them, or 32 on each of 4 (m32); 1 MiB with 2 on 4."""
    get = Scenario(name="h2get", title="h2 → h1 GET", path="/json/items/%d?run=%x", fields=TEN_HEADERS)
    unary = Scenario(name="grpc", title="gRPC unary", path="/bench.Items/Get", fields=GRPC_FIELDS, body=GRPC_ASKED)
    large = Scenario(name="h2get1m", title="h2 → h1 1 MiB", path="/1m?item=%d&run=%x", fields=TEN_HEADERS)
    kinds = [get, replace(get, name="h2h2", title="h2 → h2 GET"), unary]
    for name, connections, streams in (("m1", 16, 1), ("m32", 4, 32)):
        for each in kinds:
            named = replace(each, name=f"{each.name}-{name}", title=f"{each.title}, {name}")
            yield replace(named, connections=connections, streams=streams, is_http2_upstream=each is not get)
    yield replace(large, connections=4, streams=2)
    yield replace(large, name="h2h2-1m", title="h2 → h2 1 MiB", connections=4, streams=2, is_http2_upstream=True)


SCENARIOS: Final = (
    Scenario(
        name="getvar",
        title="GET, all different",
        path="/json",
        script=_varying(_GETVAR),
    ),
    Scenario(name="postvar", title="POST 1 KB, all different", path="/vary", script=_varying("request = post\n")),
    Scenario(name="mix", title="mix", path="/json", script=_varying(_MIX, seed="20261121")),
    Scenario(name="get", title="bare GET", path="/json", script=_fixed({})),
    Scenario(name="get10", title="GET, 10 headers", path="/json", script=_fixed(TEN_HEADERS)),
    Scenario(
        name="post1k",
        title="POST 1 KB",
        path="/echo",
        script=_fixed({"Content-Type": "application/json"}, method="POST", body=json_text(POST_BYTES)),
    ),
    Scenario(name="get16k", title="GET 16 KiB", path="/16k", script=_fixed({})),
    Scenario(name="get1m", title="GET 1 MiB", path="/1m", script=_fixed({})),
    Scenario(
        name="close", title="GET, a connection each", path="/json", script=_varying(_GETVAR.replace("get(", "last("))
    ),
    Scenario(name="tls", title="GET over TLS", path="/json", script=_varying(_GETVAR), is_tls=True),
    Scenario(name="unix", title="GET, Unix socket", path="/json", script=_varying(_GETVAR), is_unix=True),
    *_over_http2(),
)


NAMES: Final = (*(scenario.name for scenario in SCENARIOS), "http2", "all")


def chosen(names: str) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, by commas, in the order of `SCENARIOS`; "http2" names those of HTTP/2.

    Raises:
        ValueError: no scenario has one of the names.
    """
    wanted = set(names.split(","))
    if unknown := wanted - set(NAMES):
        raise ValueError(f"unknown scenario {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    wanted |= {each.name for each in SCENARIOS if "all" in wanted or ("http2" in wanted and each.streams)}
    return tuple(scenario for scenario in SCENARIOS if scenario.name in wanted)
