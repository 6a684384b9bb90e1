"""The client's side of a tunnel: its bytes, its end, and the WebSockets of HTTP/2 (P7, RFC 8441).

Functions over the state of a relay.
"""

import os
from base64 import b64encode

from proxy.http1.field_lines import UPGRADE_LINES
from proxy.worker.exits.http2 import Http2Exit
from proxy.worker.relay import request_side
from proxy.worker.relay.state import RelayState
from proxy.worker.tunnel import Tunnel


def forward_tunnel(relay: RelayState, tunnel: Tunnel, data: bytes) -> None:
    """Send bytes of the client through its tunnel."""
    request_side.forward(relay, data)
    tunnel.watch_client(data)


def forward_eof(relay: RelayState) -> None:
    """Pass the end of the client's side on to the upstream of a tunnel, if there is one."""
    if (
        relay.tunnel is not None
        and relay.upstream is not None
        and relay.upstream.transport.can_write_eof()
    ):
        relay.upstream.transport.write_eof()


def upgrade_lines(lines: bytes) -> bytes:
    """Return the lines that an extended CONNECT lacks for HTTP/1.1: the lines of an upgrade, and a
    key if `lines` have none, as HTTP/2 does not require one.
    """
    has_key = b"\r\nsec-websocket-key: " in lines
    if has_key:
        key = b""
    else:
        key = b"sec-websocket-key: %b\r\n" % b64encode(os.urandom(16))
    return UPGRADE_LINES + key


def forward_stream_data(relay: RelayState, exit: Http2Exit, data: bytes, *, is_last: bool) -> None:
    """Receive DATA for a WebSocket; before the tunnel is open, keep it and give no credit for it."""
    if relay.tunnel is None:
        exit.read_ahead += data
    else:
        forward_tunnel(relay, relay.tunnel, data)
        exit.credit(len(data))

    if is_last:
        exit.note_client_eof()
        forward_eof(relay)
