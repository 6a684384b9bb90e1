"""The client's side of a tunnel: its bytes, its end, and the WebSockets of HTTP/2 (P7, RFC 8441).

Functions over the state of a call.
"""

import os
from base64 import b64encode

from proxy.http1.field_lines import UPGRADE_LINES
from proxy.worker.exits.http2 import Http2Exit
from proxy.worker.relay import request_side
from proxy.worker.relay.call import Call
from proxy.worker.tunnel import Tunnel


def forward_tunnel(call: Call, tunnel: Tunnel, data: bytes) -> None:
    """Send bytes of the client through its tunnel."""
    request_side.forward(call, data)
    tunnel.watch_client(data)


def forward_eof(call: Call) -> None:
    """Pass the end of the client's side on to the upstream of a tunnel, if there is one."""
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
        forward_eof(call)
