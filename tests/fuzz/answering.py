"""The upstream of the request fuzzer: it reads strictly what it is sent and answers, now and then
at a bad moment.
"""

from random import Random
from typing import Final

from tests.fuzz.strict import Request, read_cut_request, read_requests
from tests.fuzz.world import Wire

_ANSWERS: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
)
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))


class AnsweringUpstream:
    """An upstream that answers each whole request; some too early, and some not at all once it was
    kept idle.
    """

    def __init__(self, wire: Wire, answers: Random) -> None:
        self.wire = wire
        self._answers = answers
        self._at = 0
        self._served = 0
        self._is_early = False
        self.last_use = 0
        """When it was last written to."""
        self._read_at: list[int] = []
        """When each request was whole."""
        self.tunnel_at = -1
        self.dropped: Request | None = None
        """The request after which it closed in place of answering, as a server does whose idle time
        is over.
        """
        wire.on_write = self._look

    def _look(self) -> None:
        self.last_use = self.wire._world.now()
        if self.tunnel_at >= 0:
            return

        found = read_requests(bytes(self.wire.written[self._at :]))
        for message in found.messages:
            self._at = len(self.wire.written)  # one request at a time: the proxy never pipelines
            self._served += 1
            self._read_at.append(self.last_use)

            if self._is_early:  # it has its answer already
                self._is_early = False
            else:
                self._react(message)

        if not self._is_early and b"\r\n\r\n" in found.rest and self._answers.random() < 0.05:
            self._is_early = True
            self._send(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n")

    def _react(self, message: Request) -> None:
        if self._served > 1 and self._answers.random() < 0.05:
            self.dropped = message
            self.wire.end()
        elif message.method == b"HEAD":
            self._send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        elif message.values(b"upgrade") and self._answers.random() < 0.3:
            self.tunnel_at = self._at
            self._send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                b"Upgrade\r\n\r\n"
            )
        else:
            self._send(self._answers.choice(_ANSWERS))

    def _send(self, answer: bytes) -> None:
        self.wire._world.soon(lambda: self.wire.deliver(answer))

    @property
    def forwarded(self) -> bytes:
        """What it was sent as HTTP."""
        written = bytes(self.wire.written)
        if self.tunnel_at < 0:
            return written
        return written[: self.tunnel_at]

    @property
    def has_cut_short(self) -> bool:
        """Whether it answered its last request before that was whole, and was then sent no more of
        it (P16).
        """
        return self._is_early

    def messages(self) -> list[tuple[int, Request]]:
        """What it read and when, one cut short among it, without one that must have been repeated
        elsewhere (P13).
        """
        whole = read_requests(self.forwarded, is_canonical=True)
        found = list(zip(self._read_at, whole.messages, strict=True))
        if self.has_cut_short:
            found.append((self.last_use, read_cut_request(whole.rest)))
        dropped = self.dropped
        if (
            dropped is not None
            and dropped.method in _IDEMPOTENT
            and not dropped.body
            and not _is_chunked(dropped)
        ):
            del found[-1]

        return found


def _is_chunked(message: Request) -> bool:
    return bool(message.values(b"transfer-encoding"))
