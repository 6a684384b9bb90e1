"""The beginning of a tunnel, and what its client sends: functions over the state of a call (P7)."""

import time

from proxy.http1.response_head import ResponseHead
from proxy.worker.deadlines import Phase
from proxy.worker.relay import request_side
from proxy.worker.relay.call import Call
from proxy.worker.tunnel import Tunnel
from proxy.worker.upstream.connection import UpstreamConnection


def open_tunnel(call: Call, head: ResponseHead, raw: bytes) -> None:
    """Answer 101 and relay raw bytes from now on; what the client sent already goes first."""
    exchange, engine, upstream = call.exchange, call.engine, call.upstream
    assert exchange is not None
    assert isinstance(upstream, UpstreamConnection)
    assert call.route is not None
    exchange.first_byte_ns = time.monotonic_ns() - exchange.started_ns
    exchange.status = head.status
    exchange.response_head = raw
    call.is_responding = True
    call.exit.is_keep_alive = False
    call.phase = Phase.TUNNEL
    call.tunnel = tunnel = Tunnel(
        exchange, engine.recorder, engine.turns, engine.pace, (call.client, upstream),
        max_bytes=engine.capture.websocket_message_bytes,
        session_bytes=call.route.windows.session_bytes(exchange.request_head),
    )  # fmt: skip
    call.exit.switch(head, exchange.id_text)
    call.is_upload_paused = False
    if early := call.client.take_read_ahead():
        forward_tunnel(call, tunnel, early)


def forward_tunnel(call: Call, tunnel: Tunnel, data: bytes) -> None:
    request_side.forward(call, data)
    tunnel.watch_client(data)
