"""What is asked of each system: five kinds of request, as scripts for wrk.

A scenario is a path and a Lua script. Fixed requests are built once by wrk itself, so that the load generator stays
cheap; `getvar` builds a new one each time, so that nothing that remembers heads or paths can shine by it. Every script
ends with one line of JSON that `load.py` reads; wrk's own text output is for people and changes with its version.
"""

from dataclasses import dataclass
from typing import Final

JSON_BYTES: Final = 470
"""Size of the upstream's small answer, bytes: an API answer of the usual kind (figure of the design)."""

LARGE_BYTES: Final = 16384
POST_BYTES: Final = 1024

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
math.randomseed(os.time())
local run = math.random(1, 2^31 - 1)
local n = 0
request = function()
  n = n + 1
  return string.format(FORMAT, n, run, run, n, run, n, n, run)
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of request."""

    name: str
    title: str
    path: str
    script: str
    """Lua for wrk, whole."""


def _fixed(headers: dict[str, str], *, method: str = "GET", body: str = "") -> str:
    lines = [f'wrk.method = "{method}"']
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    if body:
        lines.append(f"wrk.body = '{body}'")
    return "\n".join(lines) + "\n" + _DONE


def _varying() -> str:
    fixed = {name: value for name, value in TEN_HEADERS.items() if name not in ("X-Request-Id", "Traceparent")}
    head = ["GET /json/items/%d?run=%x HTTP/1.1", "Host: bench.local"]
    head += [f"{name}: {value}" for name, value in fixed.items()]
    head += ["X-Request-Id: %016x%016x", "Traceparent: 00-%016x%016x-%08x%08x-01"]
    text = "".join(line + "\\r\\n" for line in head) + "\\r\\n"
    return _VARYING.replace("FORMAT", f"'{text}'") + _DONE


def json_text(size_bytes: int) -> str:
    """Return one JSON object of exactly `size_bytes`, without quotes that a configuration file would have to escape."""
    frame = '{"id":42,"name":"item","active":true,"text":""}'
    words = "lorem ipsum dolor sit amet consetetur sadipscing elitr "
    missing = size_bytes - len(frame)
    return frame[:-2] + (words * (missing // len(words) + 1))[:missing] + frame[-2:]


SCENARIOS: Final = (
    Scenario(name="get", title="bare GET", path="/json", script=_fixed({})),
    Scenario(name="get10", title="GET, 10 headers", path="/json", script=_fixed(TEN_HEADERS)),
    Scenario(
        name="post1k",
        title="POST 1 KB",
        path="/echo",
        script=_fixed({"Content-Type": "application/json"}, method="POST", body=json_text(POST_BYTES)),
    ),
    Scenario(name="get16k", title="GET 16 KiB", path="/16k", script=_fixed({})),
    Scenario(name="getvar", title="GET, all different", path="/json/items/0", script=_varying()),
)


def chosen(name: str) -> tuple[Scenario, ...]:
    """Return the scenario of that name, or all of them for "all".

    Raises:
        ValueError: no scenario has that name.
    """
    found = tuple(scenario for scenario in SCENARIOS if name in (scenario.name, "all"))
    if not found:
        raise ValueError(f"unknown scenario {name!r}, known: {', '.join(s.name for s in SCENARIOS)}, all")
    return found
