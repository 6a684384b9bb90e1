"""Client connections of the TLS port: after a handshake, or refused because the client speaks plain
HTTP.
"""

import asyncio
from typing import NoReturn

from proxy.http1.errors import Refused
from proxy.http1.request_reader import RequestReader
from proxy.network.accept import EarlyConnection
from proxy.worker.admission.admission import Admission
from proxy.worker.deadlines import Phase
from proxy.worker.downstream import Downstream
from proxy.worker.engine import Engine


class TlsDownstream(Downstream):
    """A connection after its TLS handshake; it is counted and timed since it was accepted."""

    __slots__ = ("_accepted",)

    def __init__(
        self, engine: Engine, accepted: EarlyConnection, admission: Admission | None = None
    ) -> None:
        super().__init__(engine, accepted.peer, admission)
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Replace the accepted connection; the first request has the time that the handshake left."""
        self._accepted.hand_over()
        super().connection_made(transport)
        self._since_ns = self._accepted.since_ns
        tls = transport.get_extra_info("ssl_object")

        is_refused = self._phase == Phase.LINGERING
        if (
            self._engine.http2 is not None
            and not is_refused
            and tls
            and tls.selected_alpn_protocol() == "h2"
        ):
            self._speak_http2(b"")

    @property
    def _may_speak_http2(self) -> bool:
        return False


class PlainDownstream(TlsDownstream):
    """A client that speaks plain HTTP to the TLS port: its first request is refused and recorded,
    and the connection closed.
    """

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        engine = self._engine
        self._reader = RequestReader(
            _refuse,
            max_head_bytes=engine.max_head_bytes,
            max_line_bytes=engine.max_line_bytes,
            is_tls=False,
        )


def _refuse(_: bytes) -> NoReturn:
    raise Refused("bad_request", "plain HTTP was sent to a TLS port: use https://")
