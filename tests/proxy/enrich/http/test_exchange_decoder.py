"""Heads and bodies of an exchange, as far as its route keeps them."""

import gzip

from proxy.enrich.http.exchange_decoder import (
    MAX_STATUS_LINES,
    ExchangeDecoder,
    split_head,
    whole_lines,
)
from proxy.enrich.redact.redactor import Redactor
from proxy.ring.descriptor import RouteLabels
from proxy.ring.exchange import (
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    SHED_BODIES,
    CapturedExchange,
    Exchange,
)
from proxy.ring.inflight import InflightExchange
from tests.proxy.enrich.exchanges import handed_over

LABELS = RouteLabels("", None, None, None, None, None)


def captured(
    flags: int = 0, pressure: int = 0, response: bytes = b'{"a":1}', coding: str = ""
) -> CapturedExchange:
    made = Exchange(bytes(16), b"", 0, 0, b"10.0.0.1")
    made.status = 200
    made.flags = flags
    made.request_head = b"POST /a?token=x HTTP/1.1\r\nHost: shop\r\nCookie: a=b\r\n\r\n"
    made.response_head = f"HTTP/1.1 200 OK\r\n{coding}Content-Type: text/plain\r\n\r\n".encode()
    made.request_whole = b"question"
    made.response_whole = response
    return handed_over(made, pressure)


def test_both_sides_are_read() -> None:
    """Codings are undone, and of the head only what is not secret is left."""
    exchange = captured(response=gzip.compress(b"answer"), coding="Content-Encoding: gzip\r\n")
    decoded = ExchangeDecoder(Redactor()).decode(exchange, LABELS)
    assert (decoded.line.path, decoded.line.query, decoded.request.host) == (
        "/a",
        "token=[REDACTED]",
        "shop",
    )
    assert decoded.request.redacted == b"\r\nHost: shop\r\nCookie: a=[REDACTED]"
    assert (decoded.status_line, decoded.response.content_type) == (
        b"HTTP/1.1 200 OK",
        b"text/plain",
    )
    assert decoded.request_body is not None
    assert decoded.response_body is not None
    assert (decoded.request_body.head, decoded.response_body.head) == (b"question", b"answer")


def test_what_is_not_kept_is_not_read() -> None:
    """Bodies of a route that keeps none are read for their counts alone, those that were shed not
    at all.
    """
    decoder = ExchangeDecoder(Redactor())
    assert decoder.decode(captured(FLAG_BODIES_OFF), LABELS).keeps_text is False
    assert (
        decoder.decode(captured(FLAG_HEADS_OFF | FLAG_BODIES_OFF), LABELS).status_line
        == b"HTTP/1.1 200 OK"
    )
    shed = decoder.decode(captured(pressure=SHED_BODIES), LABELS)
    assert (shed.request_body, shed.response_body) == (None, None)


def test_status_lines_are_redacted() -> None:
    """An upstream chooses the reason; many different ones leave all others as they are."""
    decoder = ExchangeDecoder(Redactor())
    secret = b"HTTP/1.1 401 no ghp_" + b"aB3" * 12
    for line in (
        secret,
        b"HTTP/1.1 200 OK",
        *(b"HTTP/1.1 200 %d" % n for n in range(2 * MAX_STATUS_LINES)),
        secret,
    ):
        expected = b"HTTP/1.1 401 no [REDACTED]" if line is secret else line
        assert decoder.read_status_line(line) == decoder.read_status_line(line) == expected


def test_heads_are_split_behind_their_first_line() -> None:
    """One without an end of line is all first line."""
    assert split_head(b"GET / HTTP/1.1\r\nA: b") == (b"GET / HTTP/1.1", b"\r\nA: b")
    assert split_head(b"GET") == (b"GET", b"")


def in_flight(head: bytes) -> InflightExchange:
    """An exchange whose head was longer than the table keeps."""
    return InflightExchange(
        record_id=bytes(16),
        started_at_us=1,
        route=0,
        client_ip=b"",
        head=head,
        head_truncated=True,
        body=b"",
    )


def test_a_head_that_was_cut_shows_no_half_line() -> None:
    """The beginning of a secret is a secret that nothing would recognise."""
    head = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Filler: f\r\nX-Other: sk-ant-api03-" + b"a" * 9
    decoded = ExchangeDecoder(Redactor()).decode_in_flight(in_flight(head), LABELS)
    assert b"X-Filler: f" in decoded.request.redacted
    assert b"sk-ant" not in decoded.request.redacted
    assert whole_lines(b"A: b\r\nX: ghp_AAAA") == b"A: b\r"


def test_a_request_line_that_was_cut_shows_no_half_word() -> None:
    """Its end may be the beginning of a secret, too."""
    head = b"GET /a?b=" + b"c+" * 700 + b"&d=ghp_" + b"A" * 20
    decoded = ExchangeDecoder(Redactor()).decode_in_flight(in_flight(head), LABELS)
    assert decoded.line.redacted == head[: head.index(b"d=")]
