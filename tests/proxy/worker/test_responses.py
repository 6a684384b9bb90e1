"""Responses: how they are framed anew, how a cut looks, and what comes before and behind them (P2, P6, P14, P21)."""

from typing import Final

from proxy.ring.exchange import NOTES_REQUEST_TRAILERS, NOTES_RESPONSE_TRAILERS
from proxy.settings.model import HeaderSettings
from tests.proxy.worker.rows import (
    JUDGED,
    TO_HTTP1,
    WIRE,
    Row,
    Stage,
    arrived,
    ask,
    begin,
    connected,
    counted,
    end,
    ended,
    forwarded,
    goes,
    hear,
    hear_interim,
    leave,
    played,
    recorded,
    see,
    trailed,
    trusted,
    until_asked,
    withheld,
)
from tests.proxy.worker.services import (
    NOBODY,
    Service,
    answers,
    ends,
    gone,
    heard,
    interim,
    leaves,
    pauses,
    reads,
    serves,
    taken,
    waits,
)
from tests.support.http2_client import POST

TO_HTTP2: Final = ("h1-h2", "h2-h2")
HTTP10: Final = b"GET / HTTP/1.0\r\n\r\n"
EVENTS: Final = (("content-type", "text/event-stream"),)
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
SECTION: Final = b"Grpc-Status: 0\r\nX-Sum:  a b \r\n"
HINTS: Final = (
    (
        (*TO_HTTP1, "h1-tls"),
        b"HTTP/1.1 103 So\r\nLink: x\r\n\r\n",
        b"HTTP/1.1 100 So\r\nLink: x\r\n\r\n",
    ),
    (
        ("h1-h2", "h2-h2"),
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nlink: x\r\n\r\n",
    ),
)
"""Transports, and what `interim` sends over them."""
REFUSED: Final = ("upstream_error", "upstream_refused")
RULES: Final = HeaderSettings(set_response={"Server": ""}, set_request={"X-Team": "a"})


def download(section: bytes, fields: bytes = b"") -> bytes:
    """A response with trailers."""
    return CHUNKED + fields + b"\r\n2\r\nok\r\n0\r\n" + section + b"\r\n"


def upload(section: bytes, fields: bytes = b"") -> bytes:
    """A request with the same."""
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    return head + fields + b"\r\n4\r\nbody\r\n0\r\n" + section + b"\r\n"


def upload_of(size: int) -> bytes:
    """A request of so many bytes, sent at once."""
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)


WITH_TRAILERS: Final = upload(SECTION, b"TE: trailers\r\nConnection: TE\r\nTrailer: X-Sum\r\n")
BOTH_SECTIONS: Final = {NOTES_REQUEST_TRAILERS[0]: SECTION, NOTES_RESPONSE_TRAILERS[0]: SECTION}


def goes_while_the_worker_stands_still(stage: Stage) -> None:
    """Have all that the upstream does now found at once."""

    def stand_still() -> None:
        stage.signals.tell("go")
        stage.signals.wait("read")

    stage.plane.run(stand_still)


def is_done(service: Service) -> None:
    """Let the worker go on."""
    service.signals.tell("read")


def is_pushed_before_its_end(stage: Stage) -> None:
    """Find the record of each response that is whole already pushed."""
    assert stage.plane.reader.pushed == len(stage.ids)


def is_spaced(stage: Stage) -> None:
    """Find the pause between two chunks in the timeline."""
    (_, first_us), (_, second_us) = stage.take_record().timeline
    assert second_us - first_us >= 20_000


