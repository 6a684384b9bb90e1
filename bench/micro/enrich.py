"""From a ring entry to a record with everything on: what the collector pays per exchange before it
is stored.

`python -m bench.micro enrich` runs this file alone. Wanted: a plain GET in 10 us, a POST of 1 KB
answered by 1 KB of JSON in 13 us; nothing of what only LLM and tool calls need may be felt there.
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Final

import msgspec

from bench.contents import kind_of
from bench.micro.measure import Measure, measured
from proxy.enrich.records import RecordBuilder
from proxy.ring.descriptor import Descriptor, read_descriptor, write_descriptor
from proxy.ring.exchange import FLAG_REQUEST_COMPLETE, CapturedExchange, Exchange
from proxy.settings.model import RouteSettings, Settings
from storage.record import new_id

ROUND_OPERATIONS: Final = 300
VARIED: Final = 10_000

SETTINGS: Final = Settings(routes=(RouteSettings(id="default", upstream="http://127.0.0.1:1"),))
HEADERS: Final = "".join(f"X-Header-{number}: value number {number}\r\n" for number in range(6))
SMALL: Final = kind_of("json-1k")
DOCUMENT: Final = SMALL.body(0)
LARGE: Final = kind_of("json-16k").body(0)
CHAT: Final = json.dumps(
    {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello " * 100}]}
).encode()
USAGE: Final = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 8},
}


def chat_stream(frames: int) -> bytes:
    """A chat stream of so many frames, with counts at its end."""
    chunk = {
        "model": "gpt-4o",
        "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}],
    }
    last = [{"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": USAGE}]
    documents = [*[chunk] * frames, *last]
    return (
        b"".join(b"data: %b\n\n" % json.dumps(document).encode() for document in documents)
        + b"data: [DONE]\n\n"
    )


def varied(method: str, body: bytes, answer: bytes, number: int) -> tuple[bytes, bytes]:
    """Pack an exchange of a traced client: path, query and ids differ from every other."""
    head = (
        f"X-Request-Id: {number:032x}\r\nTraceparent: 00-{number + 1:032x}-{number + 1:016x}-01\r\n"
    )
    path = f"/items/{number}?run={number:x}"
    return entry(method, path, body, answer, more_headers=head)


def entry(
    method: str,
    path: str,
    body: bytes,
    answer: bytes,
    content_type: str = "application/json",
    more_headers: str = "",
) -> tuple[bytes, bytes]:
    """Pack an exchange as a worker does."""
    made = Exchange(new_id(time.time_ns(), 1, 1), b"", 0, time.time_ns(), b"10.0.0.1")
    made.route, made.method, made.status, made.flags = (
        0,
        method.encode(),
        200,
        FLAG_REQUEST_COMPLETE,
    )
    made.upstream = b"127.0.0.1:9000"
    fields = f"Host: shop\r\nContent-Type: application/json\r\n{HEADERS}{more_headers}"
    made.request_head = f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode()
    made.response_head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nServer: nginx\r\n\r\n".encode()
    )
    made.request_whole = body
    made.response_whole = answer
    made.connect_ns = 1_000_000
    made.sent_ns = 1_000_000
    made.first_byte_ns = 1_000_000
    made.done_ns = 1_000_000
    made.ended_ns = 1_000_000
    header, sections = made.encode(0)
    return header, b"".join(sections)


def measures() -> Iterator[Measure]:
    """Measure plain exchanges, an LLM call plain and streamed, and a tool call."""
    descriptor = read_descriptor(write_descriptor(msgspec.to_builtins(SETTINGS)))
    answer = json.dumps(
        {"model": "gpt-4o", "choices": [{"message": {"content": "hi"}}], "usage": USAGE}
    ).encode()
    arguments = {"name": "add", "arguments": {"a": 1, "b": 2}}
    call = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}
    ).encode()
    result = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "3"}]}}
    ).encode()
    cases = {
        "GET, 1 KB of JSON": entry("GET", "/items/1?limit=5", b"", DOCUMENT),
        "POST, 1 KB + 1 KB of JSON": entry("POST", "/items", SMALL.body(1), DOCUMENT),
        "GET, 16 KB of JSON": entry("GET", "/items", b"", LARGE),
        "chat completion": entry("POST", "/v1/chat/completions", CHAT, answer),
        "chat stream of 100 frames": entry(
            "POST", "/v1/chat/completions", CHAT, chat_stream(100), "text/event-stream"
        ),
        "tool call": entry("POST", "/mcp", call, result),
    }

    for name, method in (
        ("GET, all different", "GET"),
        ("POST, 1 KB + 1 KB, all different", "POST"),
    ):
        bodies = (SMALL.body(-number) if method == "POST" else b"" for number in range(VARIED))
        packed = [
            varied(method, body, SMALL.body(number), number) for number, body in enumerate(bodies)
        ]
        build = partial(_build_next, RecordBuilder("bench", SETTINGS), cycle(packed), descriptor)
        yield measured(name, _repeated(build), clock=time.process_time_ns)

    for name, (header, sections) in cases.items():
        builder = RecordBuilder("bench", SETTINGS)
        build = partial(_build, builder, header, sections, descriptor)
        yield measured(name, _repeated(build), clock=time.process_time_ns)


def _build_next(
    builder: RecordBuilder, entries: Iterator[tuple[bytes, bytes]], descriptor: Descriptor
) -> object:
    return builder.build(CapturedExchange(*next(entries)), descriptor)


def _build(
    builder: RecordBuilder, header: bytes, sections: bytes, descriptor: Descriptor
) -> object:
    return builder.build(CapturedExchange(header, sections), descriptor)


def _repeated(run: Callable[[], object]) -> Callable[[], int]:
    def rounds() -> int:
        for _ in range(ROUND_OPERATIONS):
            run()
        return ROUND_OPERATIONS

    return rounds
