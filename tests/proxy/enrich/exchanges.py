"""Exchanges as a worker hands them over, from bytes on the wire."""

import json
import time
from typing import Any

import msgspec

from proxy.enrich.records import RecordBuilder
from proxy.ring.body_window import Window
from proxy.ring.descriptor import Descriptor, read_descriptor, write_descriptor
from proxy.ring.exchange import FLAG_REQUEST_COMPLETE, OUTCOME_INDEX, CapturedExchange, Exchange
from proxy.ring.message import CapturedMessage
from proxy.ring.timeline import Timeline, note_chunk
from proxy.settings.model import CaptureSettings, RouteSettings, Settings
from storage.record import Entry, Outcome, new_id

_counter = iter(range(1, 1 << 20))


def settings(**route: Any) -> Settings:
    """Settings with one route."""
    options = {"id": "default", "upstream": "http://127.0.0.1:1"} | route
    return Settings(routes=(RouteSettings(**options),), capture=CaptureSettings())


def descriptor_of(given: Settings) -> Descriptor:
    """What a ring of a worker with these settings says about itself."""
    return read_descriptor(write_descriptor(msgspec.to_builtins(given)))


def wire(part: object) -> bytes:
    """Write a body as JSON; bytes are what they are."""
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def exchange(
    path: str = "/v1/chat/completions",
    body: object = b"",
    answer: object = b"",
    *,
    method: str = "POST",
    status: int = 200,
    request_type: str = "application/json",
    content_type: str = "application/json",
    request_headers: str = "",
    response_headers: str = "",
    upstream: str = "127.0.0.1:9000",
    outcome: Outcome = Outcome.OK,
    windows: tuple[int, int] = (65536, 16384),
    timeline: list[tuple[int, int]] | None = None,
    has_response: bool = True,
    flags: int = 0,
) -> CapturedExchange:
    """Make a finished exchange; header lines end with CRLF."""
    made = Exchange(new_id(time.time_ns(), 7, next(_counter)), b"", 0, time.time_ns(), b"10.0.0.1")
    made.route, made.method, made.status, made.flags = (
        0,
        method.encode(),
        status,
        FLAG_REQUEST_COMPLETE | flags,
    )
    made.outcome = OUTCOME_INDEX[outcome]
    made.upstream = upstream.encode()
    made.request_head = (
        f"{method} {path} HTTP/1.1\r\nHost: api.test\r\nContent-Type: "
        f"{request_type}\r\n{request_headers}\r\n"
    ).encode()
    if has_response:
        made.response_head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{response_headers}\r\n".encode()
    made.request_body, made.response_body = Window(*windows), Window(*windows)
    made.request_body.add(wire(body))
    made.response_body.add(wire(answer))

    if timeline is not None:
        made.timeline = Timeline()
        for entry in timeline:
            note_chunk(made.timeline, *entry)

    made.connect_ns = 5_000_000
    made.sent_ns = 5_000_000
    made.first_byte_ns = 5_000_000
    made.done_ns = 5_000_000
    made.ended_ns = 5_000_000
    return handed_over(made)


def handed_over(made: Exchange, pressure: int = 0) -> CapturedExchange:
    """Read an exchange as the collector does that a worker has written."""
    header, sections = made.encode(pressure)
    return CapturedExchange(header, b"".join(sections))


class Collector:
    """One collector's builder, and a route."""

    def __init__(self, **route: Any) -> None:
        given = settings(**route)
        self.descriptor = descriptor_of(given)
        self.builder = RecordBuilder("i", given)

    def read(self, captured: CapturedExchange) -> Entry:
        """Build the entry of an exchange."""
        return self.builder.build(captured, self.descriptor)

    def hear(self, message: CapturedMessage) -> Entry:
        """Build the entry of a message of a connection."""
        return self.builder.message(message, self.descriptor)


def entry_of(*given: Any, route: dict[str, Any] | None = None, **more: Any) -> Entry:
    """Build the entry of an exchange that a collector reads first."""
    return Collector(**(route or {})).read(exchange(*given, **more))