ROWS = [
    *(
        Row(
            f"{name} leaves both connections open, and is on record before its end",
            [
                trusted,
                *[
                    ask(method),
                    hear(
                        status,
                        body,
                        method=method,
                        fields={"content-length": length, "transfer-encoding": coding},
                    ),
                    is_pushed_before_its_end,
                ]
                * 2,
                *[recorded(status, response_bytes=len(body)) for _ in range(2)],
                connected(1),
            ],
            [serves(raw)],
            over,
            "P6",
        )
        for name, method, raw, status, body, length, coding, over in (
            (
                "HEAD with a length",
                *("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
                *(200, b"", "5", None, TO_HTTP1),
            ),
            (
                "HEAD with chunks",
                *("HEAD", CHUNKED + b"\r\n"),
                *(200, b"", None, "chunked", WIRE),
            ),
            (
                "204",
                *("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
                *(204, b"", None, None, TO_HTTP1),
            ),
            (
                "204 with a length",
                *("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
                *(204, b"", None, None, TO_HTTP1),
            ),
            (
                "304",
                *("GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
                *(304, b"", None, None, TO_HTTP1),
            ),
            (
                "304 with a length",
                *("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
                *(304, b"", "5", None, TO_HTTP1),
            ),
            (
                "an empty body",
                *("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                *(200, b"", "0", None, TO_HTTP1),
            ),
            (
                "a body in chunks",
                *("GET", CHUNKED + b"\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
                *(200, b"abc", None, "chunked", WIRE),
            ),
            (
                "a body in chunks, for a client of HTTP/2,",
                *("GET", CHUNKED + b"\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
                *(200, b"abc", None, None, ("h2-h1",)),
            ),
            (
                "a large body",
                *("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)),
                *(200, bytes(300_000), "300000", None, TO_HTTP1),
            ),
            (
                "HEAD whose head ends its stream",
                *("HEAD", answers(body=b"", fields=(("content-length", "5"),))),
                *(200, b"", "5", None, TO_HTTP2),
            ),
            (
                "204 whose head ends its stream",
                *("GET", answers(204, b"")),
                *(204, b"", None, None, TO_HTTP2),
            ),
            (
                "a body that its head ends",
                *("GET", answers(body=b"")),
                *(200, b"", None, "chunked", ("h1-h2",)),
            ),
        )
    ),
    Row(
        "one passes as it comes",
        [ask(), see(b"ab"), leave(), recorded(200, "client_closed", response=b"ab")],
        [heard, answers(body=b"ab", is_end=False), gone],
    ),
    Row(
        "one of events passes as it comes, each timed",
        [ask(), see(b"a\n\n"), goes, hear(body=b"a\n\nb\n\n"), recorded(200, timeline=[3, 6])],
        [heard, answers(body=b"a\n\n", fields=EVENTS, is_end=False), waits, b"b\n\n", ends()],
    ),
    Row(
        "one of events notes when each came",
        [ask(), see(b"a\n\n"), goes, hear(), is_spaced],
        [
            heard,
            answers(body=b"a\n\n", fields=EVENTS, is_end=False),
            waits,
            pauses(0.03),
            b"b\n\n",
            ends(),
        ],
    ),
    *(
        Row(
            f"one of lines of JSON on a route of {provider} is timed: {is_timed}",
            [
                ask("POST", "/api/chat", b"{}"),
                hear(body=b"{}\n{}\n"),
                recorded(200, is_timed=is_timed),
            ],
            [
                taken,
                answers(
                    body=b"{}\n", fields=(("content-type", "application/x-ndjson"),), is_end=False
                ),
                b"{}\n",
                ends(),
            ],
            ("h1",),
            settings={"route": {"provider": provider}},
        )
        for provider, is_timed in {"ollama": True, "openai": True, "none": False}.items()
    ),
    Row(
        "one without a length ends with its connection, and its client's connection stays",
        [*[ask(), hear(body=b"until close")] * 2, *[recorded(200)] * 2],
        [heard, b"HTTP/1.1 200 OK\r\n\r\nuntil ", b"close"],
        (*TO_HTTP1, "reference"),
        "P2",
    ),
    Row(
        "one that is cut looks so",
        [ask(), hear(is_whole=False), recorded(200, "truncated", "upstream_reset")],
        [heard, answers(body=b"short", length=100), pauses(0.02), leaves()],
        JUDGED,
        "P14",
    ),
    *(
        Row(
            f"one that is cut {name} looks so",
            [ask(), hear(is_whole=False), recorded(200, "truncated", code)],
            [heard, CHUNKED + b"\r\n" + raw, pauses(0.02)],
            TO_HTTP1,
            "P14",
        )
        for name, raw, code in (
            ("within a chunk", b"64\r\nshort", "upstream_reset"),
            ("between two chunks", b"5\r\nshort\r\n", "upstream_reset"),
            ("by a chunk that is none", b"5\r\nshort\r\nzz\r\n", "upstream_bad_response"),
        )
    ),
    *(
        Row(
            f"what comes together with a cut is passed on, {name}",
            [
                *(ask(), until_asked, goes_while_the_worker_stands_still),
                hear(body=b"short", is_whole=False),
                recorded(200, "truncated", "upstream_reset", response=b"short"),
            ],
            [heard, waits, b"HTTP/1.1 200 OK\r\n" + raw, leaves(), is_done],
            TO_HTTP1,
            "P14",
        )
        for name, raw in (
            ("of a length", b"Content-Length: 9\r\n\r\nshort"),
            ("in chunks", b"Transfer-Encoding: chunked\r\n\r\n9\r\nshort"),
        )
    ),
    Row(
        "one that is cut resets its stream, and the connection lives",
        [
            *[
                ask(),
                hear(body=b"short", is_whole=False, reset=2),
                recorded(200, "truncated", "upstream_reset"),
            ]
            * 2
        ],
        [heard, answers(body=b"short", length=100), pauses(0.05), leaves()],
        ("h2-h1", "h2-h2"),
        "P14",
    ),
    Row(
        "one that is cut is a reset where the end of the connection is its end",
        [HTTP10, hear(is_whole=False), recorded(200, "truncated", "upstream_reset")],
        [heard, CHUNKED + b"\r\n5\r\nshort\r\n", pauses(0.05)],
        ("h1",),
        "P14",
    ),
    *(
        Row(
            f"{code} is a 502, and the client may go on",
            [
                *[
                    ask(),
                    hear(502, error=code, fields={"connection": None}),
                    recorded(502, "upstream_error", code, is_own=True, was_sent=was_sent),
                ]
                * 2,
                counted("upstream_errors", {("0", code.removeprefix("upstream_")): 2}),
            ],
            upstream,
            JUDGED,
            "P14",
        )
        for code, was_sent, upstream in (
            ("upstream_refused", False, NOBODY),
            ("upstream_unresolved", False, "http://nowhere.invalid"),
        )
    ),
    Row(
        "an error response to HEAD has no body, and its record says why in a note",
        [
            ask("HEAD", path="/in"),
            hear(502, b"", error="upstream_refused", method="HEAD"),
            recorded(502, *REFUSED, response_bytes=0, message=b"cannot connect to the upstream"),
            ask("HEAD", path="/other"),
            hear(404, b"", error="no_route", method="HEAD"),
            recorded(404, "rejected", "no_route", response_bytes=0, message=b"'/other'"),
        ],
        NOBODY,
        TO_HTTP1,
        "P6",
        {"route": {"path": "/in"}},
    ),
    Row(
        "an upload to nobody is a 502, and its client may go on unless that is too much to read",
        [
            *(
                step
                for size in (0, 3)
                for step in (
                    upload_of(size),
                    hear(502, error="upstream_refused", fields={"connection": None}),
                    recorded(502, *REFUSED, request_bytes=size),
                )
            ),
            upload_of(200_000),
            hear(502, error="upstream_refused"),
            recorded(502, *REFUSED),
        ],
        NOBODY,
        WIRE,
        "P24",
    ),
    Row(
        "an upstream whose certificate nobody signed is a 502, and is sent nothing",
        [
            *(ask(), hear(502, error="upstream_untrusted")),
            recorded(502, "upstream_error", "upstream_untrusted", was_sent=False),
            counted("upstream_errors", {("0", "untrusted"): 1}),
        ],
        over=("h1-tls", "reference-tls"),
        settings={"route": {"upstream_ca_file": ""}},
    ),
    Row(
        "one may begin before its request ends",
        [
            *(ask("POST", length=4), see(b"ab"), b"body", hear(body=b"abcd")),
            recorded(200, is_request_whole=True, request=b"body", response=b"abcd"),
        ],
        [heard, answers(body=b"ab", length=4), reads(4), b"cd", gone],
        rule="P16",
    ),
    *(
        Row(
            "hints and a 100 that is waited for go before it",
            [
                ask("POST", length=4, fields=(("expect", "100-continue"),)),
                *(hear_interim(103, hint), hear_interim(100, go_on), b"body"),
                *(hear(), recorded(200, request=b"body")),
            ],
            [heard, interim(103), interim(100), reads(4), answers(), gone],
            over,
            "P5",
        )
        for over, hint, go_on in HINTS
    ),
    *(
        Row(
            "a 100 that nobody waits for goes no further",
            [ask(), hear_interim(103, hint), hear(body=b"ok"), recorded(200)],
            [heard, interim(100), interim(103), answers(), gone],
            over,
            "P21",
        )
        for over, hint, _ in HINTS
    ),
    Row(
        "a client of HTTP/1.0 gets no interim responses, no chunks, and the end of its connection",
        [
            *(
                HTTP10,
                hear(
                    body=b"ok",
                    fields={"transfer-encoding": None, "connection": "close", "trailer": None},
                    trailer_lines=b"",
                ),
                ended,
            ),
            recorded(
                200,
                is_http10=True,
                notes=dict(
                    zip(NOTES_RESPONSE_TRAILERS, (SECTION, b"grpc-status,x-sum"), strict=True)
                ),
            ),
        ],
        [heard, interim(103), download(SECTION, b"Trailer: Grpc-Status\r\n")],
        ("h1",),
        "P21",
    ),
    Row(
        "a client of HTTP/1.0 keeps its connection where it asks for it",
        [
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            *(
                hear(fields={"connection": "keep-alive"}),
                HTTP10,
                hear(fields={"connection": "close"}),
                ended,
            ),
            *[recorded(200)] * 2,
        ],
        over=WIRE,
    ),
    Row(
        "the method of the request before does not shape an error",
        [
            *(
                ask("HEAD"),
                hear(method="HEAD"),
                b"NONSENSE\r\n\r\n",
                hear(400, error="bad_request"),
            ),
            *(recorded(200), recorded(400, "rejected", "bad_request")),
        ],
        [heard, answers(), gone],
        over=WIRE,
    ),
    # Trailers (P4).
    Row(
        "trailers pass both ways and are on record",
        [
            *(
                ask("POST", body=b"x", is_end=False),
                end((("x-check", "2"),)),
                hear(body=b"a", trailers={"x-sum": "1"}),
            ),
            recorded(200, request_trailers=b"x-check: 2\r\n", response_trailers=b"x-sum: 1\r\n"),
            trailed(b"x-check: 2\r\n"),
        ],
        [taken, answers(body=b"a", is_end=False), ends(("x-sum", "1"))],
        rule="P4",
    ),
    Row(
        "trailers pass byte for byte in any pieces, and the connections live on",
        [
            trusted,
            *(
                step
                for size in (1, 7, len(WITH_TRAILERS))
                for step in (
                    *(WITH_TRAILERS[at : at + size] for at in range(0, len(WITH_TRAILERS), size)),
                    hear(body=b"ok", trailer_lines=SECTION, fields={"trailer": "Grpc-Status"}),
                    recorded(200, request_bytes=4, response_bytes=2, notes=BOTH_SECTIONS),
                    forwarded(b"\r\nTrailer: X-Sum\r\n", b"\r\nConnection: TE\r\nTE: trailers\r\n"),
                )
            ),
            trailed(SECTION, SECTION, SECTION),
            connected(1),
        ],
        [serves(download(SECTION, b"Trailer: Grpc-Status\r\n"))],
        WIRE,
        "P4",
        patches={"proxy.worker.upstream.pool.POST_IDLE_NS": 60_000_000_000},
    ),
    Row(
        "nothing is said of trailers where there are none",
        [
            *(
                upload(b"", b"TE: gzip;q=0.5\r\nConnection: TE\r\n"),
                hear(trailer_lines=b""),
                recorded(200, notes={}),
            ),
            withheld(b"\r\nTE"),
            trailed(b""),
        ],
        [taken, download(b"")],
        WIRE,
    ),
    Row(
        "trailers behind a length are recorded as dropped",
        [
            *(
                begin((*POST, ("content-length", "1")), is_end=False),
                b"x",
                end((("x-check", "2"),)),
            ),
            *(
                hear(),
                recorded(200, request_trailers=b"x-check: 2\r\n", request_dropped=b"x-check"),
            ),
        ],
        over=("h2-h1",),
    ),
    Row(
        "what has a meaning in heads only stays here: framing, routing, our own fields, what a rule removes, the key",
        [
            upload(
                b"Host: evil\r\nA: b\r\nX-Forwarded-For: 9.9.9.9\r\nX-Request-Id: r\r\nApi-Key: sk_x\r\n"
                b"X-Team: b\r\nA: c\r\n"
            ),
            hear(trailer_lines=b"A: b\r\n"),
            recorded(
                200,
                request_dropped=b"host,x-forwarded-for,x-request-id,api-key,x-team",
                response_dropped=b"content-length,x-sidelog-id,server",
            ),
            trailed(b"A: b\r\nA: c\r\n"),
            *(ask(), hear(), recorded(200)),
        ],
        [serves(download(b"Content-Length: 1\r\nX-Sidelog-Id: x\r\nServer: s\r\nA: b\r\n"))],
        WIRE,
        settings={"route": {"auth": "optional", "headers": RULES}},
    ),
    *(
        Row(
            f"trailers that are malformed, {section[:9]!r}, are judged like heads",
            [
                *(ask(), hear(is_whole=False), recorded(200, "truncated", "upstream_bad_response")),
            ],
            [taken, download(section), gone],
            TO_HTTP1,
            "P4",
        )
        for section in (b" X: y\r\n", b"X: y\n\r\n", b"X\r\n", b"X: y\r\n" * 101)
    ),
    *(
        Row(
            f"trailers of a request that are malformed, {section[:9]!r}, are judged like heads",
            [
                upload(section),
                hear(400, error="bad_request"),
                ended,
                recorded(400, "rejected", "bad_request"),
                arrived(),
            ],
            [taken, answers()],
            WIRE,
            "P4",
        )
        for section in (b" X: y\r\n", b"X: y\n\r\n", b"X\r\n", b"X: y\r\n" * 101)
    ),
]


test_responses = played(ROWS)
