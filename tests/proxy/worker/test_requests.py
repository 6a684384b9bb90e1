"""Requests: what of them reaches an upstream, which are refused, and what is on record of either."""

from typing import Final

from proxy.ring.exchange import MAX_REFUSED_HEAD_BYTES, NO_ROUTE
from proxy.settings.model import RouteLimitSettings
from proxy.worker.deadlines import MAX_READ_AHEAD_BYTES
from proxy.worker.engine import SWEEP_S
from proxy.worker.recorder import NO_SLOT
from tests.proxy.http1.test_trace_context import VALID
from tests.proxy.worker.clients import Asked, calling
from tests.proxy.worker.records import seen
from tests.proxy.worker.rows import (
    JUDGED,
    TO_HTTP1,
    WIRE,
    Row,
    Stage,
    Step,
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
    pause,
    played,
    recorded,
    see,
    then,
    trusted,
    until,
    until_asked,
    until_buffered,
    until_gone,
    until_read,
    uploads,
    withheld,
)
from tests.proxy.worker.services import (
    Http1Service,
    Service,
    answers,
    gone,
    heard,
    interim,
    pauses,
    reads,
    repeats,
    serves,
    taken,
    takes_little,
    waits,
)
from tests.support.client import GET
from tests.support.plane import INSTANCE, eventually

H: Final = b" HTTP/1.1\r\nHost: a\r\n"
EXPECT: Final = (("expect", "100-continue"),)
FAILED: Final = ("upstream_error", "upstream_bad_response")
AN_HOUR: Final = {"timeout_headers_s": 3600, "timeout_keep_alive_s": 36_000}
HALF_OF_THE_TIME: Final = then(lambda plane: plane.age(1800))
"""Of an hour that a head has."""
AHEAD: Final = GET[:-2] + b"X: " + b"x" * 8000 + b"\r\n\r\n"
LOOP_READ_BYTES: Final = 256_000
"""What uvloop reads at once; reading pauses only after it."""
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(framing: bytes) -> bytes:
    return b"POST /" + H + framing


def refused(status: int, code: str, **more: object) -> tuple[Step, Step]:
    """Read a refusal, and compare its record."""
    return hear(status, error=code), recorded(status, "rejected", code, is_own=True, **more)


def refuses_expectations(service: Service) -> None:
    """Answer 417 to who waits for a 100, and leave the body unread; tell others their path."""
    assert isinstance(service, Http1Service)
    if b"Expect" in service.head:
        service.answer(417, b"", (), None, is_end=True)
    else:
        service.answer(200, service.path.encode(), (), None, is_end=True)


def next_client_is_served(stage: Stage) -> None:
    """Find that another client gets its own answer."""
    is_tls = stage.plane.settings.proxy.tls_cert_file
    with calling(stage.plane, "tls" if is_tls else "http1") as caller:
        caller.ask(Asked(path="/next-client"))
        assert caller.hear("GET").body == b"/next-client"
    assert seen(stage.take_record(), {"path"}) == {"path": b"/next-client"}


def is_not_shown(stage: Stage) -> None:
    """Find that an exchange which was to be shown as in flight is not."""
    running = stage.plane.engine.in_flight
    eventually(lambda: stage.plane.run(lambda: [each.slot for each in running]) == [NO_SLOT])
    assert stage.plane.in_flight() == []


def forgotten(stage: Stage) -> None:
    """Take no record for missing where none is made."""
    stage.ids.clear()


def contexts(stage: Stage) -> list[bytes]:
    """Return the trace contexts of the last head that reached an upstream."""
    lines = stage.signals.heads[-1].split(b"\r\n")
    return [line.partition(b": ")[2] for line in lines if line.lower().startswith(b"traceparent:")]


def has_a_new_context(stage: Stage) -> None:
    """Find the trace context that is made of the record's id, and no other."""
    record_id = stage.take_record().id.hex()
    assert contexts(stage) == [f"00-{record_id}-{record_id[16:]}-01".encode()]


def has_contexts(*expected: bytes) -> Step:
    """Compare all trace contexts that reached an upstream with the last head."""

    def check(stage: Stage) -> None:
        assert contexts(stage) == [*expected]

    return check


