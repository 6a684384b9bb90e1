"""Whatever an exchange is like, its record does not depend on what is remembered, skipped or
searched together.
"""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from bench.micro import enrich
from proxy.enrich.columns import MAX_SHARED, SharedColumnsMemo
from proxy.enrich.http.exchange_decoder import ExchangeDecoder
from proxy.enrich.llm.prices import Prices
from proxy.enrich.readers.reader import Dependencies
from proxy.enrich.readers.readers import Readers
from proxy.enrich.records import RecordBuilder
from proxy.enrich.redact.redactor import Redactor
from proxy.ring.descriptor import Descriptor
from proxy.ring.exchange import (
    FLAG_BODIES_OFF,
    FLAG_HEADS_OFF,
    FLAG_HTTP10,
    FLAG_OWN_RESPONSE,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    KIND_EXCHANGE,
    CapturedExchange,
    Exchange,
)
from proxy.settings.model import ProxySettings, RouteSettings, Settings
from storage.record import Entry
from tests.proxy.enrich.exchanges import descriptor_of
from tests.support.cases import each_of

LIMIT_BYTES = 1 << 20
SETTINGS = Settings(
    routes=(
        RouteSettings(id="default", upstream="http://127.0.0.1:1"),
        RouteSettings(id="model", path="/m", upstream="http://127.0.0.1:1", provider="openai"),
        RouteSettings(id="keyed", path="/k", upstream="http://127.0.0.1:1", auth="optional"),
        RouteSettings(
            id="team", path="/t", upstream="http://127.0.0.1:1", project="red", service="shop"
        ),
    ),
)
TRACING = Settings(routes=SETTINGS.routes, proxy=ProxySettings(trace_context=True))
HEAD = b"GET /items/1 HTTP/1.1\r\nHost: shop\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

TARGETS = st.sampled_from(
    [
        b"/items/1",
        b"/items/2?limit=5",
        b"/items/2?token=abc",
        b"/a;sid=1/b",
        b"*",
        b"http://other.test/x?y=1",
        b"",
        b"/v1/chat/completions",
        b"/v1/responses",
        b"/mcp",
        b"/graphql",
        b"/files/x",
        b"/%e2%82%ac/\xff",
        b"/a b",
        b"/" + b"n" * 300,
    ]
)
FIELDS = st.lists(
    st.sampled_from(
        [
            b"Host: shop",
            b"User-Agent: a/1",
            b"Cookie: a=b; c=d",
            b"Authorization: Bearer 0123456789abcdef",
            b"X: 1",
            b"X-Request-Id: 6f1c2b7e9d304f5fa1d6c0be7a5e8d11",
            b"X-Request-Id: not/one",
            b"Mcp-Session-Id: s",
            b"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"Mcp-Protocol-Version: 1",
            b"Content-Type: application/json",
            b"Content-Type: text/plain",
            b"Content-Encoding: gzip",
            b" folded",
            b"content-encoding: identity",
            b"Content-Type: text/plain; charset=ISO-8859-1",
            b"Content-Type: application/x-www-form-urlencoded",
            b"Content-Type: text/event-stream",
            b"no colon",
            b"a\nb: c",
        ]
    ),
    max_size=6,
)
BODIES = st.sampled_from(
    [
        b"",
        b'{"a":1}',
        b'{"password":"x"}',
        b"plain text",
        b"a=b&token=c",
        b"event: endpoint\ndata: /s?id=1\n\n",
        gzip.compress(b'{"a":1}', mtime=0),
        b'{"b":"%b"}' % (b"QUJD" * 600),
        b"[%b]" % (b"1.5," * 400),
        b"\xff\xfe{\0",
        b'\xef\xbb\xbf{"password":"x"}',
        b'{"a":"caf\xe9"}',
        b'{"query":"query Books { a }"}',
        b'{"model":"m","messages":[]}',
        b"sk-0123456789abcdefghij0123456789",
        b'{"text":"%b"}' % (b"lorem ipsum " * 200),
        b'"token":1',
        b"x" * 300_000,
        b'{"error":{"message":"x"}}',
        b'{"error":null,"a":1}',
        b'event: error\ndata: {"message":"x"}\n\n',
    ]
)
FLAGS = st.sampled_from(
    [
        *(
            FLAG_REQUEST_COMPLETE,
            FLAG_REQUEST_COMPLETE | FLAG_TLS,
            FLAG_HTTP10,
            FLAG_OWN_RESPONSE,
            FLAG_HEADS_OFF,
        ),
        *(FLAG_BODIES_OFF, FLAG_HEADS_OFF | FLAG_BODIES_OFF),
    ]
)


