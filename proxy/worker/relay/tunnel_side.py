"""The beginning of a tunnel, and what its client sends: functions over the state of a call (P7, RFC
8441).
"""

import os
import time
from base64 import b64encode

from proxy.http1.field_lines import UPGRADE_LINES
from proxy.http1.response_head import ResponseHead
from proxy.worker.deadlines import Phase
from proxy.worker.exits.http2 import Http2Exit
from proxy.worker.relay import request_side
from proxy.worker.relay.call import Call
from proxy.worker.tunnel import Tunnel
from proxy.worker.upstream.connection import UpstreamConnection


def open_tunnel(call: Call, head: ResponseHead, raw: bytes) -> None:
    """Answer 101 and relay raw bytes from now on; what the client sent already goes first."""
    exchange = call.exchange
    engine = call.engine
    upstream = call.upstream
    assert exchange is not None
    assert isinstance(upstream, UpstreamConnection)
    assert call.route is not None
    exchange.first_byte_ns = time.monotonic_ns() - exchange.started_ns
    exchange.status = head.status
    exchange.response_head = raw
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


def end_client_side(call: Call) -> None:
    """The client sends no more: what is tunnelled ends in this direction."""
    if (
        call.tunnel is not None
        and call.upstream is not None
        and call.upstream.transport.can_write_eof()
    ):
        call.upstream.transport.write_eof()


def upgrade_lines(lines: bytes) -> bytes:
    """Return what an extended CONNECT has in HTTP/1.1 beside its lines: also a key, which streams
    need not have.
    """
    has_key = b"\r\nsec-websocket-key: " in lines
    if has_key:
        key = b""
    else:
        key = b"sec-websocket-key: %b\r\n" % b64encode(os.urandom(16))
    return UPGRADE_LINES + key


def take_tunnelled(call: Call, exit: Http2Exit, data: bytes, *, is_last: bool) -> None:
    """Take DATA for a WebSocket; what comes before its tunnel is open has no credit, and waits."""
    if call.tunnel is None:
        exit.read_ahead += data
    else:
        forward_tunnel(call, call.tunnel, data)
        exit.credit(len(data))

    if is_last:
        exit.end_tunnel()
        end_client_side(call)
