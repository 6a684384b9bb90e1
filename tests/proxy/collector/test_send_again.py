"""Requests sent again from the web UI: where they go, what they carry, and what is noted of them."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.collector.send_again import Resender, is_sendable
from proxy.settings.model import (
    HeaderSettings,
    ProxySettings,
    ReplaySettings,
    RouteSettings,
    Settings,
)
from storage.record import Entry, Payload, format_id
from tests.api.samples import make_record
from tests.support.upstream import read_head, running, scripted, service

ANSWER = (
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Type: application/json\r\n"
    b"Content-Length: 21\r\n\r\n"
)
BODY = b'{"password":"abcdef"}'
Events = list[tuple[str, dict[str, object]]]


def resender(events: Events, upstream: str, **route: Any) -> Resender:
    routes = (RouteSettings(id="a", upstream=upstream, **route),)
    rules = HeaderSettings(set_request={"X-Set": "by-sidelog", "X-Gone": ""})
    settings = Settings(
        routes=routes, proxy=ProxySettings(headers=rules), replay=ReplaySettings(enabled=True)
    )
    return Resender(settings, lambda name, data: events.append((name, data)))


def request(path: str = "/x", *fields: str, **changes: Any) -> Entry:
    head = "\r\n".join([f"GET {path} HTTP/1.1", *fields])
    record = make_record(
        1, **{"path": path, "route_id": "a", "request_bytes": 0, "host": "shop.test"} | changes
    )
    return Entry(record, Payload(head.encode(), b"HTTP/1.1 200 OK", None, None))


def body_of(answer: Entry) -> bytes:
    assert answer.payload is not None
    assert answer.payload.response_body is not None
    return answer.payload.response_body.head


async def sent(entry: Entry, **route: Any) -> tuple[bytes, Entry, Events]:
    seen: list[bytes] = []
    events: Events = []

    def handle(connection: socket.socket, number: int) -> None:
        seen.append(read_head(connection))
        connection.sendall(ANSWER + BODY)

    with scripted(handle) as url:
        answer = await resender(events, url, **route).send("ann", entry, "")
    assert len(seen) == 1
    return seen[0], answer, events


async def test_a_request_goes_to_the_upstream_of_its_route() -> None:
    """As a worker would send it: with the route's rules for headers, the client's host, and without
    its prefix.
    """
    entry = request("/svc/x", "Host: ignored", "X-Gone: 1", "X-Kept: 2", "Content-Length: 99")
    head, answer, events = await sent(entry, path="/svc", strip_prefix=True)
    line, *fields = head.decode().split("\r\n")
    assert line == "GET /x HTTP/1.1"
    assert fields[0] == "Host: shop.test"
    assert fields[1:-2] == [
        "X-Kept: 2",
        f"X-Sidelog-Replay-Of: {format_id(entry.record.id)}",
        "X-Set: by-sidelog",
    ]
    assert answer.record.status == 302  # which is not followed
    assert body_of(answer) == b'{"password":"[REDACTED]"}'
    name, data = events[0]
    assert (name, data["by"], data["path"], data["status"]) == ("sent_again", "ann", "/svc/x", 302)


async def test_the_key_of_a_route_is_not_sent_on() -> None:
    """Sidelog's own keys are no business of the upstream."""
    head, _, _ = await sent(request("/x", "Api-Key: anything"), auth="required")
    assert b"anything" not in head


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (request("/other"), "the path '/other' is none of route 'a', which has those below /svc"),
        (request("/svcx"), "is none of route 'a'"),
        (request("/svc", route_id="gone"), "its route 'gone' is not configured here"),
        (request("/svc", route_id=None), "its route None is not configured here"),
    ],
)
async def test_a_request_stays_within_its_route(entry: Entry, message: str) -> None:
    """Another route's upstream is not reached by an edited path."""
    with pytest.raises(ValueError, match=message):
        await resender([], "http://127.0.0.1:1", path="/svc").send("ann", entry, "")


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("127.0.0.1", True), ("10.0.0.7", True), ("a name", True), ("fd00::1", True), ("169.254.169.254", False),
        ("169.254.170.2", False), ("::ffff:169.254.169.254", False), ("fe80::1%eth0", False),
        ("fd00:ec2::254", False), ("100.100.100.200", False), ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::a9fe:a9fe", False), ("2002:a9fe:a9fe::1", False), ("::ffff:0:a9fe:a9fe", False),
        ("::a9fe:a9fe", False), ("::1", True), ("64:ff9b::a00:7", True),
    ],
)  # fmt: skip
async def test_metadata_services_are_not_asked(address: str, is_allowed: bool) -> None:
    """Not by any spelling of their addresses, though a target names them."""
    assert is_sendable(address) == is_allowed
    if not is_allowed and "%" not in address:
        host = f"[{address}]" if ":" in address else address
        events: Events = []
        with pytest.raises(ConnectionError, match="nothing is sent to"):
            await resender(events, "http://127.0.0.1:1").send("ann", request(), f"http://{host}")
        assert [data["error"] for _, data in events] == [f"nothing is sent to {address}"]


async def test_a_name_is_judged_by_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the address that was judged is the one that is connected to."""
    asked: list[str] = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(
        ConnectionError, match=r"metadata\.internal is at 169\.254\.169\.254, where nothing is sent"
    ):
        await resender([], "http://127.0.0.1:1").send("ann", request(), "http://metadata.internal")

    assert asked == ["metadata.internal"]


async def test_an_upstream_on_a_unix_socket_is_reached(tmp_path: Path) -> None:
    """As the data port reaches it."""
    runner = web.AppRunner(service())
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "socket")).start()

    try:
        answer = await resender([], f"unix:{tmp_path / 'socket'}").send("ann", request("/echo"), "")
    finally:
        await runner.cleanup()

    assert json.loads(body_of(answer))["path"] == "/echo"


async def test_results_are_counted() -> None:
    """With an answer, or without."""
    sender = resender([], "http://127.0.0.1:1")
    with running(service()) as url:
        await sender.send("ann", request(), url)
    with pytest.raises(ConnectionError):
        await sender.send("ann", request(), "")
    samples = [sample for family in sender.families() for sample in family.samples]
    assert {sample.labels["result"]: sample.value for sample in samples} == {
        "answered": 1,
        "failed": 1,
    }
