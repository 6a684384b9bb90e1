"""Decode captured exchanges: heads are looked up or parsed, the codings of bodies undone."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from proxy.enrich.http.bodies import decode_body
from proxy.enrich.http.content_coding import MAX_OUTPUT_BYTES
from proxy.enrich.http.exchange import DecodedExchange
from proxy.enrich.http.head_reader import HeadReader
from proxy.enrich.http.request_lines import RequestLineReader
from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.windows import cut_end
from proxy.http1.request_line import is_host
from proxy.ring.descriptor import RouteLabels
from proxy.ring.exchange import (
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    FLAG_TLS,
    SHED_BODIES,
    SWITCHING_PROTOCOLS,
    CapturedExchange,
)
from proxy.ring.inflight import InflightExchange

DECODED_TAIL_BYTES: Final = 1 << 18
"""Bytes kept from the end of a long decoded response: room for its last event."""
MAX_STATUS_LINES: Final = 256
"""Limit of the memo; few status lines differ."""
_SCHEMES: Final = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
"""Protocol that a proxy reports for the client → scheme of the requested URL. Traefik sends
`wss`.
"""

ClientOrigin = tuple[str | None, str, str | None]
"""The client's address, the scheme of the requested URL, and its host if a trusted proxy
named it.
"""


class ExchangeDecoder:
    """Decodes exchanges; memoises heads. Not thread-safe."""

    def __init__(self, redactor: Redactor, secrets: Iterable[str] = ()) -> None:
        """`secrets` names further header fields with secrets."""
        self._redactor = redactor
        self.read_status_line: Final = lru_cache(MAX_STATUS_LINES)(redactor.redact_by_pattern)
        """Redacts the status line of a response: the upstream chooses the reason phrase."""
        self.lines = RequestLineReader(redactor)
        self.requests = HeadReader(redactor, secrets)
        self.responses = HeadReader(redactor, secrets)
        self.trailers = HeadReader(redactor, secrets)
        """Three readers, because each expects a head like its last one."""

    def are_lines_clean(self, exchanges: Iterable[CapturedExchange]) -> bool:
        """True if no unknown request line contains a secret by its format: 2.6 instead of 6 us a
        line.
        """
        lines = [captured.request_head.split(b"\r\n", 1)[0] for captured in exchanges]
        unknown = [line for line in lines if self.lines.known(line) is None]
        return bool(unknown) and self._redactor.are_clean(unknown)

    def decode(
        self,
        captured: CapturedExchange,
        labels: RouteLabels,
        limit_bytes: int = MAX_OUTPUT_BYTES,
        is_line_clean: bool = False,
    ) -> DecodedExchange:
        """Decode a finished exchange. If the route keeps no heads, only the request's head is
        decoded, unless a body was captured.

        `is_line_clean` is the result of `are_lines_clean`.

        Raises:
            TooLong: as `decode_body` does.
        """
        head = captured.request_head
        raw, block = split_head(head)
        line = self.lines.read(raw, is_clean=is_line_clean)
        request = self.requests.read(block)
        is_read = bool(captured.request_window or captured.response_window)
        keeps_text = not captured.flags & FLAG_BODIES_OFF
        if captured.flags & FLAG_HEADS_OFF and not is_read:
            return DecodedExchange(
                labels, line, request, head, status=captured.status, captured=captured
            )

        status_line, block = split_head(captured.response_head)
        status_line = self.read_status_line(status_line)
        response = self.responses.read(block)
        request_body = None
        response_body = None
        timeline = captured.timeline

        has_bodies = captured.shed != SHED_BODIES and (keeps_text or is_read)
        if has_bodies and captured.status != SWITCHING_PROTOCOLS:
            if size := captured.request_bytes:
                window = captured.request_window
                tail = captured.request_tail
                coding = request.content_encoding
                request_body = decode_body(
                    window, tail, size, coding, limit_bytes, content_type=request.content_type
                )

            if size := captured.response_bytes:
                window = captured.response_window
                tail = captured.response_tail
                coding = response.content_encoding
                if coding:
                    marks = tuple(offset for offset, _ in timeline)
                else:
                    marks = ()

                response_body = decode_body(
                    window, tail, size, coding, limit_bytes,
                    content_type=response.content_type, tail_bytes=DECODED_TAIL_BYTES, marks=marks,
                )  # fmt: skip
                if response_body is not None and response_body.marks:
                    timeline = list(
                        zip(response_body.marks, (at_us for _, at_us in timeline), strict=True)
                    )

        return DecodedExchange(
            labels, line, request, head,
            status_line, response, request_body, response_body, timeline, captured.longest_gap_us,
            captured.is_thinned, keeps_text, captured.status, limit_bytes >= MAX_OUTPUT_BYTES, captured,
        )  # fmt: skip

    def decode_in_flight(self, exchange: InflightExchange, labels: RouteLabels) -> DecodedExchange:
        """Decode the known part of an exchange in flight: its head, and the beginning of its
        body.
        """
        head = exchange.head
        if exchange.head_truncated:
            head = whole_lines(head)
        line, block = split_head(head)
        # `read_lines` is thread-safe: another thread may be reading an exchange that has ended.
        request = self.requests.read_lines(block)
        size = len(exchange.body)
        kind = request.content_type
        body = decode_body(exchange.body, b"", size, b"", content_type=kind)
        return DecodedExchange(labels, self.lines.read(line), request, head, request_body=body)

    def client_origin(self, section: bytes, flags: int = 0) -> ClientOrigin:
        """Read the client, scheme and host of a request (`client_section`). Without a proxy, the
        port decides the scheme.

        Several proxies make a list. Its first element counts, from the proxy nearest to the client.
        """
        address, _, named = section.partition(b"\n")
        proto, _, host = named.partition(b"\n")
        host = host.partition(b",")[0].strip()
        scheme = "https" if flags & FLAG_TLS else "http"
        return (
            address.decode("ascii", "replace") or None,
            _SCHEMES.get(proto.partition(b",")[0].strip().lower(), scheme),
            self._redactor.redact_value(host).decode() if is_host(host) else None,
        )


def whole_lines(head: bytes) -> bytes:
    """Return the whole lines of a cut head. Half a line may be half a secret, which no pattern
    recognises.

    If the first line itself is cut, it is kept up to its last word.
    """
    cut = head.rfind(b"\n")
    if cut < 0:
        return cut_end(head)
    return head[:cut]


def split_head(head: bytes) -> tuple[bytes, bytes]:
    """Split a head at the end of its first line; the rest begins with the CRLF."""
    cut = head.find(b"\r\n")
    if cut >= 0:
        return (head[:cut], head[cut:])
    return (head, b"")
