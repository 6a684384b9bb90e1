"""Scripts for wrk, in Lua: what is asked, in what order, with which bodies.

Fixed requests are built once by wrk itself, so that it stays cheap; varying ones are built anew
each time, so that nothing that remembers heads, paths or bodies can shine by it. Bodies that are
sent are read from files when a script begins (`write_contents`); the upstream answers with the same
ones. Every script ends with one line of JSON that `load.py` reads; wrk's own text output is for
people and changes with its version. Pure but for `write_contents`.
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from bench.contents import calls, kind_of, variants
from bench.contents.documents import PLACE
from bench.contents.kinds import VARIANTS
from bench.contents.stamps import is_remade, with_place

AGENT_RUN: Final = "agent-run"
"""Names the requests of runs of an agent, which grow."""
_RUN_BYTES: Final = 58 * 1024

RESULT_MARK: Final = "RESULT "
DIRECTORY_MARK: Final = "CONTENTS_DIRECTORY"
"""Stands in a script for the folder that has its bodies."""

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
local function bodies(name)
  local found = {}
  for at = 0, VARIANTS - 1 do
    local file = assert(io.open("CONTENTS_DIRECTORY/" .. name .. "/" .. at, "rb"))
    found[at] = file:read("*a")
    file:close()
  end
  return found
end
local function head(line, number)
  n = n + 1
  return string.format(line .. 'FIELDS', number, n, run, n, run, n, n, run)
end
local function get(target, most)
  return head("GET " .. target .. "?run=%x HTTP/1.1\\r\\n", math.random(0, most)) .. "\\r\\n"
end
local function last(target, most)
  return head("GET " .. target .. "?run=%x HTTP/1.1\\r\\nConnection: close\\r\\n", math.random(0, most)) .. "\\r\\n"
end
local function post(target, content_type, body)
  local first = head("POST " .. target .. "?run=%x HTTP/1.1\\r\\nContent-Type: " .. content_type .. "\\r\\n", n)
  return first .. "Content-Length: " .. #body .. "\\r\\n\\r\\n" .. body
end
local function numbered(body)
  local at = string.find(body, PLACE, 1, true)
  return string.sub(body, 1, at - 1) .. string.format("%032d", n) .. string.sub(body, at + #PLACE)
end
"""
_VARYING_HEAD: Final = "".join(
    f"{line}\r\n"
    for line in (
        "Host: bench.local",
        *(
            f"{name}: {value}"
            for name, value in TEN_HEADERS.items()
            if name not in ("X-Request-Id", "Traceparent")
        ),
        "X-Request-Id: %016x%016x",
        "Traceparent: 00-%016x%016x-%08x%08x-01",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """One of the requests that a load is mixed of."""

    share: int
    """Of a hundred."""
    kind: str
    """Name of the content that is carried."""
    is_sent: bool = False
    """Whether the client sends it; else the upstream does."""
    target: str = ""
    """Where it is sent to."""
    is_file: bool = False
    """Whether the upstream has it as a file, the same each time; else it makes it anew."""


MIX: Final = (
    Portion(share=30, kind="json-1k"),
    Portion(share=15, kind="json-1k", is_sent=True, target="/json/items/%d"),
    Portion(share=15, kind="json-16k"),
    Portion(share=10, kind="html-16k"),
    Portion(share=6, kind="script-64k", is_file=True),
    Portion(share=4, kind="style-16k", is_file=True),
    Portion(share=8, kind="png-60k", is_file=True),
    Portion(share=2, kind="woff2-32k", is_file=True),
    Portion(share=5, kind="multipart-60k", is_sent=True, target="/upload/%d"),
    Portion(share=5, kind="events-8k"),
)
"""A web application: small JSON, large JSON, pages, scripts and styles, pictures and fonts,
uploads, event streams. Its scripts, styles, pictures and fonts are files, 64 of each kind; all
else differs each time.
"""
AGENT: Final = (Portion(share=100, kind=AGENT_RUN, is_sent=True, target="/v1/messages"),)
"""A coding agent: requests that grow, answered by streams."""
PICTURES: Final = (
    Portion(share=50, kind="png-60k"),
    Portion(share=50, kind="png-60k", is_sent=True, target="/upload/%d"),
)
BASE64: Final = (Portion(share=100, kind="base64-40k", is_sent=True, target="/upload/%d"),)


def fixed(headers: dict[str, str], *, method: str = "GET", body: str = "") -> str:
    """Return a script that sends one request again and again."""
    lines = [f'wrk.method = "{method}"']
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    if body:
        lines.append(f"wrk.body = '{body}'")
    return "\n".join(lines) + "\n" + _DONE


def varying(request: str, *, seed: str = "os.time()") -> str:
    """Return a script whose heads never repeat: ten headers of a traced client."""
    fields = _VARYING_HEAD.replace("\r\n", "\\r\\n")
    begin = (
        _VARYING.replace("SEED", seed).replace("FIELDS", fields).replace("VARIANTS", str(VARIANTS))
    )
    return begin.replace("PLACE", f'"{PLACE}"') + request + _DONE


def mixed(portions: Sequence[Portion], *, seed: int = 20261129) -> str:
    """Return a script whose every hundred requests have exactly these shares, in one random order."""
    sent = dict.fromkeys(portion.kind for portion in portions if portion.is_sent)
    lines = [f'local {_variable(kind)} = bodies("{kind}")' for kind in sent]
    lines.append("local makers = {")
    lines += [f"  function() return {_request(portion)} end," for portion in portions]
    lines.append("}")
    lines.append(
        f"local order = {{{', '.join(str(1 + number) for number in order(portions, seed))}}}"
    )
    lines.append("local next_one = 0")
    lines.append("request = function()")
    lines.append("  next_one = next_one % 100 + 1")
    lines.append("  return makers[order[next_one]]()")
    lines.append("end")
    return varying("\n".join(lines) + "\n")


def order(portions: Sequence[Portion], seed: int) -> list[int]:
    """Return which portion each of a hundred requests is of."""
    found = [number for number, portion in enumerate(portions) for _ in range(portion.share)]
    Random(seed).shuffle(found)
    return found


def _variable(kind: str) -> str:
    return kind.replace("-", "_")


def _request(portion: Portion) -> str:
    """Return what makes a request of a portion."""
    if not portion.is_sent:
        if portion.kind == "json-1k":
            return 'get("/json/items/%d", 5000)'
        place = "content" if portion.is_file else "made"
        return f'get("/{place}/{portion.kind}/%d", {VARIANTS - 1})'

    chosen = f"{_variable(portion.kind)}[n % {VARIANTS}]"
    if portion.kind == AGENT_RUN or is_remade(kind_of(portion.kind)):
        chosen = f"numbered({chosen})"
    content_type = (
        "application/json" if portion.kind == AGENT_RUN else kind_of(portion.kind).content_type
    )
    return f'post("{portion.target}", "{content_type}", {chosen})'


def write_contents(directory: Path, kinds: Iterable[str]) -> None:
    """Write the bodies of these kinds into files, unless they are there: DIRECTORY/KIND/NUMBER."""
    for kind in kinds:
        folder = directory / kind
        if not folder.exists():
            folder.mkdir(parents=True)
            for number, body in enumerate(_agent_runs() if kind == AGENT_RUN else _bodies(kind)):
                (folder / str(number)).write_bytes(body)


def _bodies(name: str) -> Iterator[bytes]:
    """Make the variants of a kind; without a content coding, which the upstream applies."""
    kind = kind_of(name)
    for body in variants(name):
        plain = gzip.decompress(body) if kind.content_encoding == "gzip" else body
        yield with_place(kind, plain) if is_remade(kind) else plain


def _agent_runs() -> list[bytes]:
    """Return the requests of some runs, each run's in the order in which they grow."""
    runs = [calls.run(seed, _RUN_BYTES) for seed in range(VARIANTS // calls.TURNS)]
    return [request for run in runs for request in run]
