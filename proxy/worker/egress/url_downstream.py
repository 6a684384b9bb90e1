"""A client of the port of outgoing calls that sends requests for whole URLs, and may go on with
CONNECT on the same connection.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from proxy.http1.errors import Refused
from proxy.worker.admission.admission import Admission
from proxy.worker.deadlines import Phase
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Engine

_TOO_EARLY: Final = (
    "CONNECT has to wait for the answers to requests before it, and what follows for its own answer"
)


class UrlDownstream(Downstream):
    """One client connection."""

    __slots__ = ("_take_back",)

    def __init__(
        self,
        engine: Engine,
        peer: bytes,
        admission: Admission,
        take_back: Callable[[Downstream, socket.socket, bytes], asyncio.Protocol],
    ) -> None:
        """Serve a client until it sends a CONNECT.

        `take_back` then gets this connection, its socket and the head of the CONNECT, and returns
        the protocol that goes on when this one has lost its transport.
        """
        super().__init__(engine, peer, admission)
        self._take_back = take_back

    def _refuse_head(self, refusal: Refused, data: bytes, now_ns: int) -> None:
        """Give the socket back for a CONNECT; refuse one that was sent ahead of an answer."""
        reader = self._reader
        if refusal.code != "method_not_allowed" or not reader.raw.startswith(b"CONNECT "):
            super()._refuse_head(refusal, data, now_ns)
            return

        transport = self._transport
        is_alone = reader.buffer + data == reader.raw and not transport.get_write_buffer_size()
        if not is_alone or transport.is_closing():
            super()._refuse_head(Refused("bad_request", _TOO_EARLY), data, now_ns)
            return

        self._phase = Phase.LINGERING
        self._relay.detach()
        # The transport closes its own descriptor only, so the connection stays open.
        own = cast(socket.socket, transport.get_extra_info("socket"))
        duplicate = socket.fromfd(own.fileno(), own.family, own.type)
        transport.set_protocol(self._take_back(self, duplicate, reader.raw))
        transport.close()
