"""What a request becomes for its upstream, and why it is refused before one is asked."""

import msgspec
import pytest

from proxy.http1.request_reader import RequestReader
from proxy.ring.exchange import Exchange
from proxy.settings.model import (
    LimitSettings,
    ProxySettings,
    RouteSettings,
    Settings,
)
from proxy.worker.admission.admission import Admission
from proxy.worker.engine import MAX_RENDERED_ROUTES
from tests.fuzz.world import World

SETTINGS = Settings(
    proxy=ProxySettings(limits=LimitSettings(max_body_bytes=10)),
    routes=(RouteSettings(id="default", path="/in/", upstream="http://up:81", strip_prefix=True),),
)
WORLD = World(SETTINGS)


def admitted(
    target: str, *lines: str, admission: Admission | None = None
) -> tuple[bytes, Exchange]:
    """Admit a request; return the head for its upstream."""
    engine = WORLD.engine
    reader = RequestReader(engine.heads.read, max_head_bytes=9999, max_line_bytes=999, is_tls=False)
    fields = "".join(f"{line}\r\n" for line in lines)
    head = reader.read_head(f"GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
    assert head is not None
    exchange = Exchange(b"i" * 16, b"the-id", 0, 0, b"10.0.0.1")
    admission = admission or Admission(engine, b"10.0.0.1", is_tls=False)
    return admission.admit(exchange, reader, head)[1], exchange


def test_a_head_is_rendered_for_its_upstream() -> None:
    """Target without the prefix, forwarding fields, an id of ours where the client has none."""
    raw, exchange = admitted("/in/x?y", "A: b")
    assert raw.startswith(b"GET /x?y HTTP/1.1\r\nHost: a\r\nA: b\r\n")
    assert b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n" in raw
    assert raw.endswith(b"X-Request-Id: the-id\r\n\r\n")
    assert exchange.route == 0


def test_repeated_heads_give_the_same_bytes() -> None:
    """What is remembered of one request never shows in another."""
    admission = Admission(WORLD.engine, b"10.0.0.1", is_tls=False)
    first = admitted("/in/x", "A: 1", admission=admission)[0]
    assert admitted("http://other/in/x", "A: 1", admission=admission)[0] != first
    assert admitted("/in/x", "A: 1", admission=admission)[0] == first


def test_a_head_is_kept_as_rendered_for_a_few_routes() -> None:
    """One client's heads would otherwise fill memory with their number times that of the routes."""
    routes = tuple(
        RouteSettings(id=f"r{n}", path=f"/r{n}/", upstream="http://up:81") for n in range(40)
    )
    world = World(msgspec.structs.replace(SETTINGS, routes=routes))
    head, _, _ = world.engine.heads.read(b"HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n")
    lines = [world.engine.render(head, route) for route in world.engine.routes.routes]
    assert len(head.rendered) == MAX_RENDERED_ROUTES
    assert world.engine.render(head, world.engine.routes.routes[-1]) is lines[-1]
    assert world.engine.render(head, world.engine.routes.routes[0]) == lines[0]


@pytest.mark.parametrize(
    ("peer", "proto", "host"),
    [(b"10.0.0.1", b"https", b"app.example"), (b"8.8.8.8", b"http", b"a")],
)
def test_behind_an_ingress_the_service_is_told_what_the_client_asked_for(
    peer: bytes, proto: bytes, host: bytes
) -> None:
    """From one that is trusted; Forwarded and the port pass on from anybody, as they came."""
    engine = World(
        msgspec.structs.replace(SETTINGS, proxy=ProxySettings(trusted_proxies=("10.0.0.0/8",)))
    ).engine
    said = ("X-Forwarded-Port: 443", 'Forwarded: for="1.2.3.4:5";proto=https;host=app.example')
    raw, exchange = admitted("/in/x", *said, admission=Admission(engine, peer, is_tls=False))
    assert (
        b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n"
        % (peer, proto, host)
        in raw
    )
    assert all(line.encode() + b"\r\n" in raw for line in said)
    assert exchange.client == (b"1.2.3.4\nhttps\napp.example" if proto == b"https" else peer)
