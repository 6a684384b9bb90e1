"""Read plain exchanges in one go: whole, unencoded and ended well, with nothing in them that only some have.

Nearly all traffic is plain, and the tests for exceptions run cheapest first. Neither the entry nor the bodies of a
plain exchange become objects of their own. One with an unknown request line is only cut at first, so that the lines of
several can be searched at once. Invariant: the result equals that of `RecordBuilder.build`, which reads all others.
"""

from struct import Struct
from typing import Final

from proxy.enrich.calls import may_be_call
from proxy.enrich.columns import Common, Numbers
from proxy.enrich.endpoints.envelopes import failure_behind, may_fail
from proxy.enrich.grpc.reader import is_grpc
from proxy.enrich.http.decoded_body import DecodedBody
from proxy.enrich.http.exchange import SWITCHING_PROTOCOLS
from proxy.enrich.http.exchange_decoder import ExchangeDecoder
from proxy.enrich.http.head_facts import HeadFacts
from proxy.enrich.http.request_line import RequestLine
from proxy.ring.descriptor import Descriptor
from proxy.ring.exchange import (
    CODES_AT,
    FIXED,
    FLAG_HTTP10,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    LENGTHS,
    LENGTHS_AT,
    NUMBERS,
    NUMBERS_AT,
    OK,
    SHED_NONE,
)
from proxy.ring.ring import RingEntry
from storage.record import Record

MAX_COMMON: Final = 8192
"""Rings × statuses × routes × clients; about 5 MB."""
MAX_RINGS: Final = 64

_PLAIN_FLAGS: Final = FLAG_REQUEST_COMPLETE | FLAG_TLS | FLAG_HTTP10
_CODES: Final = Struct("<HHBBBB")
_ADDRESSES: Final = Struct("<HH")
_ADDRESSES_AT: Final = LENGTHS_AT - 6
_WAIT_AT: Final = LENGTHS_AT - 2
"""Plain exchanges are no WebSockets: what stands there is how long the request waited for recording, ms."""
_SPECIAL: Final = (0, SWITCHING_PROTOCOLS, 202)
"""Statuses of exchanges that ended before an answer, that carry messages, or whose answer comes elsewhere (MCP)."""
_HEADER_BYTES: Final = FIXED.size

_Parts = tuple[Common, Numbers, bytes, HeadFacts, bytes, bytes, bytes]
"""What is read but for the request: what it has in common with others, clocks and sizes, the request's head from the
CRLF of its first line on, the response's, that redacted, and both bodies."""


class CutExchange:
    """A ring entry that may be of a plain exchange, and of which the request line is not known."""

    __slots__ = ("header", "line", "parts", "sections")

    def __init__(self, header: bytes, sections: memoryview, line: bytes, parts: _Parts) -> None:
        self.header = header
        self.sections = sections
        self.line = line
        """Of the request, without its CRLF."""
        self.parts = parts


class PlainExchange:
    """A plain exchange that was read; the bodies are not redacted yet."""

    __slots__ = ("record", "request", "request_body", "request_head", "response", "response_body", "response_head")

    def __init__(
        self, record: Record, request: HeadFacts, response: HeadFacts, heads: tuple[bytes, bytes],
        request_body: bytes, response_body: bytes,
    ) -> None:  # fmt: skip
        self.record = record
        self.request = request
        self.response = response
        self.request_head, self.response_head = heads
        """Redacted."""
        self.request_body = request_body
        self.response_body = response_body