def exchange(flags: int = FLAG_REQUEST_COMPLETE, number: int = 1) -> Exchange:
    """A plain exchange: a GET without bodies."""
    made = Exchange(
        number.to_bytes(16, "big"), b"", 0, 1_790_000_000_000_000_000 + number, b"10.0.0.1"
    )
    made.route = 0
    made.status = 200
    made.flags = flags
    made.upstream = b"127.0.0.1:9000"
    made.request_head = HEAD
    made.response_head = ANSWER
    made.sent_ns = 50_000
    made.first_byte_ns = 300_000
    made.done_ns = 350_000
    made.ended_ns = 380_000
    return made


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Any exchange, most of them plain; packed as a worker does."""
    made = exchange(
        draw(FLAGS) if draw(st.booleans()) else FLAG_REQUEST_COMPLETE, draw(st.integers(1, 1000))
    )
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"PROPFIND", b"X-OWN"]))
    line = b"%b %b HTTP/1.1" % (method, draw(TARGETS))
    made.request_head = b"\r\n".join([line, *draw(FIELDS), b"", b""])
    status_line = draw(st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ghp_" + b"aB3" * 12]))
    made.response_head = b"\r\n".join([status_line, *draw(FIELDS), b"", b""])
    if draw(st.integers(0, 9)) == 0:
        made.response_head = draw(st.sampled_from([b"", b"HTTP/1.1 200 OK", b"\r\n"]))
    made.request_whole, made.response_whole = draw(BODIES), draw(BODIES)
    made.status = draw(st.sampled_from([200, 200, 200, 204, 202, 301, 404, 500, 101, 0]))
    made.route = draw(st.sampled_from([0, 0, 0, 1, 2, 3, 0xFFFF]))
    made.client = draw(st.sampled_from([b"10.0.0.1", b"2001:db8::1", b""]))
    made.connect_ns, made.done_ns = draw(st.sampled_from([(-1, 350_000), (10_000, -1)]))
    if draw(st.integers(0, 9)) == 0:
        made.outcome, made.error = draw(st.sampled_from([(1, 3), (3, 0), (0, 2)]))
    return packed(made, draw(st.sampled_from([0, 0, 0, 0, 1, 2])))


def packed(made: Exchange, pressure: int = 0) -> tuple[bytes, bytes]:
    header, sections = made.encode(pressure)
    return header, b"".join(sections)


def readers_of(given_settings: Settings) -> Readers:
    return Readers(Dependencies(Redactor(), given_settings, Prices()))


def outcome_of(
    builder: RecordBuilder, descriptor: Descriptor, entry: tuple[bytes, bytes]
) -> Entry | str:
    """Build one alone; what fails is named by its kind."""
    try:
        return builder.build(CapturedExchange(*entry), descriptor, LIMIT_BYTES - 1)
    except Exception as error:
        return type(error).__name__


@given(st.lists(exchanges(), max_size=6), st.sampled_from([SETTINGS, TRACING]))
def test_records_are_those_of_exchanges_built_alone(
    entries: list[tuple[bytes, bytes]], chosen: Settings
) -> None:
    """At first sight and later, whatever is remembered of others."""
    descriptor = descriptor_of(chosen)
    together = RecordBuilder("a", chosen)
    alone = RecordBuilder("a", chosen)
    raws = [(KIND_EXCHANGE, header, memoryview(sections), 0) for header, sections in entries]

    for _ in range(3):
        made = list(together.build_each(raws, descriptor, LIMIT_BYTES - 1))
        assert [type(each).__name__ if isinstance(each, Exception) else each for each in made] == [
            outcome_of(alone, descriptor, entry) for entry in entries
        ]


@each_of(
    ("entry", "expected"),
    [
        (packed(exchange()), False),
        (enrich.entry("GET", "/items/1?limit=5", b"", enrich.DOCUMENT), False),
        (enrich.varied("POST", enrich.DOCUMENT, enrich.DOCUMENT, 1), False),
        (enrich.entry("GET", "/items/1", b"", b'{"error":null,"a":1}'), True),
        (enrich.entry("GET", "/v1/batches/b", b"", b"{}"), True),
        (enrich.entry("POST", "/graphql", b"", b"{}"), True),
        (enrich.entry("POST", "/v1/chat/completions", b"", b"{}"), True),
        (enrich.entry("GET", "/", b"", b"{}", more_headers="Mcp-Session-Id: s\r\n"), True),
        (enrich.entry("GET", "/", b"", b"event: endpoint\n", "text/event-stream"), True),
    ],
)
def test_most_exchanges_hold_no_call(entry: tuple[bytes, bytes], expected: bool) -> None:
    """No reader is asked to read them."""
    decoder = ExchangeDecoder(Redactor())
    captured = CapturedExchange(*entry)
    shared = SharedColumnsMemo("a", decoder.client_origin).of(captured, descriptor_of(SETTINGS))
    found = readers_of(SETTINGS).of(decoder.decode(captured, shared.labels))
    assert bool(found) == expected


def test_the_reason_of_a_response_is_redacted() -> None:
    made = exchange()
    made.response_head = ANSWER.replace(b"OK", b"ghp_" + b"aB3" * 12)
    entry = outcome_of(RecordBuilder("a", SETTINGS), descriptor_of(SETTINGS), packed(made))
    assert isinstance(entry, Entry)
    assert entry.payload is not None
    assert entry.payload.response_head.startswith(b"HTTP/1.1 200 [REDACTED]\r\n")


def test_common_columns_are_remembered_within_a_bound() -> None:
    """Of clients, and of rings, which are never mixed up."""
    memo = SharedColumnsMemo("a", ExchangeDecoder(Redactor()).client_origin)
    descriptor = descriptor_of(SETTINGS)
    other = descriptor_of(TRACING)
    captured = CapturedExchange(*packed(exchange()))
    assert memo.of(captured, descriptor) is memo.of(captured, descriptor)
    assert memo.of(captured, descriptor) is not memo.of(captured, other)
    for number in range(MAX_SHARED + 2):
        captured.client = b"%d" % number
        memo.of(captured, descriptor)
    assert 0 < len(memo.known) <= MAX_SHARED