ROWS = [
    # What an upstream gets.
    Row(
        "those of one connection are forwarded and recorded one by one",
        [
            trusted,
            *[
                step
                for n in range(5)
                for step in (ask(path=f"/{n}"), hear(body=b"ok", fields={"connection": None}))
            ],
            *[
                recorded(
                    200,
                    response=b"ok",
                    client=b"127.0.0.1",
                    is_first_of_its_connection=not n,
                    path=b"/%d" % n,
                )
                for n in range(5)
            ],
            connected(1),
        ],
    ),
    Row(
        "what follows a body, whatever its framing, is the next one and nothing else",
        [
            post(b"Content-Length: 5\r\n\r\nfirst")
            + post(b"Transfer-Encoding: chunked\r\n\r\n")
            + b"3\r\nsec\r\n3;x=y\r\nond\r\n0\r\nT: r\r\n\r\n"
            + GET
            + post(b"Content-Length: 70000\r\n\r\n")
            + b"x" * 70000
            + GET,
            *[hear()] * 5,
            recorded(200, request=b"first"),
            recorded(200, request=b"second", request_bytes=6),
            recorded(200),
            recorded(200, request_bytes=70000, request=b"x" * 65536, request_tail=b"x" * 4464),
            recorded(200, request_bytes=0),
            arrived(b"first", b"second", b"", b"x" * 70000, b""),
        ],
        over=(*WIRE, "h1-h2"),
        rule="P2",
    ),
    Row(
        "hop-by-hop fields go, ours are added last, all else stays as it came",
        [
            b"GET http://other:81/p%2F?q=%00 HTTP/1.1\r\nHost: a\r\nConnection: X-Drop, X-Forwarded-For\r\nX-Drop: 1"
            b"\r\n"
            b"X-Forwarded-For: 9.9.9.9\r\nX_Forwarded_For: 8.8.8.8\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: "
            b"AA\r\n"
            b"Cookie: a=1; sidelog_session=s; b=2\r\nx-KEEP:  two  words \r\nX-Request-Id: r-1\r\n\r\n",
            hear(),
            recorded(200),
            forwarded(
                b"GET /p%2F?q=%00 HTTP/1.1\r\nHost: other:81\r\nCookie: a=1; b=2\r\nx-KEEP:  two  words "
                b"\r\nX-Request-Id: r-1\r\n"
                b"X-Sidelog-Hop: "
                + INSTANCE.encode()
                + b"\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
                b"X-Forwarded-Host: other:81\r\n\r\n"
            ),
        ],
        over=("h1",),
        rule="P1",
    ),
    Row(
        "one of HTTP/2 is one of HTTP/1.1 for its upstream, and HTTP/2 on record",
        [
            ask(path="/a?b", fields=(("cookie", "a=1"), ("cookie", "b=2"))),
            hear(body=b"ok", fields={"connection": None}),
            forwarded(b"GET /a?b HTTP/1.1\r\nHost: a\r\ncookie: a=1; b=2\r\n"),
            recorded(200, line=b"GET /a?b HTTP/2"),
        ],
        over=("h2-h1",),
    ),
    *(
        Row(
            f"a body of HTTP/2 {name} is framed anew",
            [
                ask("POST", body=b"hello", is_end=is_end),
                end() if not is_end else b"",
                hear(),
                arrived(b"hello"),
                forwarded(framing),
                withheld(*others),
                recorded(200, request=b"hello", is_chunked=False),
            ],
            over=("h2-h1",),
            rule="P2",
        )
        for name, is_end, framing, others in (
            (
                "with a length",
                True,
                b"\r\nContent-Length: 5\r\n",
                (b"ransfer-encoding", b"ransfer-Encoding"),
            ),
            (
                "without one",
                False,
                b"\r\nTransfer-Encoding: chunked\r\n",
                (b"ontent-length", b"ontent-Length"),
            ),
        )
    ),
    *(
        Row(
            f"the method {method}, which nobody here knows, passes",
            [
                *[
                    ask(method, "/v1", b"body"),
                    hear(),
                    recorded(200, request=b"body"),
                    forwarded(method.encode() + b" /v1 HTTP/1.1\r\n"),
                ]
                * 2
            ],
            over=TO_HTTP1,
            rule="P8",
        )
        for method in ("LIST", "M-SEARCH", "x-Own!")
    ),
    Row(
        "an offer of HTTP/2 is answered over HTTP/1.1",
        [
            b"GET /"
            + H
            + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n",
            hear(fields={"upgrade": None}),
            ask(),
            hear(),
            recorded(200),
            recorded(200),
            withheld(b"h2c", b"pgrade", b"HTTP2"),
        ],
        over=WIRE,
        rule="P7",
    ),
    Row(
        "empty lines between them are nothing",
        [
            *[b"\r\n" + GET + b"\r\n\r\n", hear()] * 2,
            *[recorded(200)] * 2,
            leave(),
            counted("connections_downstream", 0),
        ],
        over=WIRE,
    ),
    Row(
        "each has a trace context where one is wanted, a valid one its own",
        [
            *[ask(), hear(), has_a_new_context] * 2,
            ask(fields=(("traceparent", "x"),)),
            hear(),
            has_a_new_context,
            b"GET /" + H + VALID + b"\r\n\r\n",
            hear(),
            recorded(200),
            has_contexts(VALID.partition(b": ")[2]),
        ],
        over=("h1", "reference"),
        settings={"trace_context": True},
    ),
    Row(
        "none has a trace context where none is wanted, and what is not valid passes",
        [
            ask(),
            hear(),
            has_contexts(),
            ask(fields=(("traceparent", "x"),)),
            hear(),
            has_contexts(b"x"),
            *[recorded(200)] * 2,
        ],
        over=("h1", "reference"),
    ),
    # Upload that waits for a 100 (P5).
    Row(
        "a body that nobody asked for is never the next one",
        [
            b"POST /"
            + H
            + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
            + SMUGGLED,
            hear(417),
            ask(path="/next"),
            hear(body=b"/next"),
            recorded(417),
            recorded(200, path=b"/next"),
            connected(2),
            next_client_is_served,
        ],
        [repeats(refuses_expectations)],
        WIRE,
        "P5",
    ),
    *(
        Row(
            f"an upstream is late while its client waits for a 100, {name}",
            [
                ask("POST", length=2, fields=EXPECT),
                *sent,
                hear(status, error=code),
                recorded(status, how, code),
            ],
            [heard, gone],
            TO_HTTP1,
            "P17",
            {"timeout_body_idle_s": 0.2, "timeout_first_byte_s": 0.8},
        )
        for name, sent, status, how, code in (
            ("who waits", [], 504, "upstream_timeout", "upstream_timeout"),
            ("who goes on", [b"a"], 408, "rejected", "timeout_body"),
        )
    ),
    Row(
        "the time of a body begins with its 100",
        [ask("POST", length=2, fields=EXPECT), hear_interim(100), *refused(408, "timeout_body")],
        [heard, pauses(0.6), interim(100), gone],
        settings={"timeout_body_idle_s": 0.4},
        rule="P17",
    ),
    # Refusals.
    Row(
        "one for no route is refused, and its connection goes on",
        [
            ask(path="/other"),
            hear(404, error="no_route", fields={"connection": None}),
            ask(path="/v1/x"),
            hear(),
            recorded(404, "rejected", "no_route", route=NO_ROUTE),
            recorded(200, route=0),
            counted("requests", {("", "GET", "4xx"): 1, ("0", "GET", "2xx"): 1}),
        ],
        over=JUDGED,
        settings={"route": {"path": "/v1/"}},
    ),
    Row(
        "a refusal closes where its request asks for it",
        [
            ask(path="/other", fields=(("Connection", "close"),)),
            hear(404, error="no_route", fields={"connection": "close"}),
            ended,
            recorded(404, "rejected", "no_route", is_request_whole=True),
        ],
        over=WIRE,
        settings={"route": {"path": "/v1/"}},
    ),
    Row(
        "one that passed before is refused",
        [ask(fields=(("X-Sidelog-Hop", f"other, {INSTANCE}"),)), *refused(508, "loop_detected")],
        over=JUDGED,
        rule="P19",
    ),
    Row(
        "thousands of refusals wait for a client that does not read yet, and keep their order",
        [
            b"".join(b"GET /%d" % number + H + b"\r\n" for number in range(2000)),
            leave("end"),
            pause(0.1),
            *(hear(404, error="no_route", says=b"'/%d'" % number) for number in range(2000)),
            ended,
            *(
                recorded(404, "rejected", "no_route", path=b"/%d" % number)
                for number in range(2000)
            ),
        ],
        over=("h1",),
        rule="P20",
        settings={"route": {"path": "/v1/"}},
    ),
    *(
        Row(
            f"one that is refused as {code} is recorded with its client, whose proxy is {word}",
            [
                line + H + b"X-Forwarded-For: 192.0.2.9\r\n" + rest + b"\r\n",
                *refused(status, code, client=client),
            ],
            over=("h1",),
            rule="P18",
            settings={
                "trusted_proxies": trusted_by,
                "max_body_bytes": 5,
                "route": {"path": "/in/"},
            },
        )
        for word, trusted_by, client in (
            ("trusted", ("127.0.0.0/8",), b"192.0.2.9"),
            ("a stranger", (), b"127.0.0.1"),
        )
        for line, rest, status, code in (
            (b"GET /out", b"", 404, "no_route"),
            (b"GET /in/../out", b"", 400, "bad_request"),
            (b"POST /in/", b"Content-Length: 6\r\n", 413, "body_too_large"),
            (b"GET /in/", b"X-Sidelog-Hop: Side-1\r\n", 508, "loop_detected"),
        )
    ),
    Row(
        "clients behind a trusted proxy are told apart on one connection",
        [
            *(
                step
                for address in (b"1.2.3.4", b"5.6.7.8", b"5.6.7.8")
                for step in (
                    b"GET /" + H + b"X-Forwarded-For: %b\r\n\r\n" % address,
                    hear(),
                    recorded(200, client=address),
                )
            ),
            *(ask(), hear(), recorded(200, client=b"127.0.0.1")),
            *(b"GET /" + H + b"Host: b\r\n\r\n", *refused(400, "bad_request", client=b"127.0.0.1")),
        ],
        over=("h1",),
        rule="P18",
        settings={"trusted_proxies": ("127.0.0.0/8",)},
    ),
    *(
        Row(
            f"{name} is refused by its name",
            [
                *(raw, hear(400, error=code, says=says)),
                recorded(400, "rejected", code, is_own=True),
            ],
            over=("h1",),
            settings={"http2": "off"},
            rule="P8",
        )
        for name, raw, code, says in (
            (
                "HTTP/2",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
                "http2_unsupported",
                b"HTTP/2 is off on this port ([proxy] http2)",
            ),
            (
                "TLS",
                b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(154)),
                "tls_on_plain_port",
                b"",
            ),
        )
    ),
    Row(
        "HTTP/2 begins a connection or not at all",
        [
            ask(),
            hear(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            hear(
                400,
                error="http2_unsupported",
                says=b"HTTP/2 has to begin a connection, and this one began with HTTP/1.1",
            ),
            recorded(200),
            recorded(400, "rejected", "http2_unsupported"),
        ],
        over=("h1",),
    ),
    *(
        Row(
            f"CONNECT over {transport} is told that this is no forward proxy",
            [
                asked,
                hear(
                    405,
                    error="method_not_allowed",
                    says=b"this is a reverse proxy, not a forward proxy",
                ),
                recorded(
                    405,
                    "rejected",
                    "method_not_allowed",
                    message=b"this is a reverse proxy, not a forward proxy",
                ),
            ],
            over=(transport,),
            rule="P8",
        )
        for transport, asked in (
            ("h1", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
            ("h2-h1", begin(((":method", "CONNECT"), (":authority", "a:443")))),
        )
    ),
    *(
        Row(
            f"{name} is judged at once",
            [raw, *refused(400, "bad_request"), ended],
            over=WIRE,
            rule="P3",
            settings={"timeout_headers_s": 3600, "timeout_body_idle_s": 3600},
        )
        for name, raw in (
            ("a head of bare line ends", b"GET / HTTP/1.1\nHost: a\n\n"),
            ("a flood of empty lines", b"\r\n" * 30_000),
            ("a chunk behind a bare line end", post(b"Transfer-Encoding: chunked\r\n\r\n2\nok")),
        )
    ),
    Row(
        "one whose chunks turn out to be none never looks whole upstream",
        [
            post(b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"),
            until_read,
            b"g\r\n",
            *refused(400, "bad_request", is_request_whole=False),
            ended,
            until_gone,
            arrived(b"2\r\nab\r\n", b""),
        ],
        [heard, reads(7), gone],
        WIRE,
        "P4",
    ),
    # Limits (P17).
    *(
        Row(
            f"a body of {size} bytes in {framing} has the limit of its route, {own}, before the general one, {general}",
            [
                ask("POST", body=b"x" * size, is_end=framing != "chunks"),
                *(
                    [end(), hear(200), recorded(200)]
                    if status == 200
                    else refused(413, "body_too_large")
                ),
            ],
            over=("h1", "h2-h1"),
            rule="P17",
            settings={
                "max_body_bytes": general,
                "route": {"limits": RouteLimitSettings(max_body_bytes=own)},
            },
        )
        for framing in ("a length", "chunks")
        for size, general, own, status in (
            (10, 10, None, 200),
            (11, 10, None, 413),
            (9, 0, 5, 413),
            (9, 5, 0, 200),
            (9, 5, 20, 200),
        )
    ),
    Row(
        "half a head has its time",
        [
            GET[:9],
            hear(408, error="timeout_headers", says=b"request head (0.2 s, timeout_headers_s)"),
            ended,
            recorded(
                408,
                "rejected",
                "timeout_headers",
                message=b"request head (0.2 s, timeout_headers_s)",
                request_head=GET[:9],
            ),
        ],
        over=("h1",),
        rule="P17",
        settings={"timeout_headers_s": 0.2},
    ),
    Row(
        "a first head shares the time since its connection was accepted",
        [
            *(until_buffered(b""), HALF_OF_THE_TIME, GET[:8], until_buffered(GET[:8])),
            *(HALF_OF_THE_TIME, *refused(408, "timeout_headers")),
        ],
        over=("h1",),
        rule="P17",
        settings=AN_HOUR,
    ),
    Row(
        "a head that dribbles has its time from its first byte",
        [
            *(ask(), hear(), recorded(200), GET[:16], until_buffered(GET[:16]), HALF_OF_THE_TIME),
            *(b"A: b\r\n", until_buffered(GET[:16] + b"A: b\r\n"), HALF_OF_THE_TIME),
            *(hear(408, error="timeout_headers"), ended),
            recorded(408, "rejected", "timeout_headers", request_head=GET[:16] + b"A: b\r\n"),
        ],
        over=("h1",),
        rule="P17",
        settings=AN_HOUR,
    ),
    Row(
        "a later head has its time from its first byte, however long its connection was idle",
        [
            *(ask(), hear(), recorded(200), HALF_OF_THE_TIME, HALF_OF_THE_TIME),
            *(GET[:7], until_buffered(GET[:7]), HALF_OF_THE_TIME, pause(3 * SWEEP_S)),
            *(GET[7:], hear(), recorded(200)),
        ],
        over=("h1",),
        rule="P17",
        settings=AN_HOUR,
    ),
    Row(
        "a connection that never speaks is closed without a word",
        [ended],
        over=("h1",),
        settings={"timeout_headers_s": 0.3},
    ),
    Row(
        "an idle connection is closed without a word",
        [ask(), hear(), recorded(200), ended],
        over=WIRE,
        rule="P17",
        settings={"timeout_keep_alive_s": 0.3},
    ),
    Row(
        "a body that does not go on has its time",
        [
            ask("POST", body=b"half", length=9),
            hear(
                408,
                error="timeout_body",
                says=b"more of the request body (0.2 s, timeout_body_idle_s)",
            ),
            until_gone,
            recorded(
                408,
                "rejected",
                "timeout_body",
                request_bytes=4,
                message=b"more of the request body (0.2 s, timeout_body_idle_s)",
            ),
        ],
        [heard, gone],
        rule="P17",
        settings={"timeout_body_idle_s": 0.2},
    ),
    *(
        Row(
            f"a response that does not begin is a 504, by the limit of {name}",
            [
                ask(),
                until_asked,
                hear(
                    504,
                    error="upstream_timeout",
                    says=b"the response (0.3 s, timeout_first_byte_s)",
                ),
                until_gone,
                recorded(
                    504,
                    "upstream_timeout",
                    "upstream_timeout",
                    message=b"the response (0.3 s, timeout_first_byte_s)",
                ),
            ],
            [heard, gone],
            rule="P17",
            settings=limits,
        )
        for name, limits in (
            ("all", {"timeout_first_byte_s": 0.3}),
            ("its route", {"route": {"limits": RouteLimitSettings(timeout_first_byte_s=0.3)}}),
        )
    ),
    *(
        Row(
            f"a call of {path} has {'time' if status == 200 else 'no more time'} to think where its route says {own}",
            [
                ask("POST", path, b"hi"),
                hear(status, error="upstream_timeout" if status == 504 else None),
                recorded(status, *how),
            ],
            [taken, pauses(1.2), answers(), gone],
            ("h1",),
            "P17",
            {
                "timeout_first_byte_s": 0.2,
                "route": {"limits": RouteLimitSettings(timeout_first_byte_s=own)},
            },
        )
        for path, own, status, how in (
            ("/v1/chat/completions", None, 200, ()),
            ("/items", 0, 200, ()),
            ("/items", None, 504, ("upstream_timeout", "upstream_timeout")),
            ("/v1/chat/completions", 0.1, 504, ("upstream_timeout", "upstream_timeout")),
        )
    ),
    Row(
        "one that is whole in our buffers and not taken is a 504",
        [
            ask("POST", body=bytes(400_000)),
            hear(504, error="upstream_timeout"),
            recorded(504, "upstream_timeout", "upstream_timeout", is_request_whole=True),
        ],
        [takes_little, heard, waits],
        ("h1",),
        "P17",
        {"timeout_write_stall_s": 1.5},
    ),
    Row(
        "one that is not even taken whole is a 504, and not whole on record",
        [
            ask("POST", length=40_000_000),
            uploads(40_000_000),
            recorded(504, "upstream_timeout", "upstream_timeout", is_request_whole=False),
        ],
        [takes_little, heard, waits],
        ("h1",),
        "P17",
        {"timeout_write_stall_s": 1.5},
    ),
    Row(
        "one that is taken slowly has the time of a stall with each piece",
        [ask("POST", body=bytes(9_000_000)), hear(), recorded(200, request_bytes=9_000_000)],
        [
            *(takes_little, heard, *[reads(65_536), pauses(0.6)] * 12),
            *(reads(9_000_000 - 12 * 65_536), answers()),
        ],
        ("h1",),
        "P17",
        {"timeout_write_stall_s": 6.0},
    ),
    # Responses that are none, or odd (P22).
    *(
        Row(
            f"a response head, {head[:30]!r}, is refused and kept with the rule that it broke",
            [
                ask(),
                hear(502, error="upstream_bad_response"),
                recorded(502, *FAILED, message=rule, refused_head=head[:MAX_REFUSED_HEAD_BYTES]),
            ],
            [heard, head],
            TO_HTTP1,
            "P22",
            {"timeout_first_byte_s": 3600},
        )
        for head, rule in (
            (b"SSH-2.0-server\r\n\r\n", b""),
            (b"SSH-2.0-server\r\n", b"the response is not HTTP"),
            (b"-ERR", b"not HTTP"),
            (
                b"\x15\x03\x01\x00\x02\x02\x46",
                b"the upstream speaks TLS: write https:// for this upstream",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                b"Transfer-Encoding b'gzip' is not exactly chunked",
            ),
            (b"HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n", b"Upgrade"),
            (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 24_000, b"head over 131072 bytes"),
            (b"HTTP/1.1 200 OK\r\n" + b"A:\r\n" * 1001 + b"\r\n", b"1001"),
        )
    ),
    Row(
        "a response head of bare line ends is judged at once",
        [
            ask(),
            hear(502, error="upstream_bad_response"),
            recorded(502, *FAILED, refused_head=b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        ],
        [heard, b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", gone],
        TO_HTTP1,
        "P22",
        {"timeout_first_byte_s": 3600},
    ),
    *(
        Row(
            f"the status {status} passes",
            [ask(), hear(status, b"ok"), recorded(status)],
            [heard, answers(status), gone],
            (*TO_HTTP1, "reference"),
        )
        for status in (600, 799, 999)
    ),
    Row(
        "a reason phrase passes whatever its charset is",
        [ask(), see(b"HTTP/1.1 404 F\xe4hlt\r\n"), hear(404), recorded(404)],
        [heard, b"HTTP/1.1 404 F\xe4hlt\r\nContent-Length: 0\r\n\r\n"],
        ("h1",),
    ),
    *(
        Row(
            f"{number} cookies pass",
            [ask(), see(b"c%d=" % (number - 1)), hear(body=b"ok"), recorded(200)],
            [
                heard,
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                + b"".join(b"Set-Cookie: c%d=%b\r\n" % (at, b"v" * 100) for at in range(number))
                + b"\r\nok",
            ],
            ("h1",),
        )
        for number in (150, 999)
    ),
    Row(
        "blanks before colons and behind sizes of chunks are removed",
        [
            ask(),
            hear_interim(103, b"HTTP/1.1 103 Hint\r\nLink: a\r\n\r\n"),
            hear(body=b"hello world", fields={"x-odd": "a : b", "x-odd ": None}),
            recorded(
                200,
                response_head=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Odd: a : b\r\n\r\n",
            ),
        ],
        [
            heard,
            b"HTTP/1.1 103 Hint\r\nLink : a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\nX-Odd\t : a "
            b": b\r\n\r\n"
            b"5 \r\nhello\r\n6  \r\n world\r\n0   \r\n\r\n",
        ],
        TO_HTTP1,
        "P3",
    ),
    Row(
        "the record id is ours, whatever an upstream says",
        [ask(), hear(), recorded(200)] * 2,
        [serves(answers(fields=(("x-sidelog-ID", "forged"),)))],
    ),
    Row(
        "the field of the record id may have any name",
        [
            *(ask(), see(b"\r\nX-100%-Id: "), hear(), recorded(200)),
            *(ask("CONNECT"), *refused(405, "method_not_allowed")),
        ],
        over=("h1",),
        settings={"record_id_header": "X-100%-Id"},
    ),
    Row(
        "a client that sends ahead while it waits is read so far, and nothing of it is dropped",
        [
            GET + AHEAD * 120,
            until(
                lambda each: each._paused and len(each._reader.buffer) - MAX_READ_AHEAD_BYTES > 0
            ),
            until(lambda each: len(each._reader.buffer) <= MAX_READ_AHEAD_BYTES + LOOP_READ_BYTES),
            *(goes, *[hear()] * 121, *[recorded(200)] * 121),
        ],
        [heard, waits, answers(), serves(answers())],
        ("h1",),
        "P20",
    ),
    # What is kept.
    *(
        Row(
            f"at level {level} sizes are counted, and {'bodies' if kept else 'no bodies'} kept",
            [
                ask("POST", body=b"body"),
                hear(body=b"ok"),
                recorded(200, response=kept, response_bytes=2, request_bytes=4),
            ],
            over=("h1", "h2-h1", "h2-h2", "reference"),
            settings={"route": {"capture": level}},
        )
        for level, kept in {"body": b"ok", "headers": b"", "meta": b""}.items()
    ),
    Row(
        "at level none nothing is recorded or shown, and all is counted",
        [
            ask(),
            until_asked,
            is_not_shown,
            goes,
            hear(),
            counted("requests", {("0", "GET", "2xx"): 1}),
            forgotten,
        ],
        [heard, waits, answers(), gone],
        ("h1", "h2-h1"),
        settings={"route": {"capture": "none"}},
    ),
]


test_requests = played(ROWS)