class PlainReader:
    """Reads the plain exchanges of one sidecar. Not thread-safe."""

    def __init__(self, instance: str, decoder: ExchangeDecoder) -> None:
        """Read heads as `decoder` does, whose memory is shared."""
        self._instance = instance
        self._lines = decoder.lines
        self._requests = decoder.requests
        self._responses = decoder.responses
        self._decoder = decoder
        self._rings: dict[int, tuple[Descriptor, dict[bytes, Common | None]]] = {}
        """By ring, whose descriptor must live as long: what is put together by codes and addresses; None where
        exchanges are not plain."""
        self.remembered = 0
        """How much is put together, of all rings."""

    def read(self, entry: RingEntry, descriptor: Descriptor) -> PlainExchange | CutExchange | None:
        """Read a ring entry, or cut it where its request line is not known; None when the exchange is not plain."""
        _, header, sections, _ = entry
        if len(header) != _HEADER_BYTES:
            return None
        raw = bytes(sections)
        addresses: tuple[int, int] = _ADDRESSES.unpack_from(header, _ADDRESSES_AT)
        at = addresses[0] + addresses[1]
        common = self._common(header[CODES_AT:_WAIT_AT], raw[:at], addresses[0], descriptor)
        if common is None:
            return None
        numbers: Numbers = NUMBERS.unpack_from(header, NUMBERS_AT)
        lengths: tuple[int, int, int, int, int, int, int] = LENGTHS.unpack_from(header, LENGTHS_AT)
        request_length, response_length, request_size, request_tail, response_size, response_tail, timeline = lengths
        response_at = at + request_length
        body_at = response_at + response_length
        answer_at = body_at + request_size
        end = answer_at + response_size
        is_whole = request_size == numbers[6] and response_size == numbers[7]
        if not is_whole or request_tail or response_tail or timeline or end > len(raw):
            return None
        line_end = raw.find(b"\r\n", at, response_at)
        answer_cut = raw.find(b"\r\n", response_at, body_at)
        if line_end < 0 or answer_cut < 0:
            return None
        response = self._responses.read(raw[answer_cut:body_at])
        if response.content_encoding or response.mcp_session or is_grpc(response.content_type):
            return None  # before the request is read for nothing
        response_head = self._decoder.read_status_line(raw[response_at:answer_cut]) + response.redacted
        raw_line, block = raw[at:line_end], raw[line_end:response_at]
        parts = common, numbers, block, response, response_head, raw[body_at:answer_at], raw[answer_at:end]
        line = self._lines.known(raw_line)
        if line is None:
            return CutExchange(header, sections, raw_line, parts)
        return self._read_request(header, line, parts)

    def read_cut(self, cut: CutExchange, *, is_line_clean: bool) -> PlainExchange | None:
        """Read what was cut; `is_line_clean` is what `Redactor.are_clean` says of its line. None as `read` does."""
        line = self._lines.read(cut.line, is_clean=is_line_clean)
        return self._read_request(cut.header, line, cut.parts)

    def _read_request(self, header: bytes, line: RequestLine, parts: _Parts) -> PlainExchange | None:
        common, numbers, request_block, response, response_head, request_body, response_body = parts
        request = self._requests.read(request_block)
        if request.content_encoding or request.mcp_session or request.mcp_version or is_grpc(request.content_type):
            return None
        if line.path is None or may_be_call(line.method, line.path, response_body):
            return None
        if common.is_success and may_fail(response.content_type, response_body):
            body = DecodedBody.beginning(response_body, len(response_body))
            if failure_behind(response, body) is not None:
                return None
        waited_ms = int.from_bytes(header[_WAIT_AT:LENGTHS_AT], "little")
        data = b'{"recording_wait_ms":%d}' % waited_ms if waited_ms else None
        record = common.record(header[:16], numbers, line, request, data)
        heads = (line.redacted + request.redacted, response_head)
        return PlainExchange(record, request, response, heads, request_body, response_body)

    def _common(self, codes: bytes, addresses: bytes, client: int, descriptor: Descriptor) -> Common | None:
        ring = self._rings.get(id(descriptor))
        key = codes + addresses
        if ring is not None and key in ring[1]:
            return ring[1][key]
        if self.remembered >= MAX_COMMON or (ring is None and len(self._rings) >= MAX_RINGS):
            self._rings.clear()
            self.remembered = 0
        ring = self._rings.setdefault(id(descriptor), (descriptor, {}))
        common = ring[1][key] = self._learn(codes, addresses[:client], addresses[client:], descriptor)
        self.remembered += 1
        return common

    def _learn(self, codes: bytes, client: bytes, upstream: bytes, descriptor: Descriptor) -> Common | None:
        status, route, outcome, error, flags, shed = _CODES.unpack_from(codes)
        if status in _SPECIAL or outcome != OK or error or shed != SHED_NONE or flags & ~_PLAIN_FLAGS:
            return None
        asked = self._decoder.asked_of(client, flags)
        common = Common(self._instance, descriptor, (status, route, outcome, error, flags, shed), asked, upstream)
        labels = common.labels
        return None if labels.auth or labels.provider not in (None, "auto") else common
