"""Some seconds of the fuzzer, and proof that it finds what it is there to find."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.http1 import chunked, request_head, response_head, websocket_frames
from proxy.http1.forwarded import Original, forwarded_lines
from proxy.http1.request_head import RequestHead
from proxy.http2 import field, frames
from proxy.http2.hpack.decoder import Decoder
from proxy.http2.stream import Stream
from proxy.process.version import BUILD
from proxy.worker import routes
from proxy.worker.admission import admission
from proxy.worker.exits.http1 import Http1Exit
from proxy.worker.relay import state
from proxy.worker.relay.relay import Relay
from proxy.worker.routes import Route
from proxy.worker.tunnel import Tunnel
from proxy.worker.upstream.connection import UpstreamConnection
from tests.fuzz import runner
from tests.fuzz.parsers import Judge
from tests.fuzz.request_grammar import RequestCase
from tests.fuzz.request_judge import run_request
from tests.fuzz.runner import KINDS, Fuzzer
from tests.fuzz.shrink import shrink
from tests.fuzz.strict import read_requests
from tests.fuzz.world import World
from tests.support.long import long

SEED = 20_240_601
COUNT = 4000
COUNTS = {"requests": COUNT, "responses": COUNT, "splits": 1000}
"""How many inputs of each kind; 800 of the others."""


@pytest.mark.parametrize("part", [4, long(1)])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_mutated_input_breaks_a_rule(kind: str, part: int) -> None:
    """What every parser reads is what was recorded; a refusal leaves nothing; no response ends well
    that was cut.
    """
    count = COUNTS.get(kind, 800) // part
    with Fuzzer(kind, SEED) as fuzzer:
        violations = fuzzer.run(count)
        assert not violations, "\n".join(violation.report() for violation in violations)
        assert fuzzer.done == count


def _reads_any_coding(head: RequestHead, line: bytes, value: bytes, dropped: set[bytes]) -> None:
    head.is_chunked = b"chunked" in value.lower()


REQUEST_FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "codings": lambda patch: patch.setitem(
        request_head._REQUEST_FIELDS, b"transfer-encoding", _reads_any_coding
    ),
    "sizes": lambda patch: patch.setattr(
        chunked, "_SIZE_LINE", re.compile(rb"(?:0x)?([0-9A-Fa-f]{1,16})[^\r]*")
    ),
    "trailers": lambda patch: patch.setattr(
        chunked, "_TRAILER_LINE", re.compile(rb".*", re.DOTALL)
    ),
    "syntax": lambda patch: patch.setattr(request_head, "judge", lambda parser, head: None),
    "essentials": lambda patch: patch.setattr(request_head, "_ESSENTIAL", frozenset()),
    "hosts": lambda patch: patch.setattr(request_head, "check_host", lambda value: value),
    "repeats": lambda patch: patch.setattr(Relay, "may_be_retried", lambda self, exchange: True),
    "no repeats": lambda patch: patch.setattr(
        Relay, "may_be_retried", lambda self, exchange: False
    ),
    "twins": lambda patch: patch.setattr(request_head, "_TWINS", frozenset()),
}

RESPONSE_FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "ends": lambda patch: patch.setattr(
        Http1Exit, "break_off", lambda self: self._transport.close()
    ),
    "surplus": lambda patch: patch.setattr(UpstreamConnection, "_finish", _keeps_anything),
    "syntax": lambda patch: patch.setattr(response_head, "judge", lambda parser, head: None),
    "statuses": lambda patch: patch.setattr(
        response_head, "_STATUS_LINE", re.compile(rb"HTTP/1\.([01]) (\d{3})[^\0]*")
    ),
    "sizes": lambda patch: patch.setattr(
        chunked, "_PADDED_SIZE_LINE", re.compile(rb"(?:0x)?([0-9A-Fa-f]{1,16})[^\r]*")
    ),
}

ROUTE_FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "readings": lambda patch: patch.setattr(routes, "normalise", lambda path: path),
    "parameters": lambda patch: patch.setattr(
        routes, "normalise", _keeping_parameters(routes.normalise)
    ),
    "prefixes": lambda patch: patch.setattr(Route, "target", lambda self, target: target),
    "hosts": lambda patch: patch.setattr(routes, "_host_name", lambda host: host),
}

TUNNEL_FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "masks": lambda patch: patch.setattr(
        websocket_frames, "_unmask", lambda data, mask, offset: data
    ),
    "frames": lambda patch: patch.setattr(websocket_frames, "_MAX_CONTROL_BYTES", 1 << 20),
    "one side": lambda patch: patch.setattr(Tunnel, "watch_upstream", lambda self, data: None),
    "bytes": lambda patch: patch.setattr(
        Relay, "tunnel_data", lambda self, data: self.exit.data(data[1:])
    ),
    "upgrades": lambda patch: patch.setattr(
        response_head.ResponseHead,
        "is_websocket",
        property(lambda self: True, lambda self, value: None),
    ),
}

TLS_FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "schemes": lambda patch: patch.setattr(admission, "forwarded_lines", _lines_of_plain_http),
    "flags": lambda patch: patch.setattr(state, "FLAG_TLS", 0),
}


def _lines_of_plain_http(
    head: RequestHead, peer: bytes, scheme: bytes, host: bytes, original: Original
) -> bytes:
    return forwarded_lines(head, peer, b"http", host, original)


def _keeping_parameters(normalise: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda path: normalise(path.replace(b";", b"%21"))


def _keeps_anything(self: Any, handler: Any, now_ns: int, *, is_reusable: bool) -> None:
    self.handler = None
    self._pool.release(self, now_ns)


def _sample(faults: dict[str, Callable[[pytest.MonkeyPatch], None]]) -> list[Any]:
    """Every third; `make long` takes the others away, too."""
    return [fault if number % 3 == 0 else long(fault) for number, fault in enumerate(faults)]


needs_source = pytest.mark.skipif(
    BUILD == "compiled", reason="functions of a compiled build cannot be replaced"
)


@needs_source
@pytest.mark.parametrize("fault", _sample(REQUEST_FAULTS))
def test_a_proxy_that_reads_requests_loosely_is_caught(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each strictness of ours that is taken away shows, with a small reproducer that repeats."""
    REQUEST_FAULTS[fault](monkeypatch)
    with Fuzzer("requests", SEED) as fuzzer:
        violations = _until_found(fuzzer)
    assert any(
        violation.is_repeatable and len(violation.case.data) < 2000 for violation in violations
    )


@needs_source
@pytest.mark.parametrize("fault", _sample(RESPONSE_FAULTS))
def test_a_proxy_that_believes_upstreams_is_caught(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for responses."""
    RESPONSE_FAULTS[fault](monkeypatch)
    with Fuzzer("responses", SEED) as fuzzer:
        violations = _until_found(fuzzer)
    assert any(violation.is_repeatable for violation in violations)


HTTP2_FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "lengths": lambda patch: patch.setattr(Stream, "take_body", _takes_any_body),
    "fields": lambda patch: patch.setattr(field, "_objection", lambda kind, name, value: ""),
    "padding": lambda patch: patch.setattr(
        frames, "without_padding", lambda payload, flags: payload
    ),
    "blocks": lambda patch: patch.setattr(Decoder, "decode", lambda self, block: []),
}


def _takes_any_body(self: Stream, size: int, *, is_end: bool) -> None:
    self.is_remote_ended = is_end


OTHER_FAULTS = [
    *(pytest.param("http2", HTTP2_FAULTS[fault], id=f"http2 {fault}") for fault in HTTP2_FAULTS),
    *(pytest.param("routes", ROUTE_FAULTS[fault], id=f"routes {fault}") for fault in ROUTE_FAULTS),
    *(
        pytest.param("tunnels", TUNNEL_FAULTS[fault], id=f"tunnels {fault}")
        for fault in TUNNEL_FAULTS
    ),
    *(pytest.param("tls-requests", TLS_FAULTS[fault], id=f"tls {fault}") for fault in TLS_FAULTS),
]


@needs_source
@pytest.mark.parametrize(("kind", "take_away"), OTHER_FAULTS)
def test_a_proxy_that_errs_elsewhere_is_caught(
    kind: str, take_away: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for paths that lead past a route, for WebSocket sessions, for what TLS changes, and
    for HTTP/2.
    """
    take_away(monkeypatch)
    monkeypatch.setattr(runner, "shrink", lambda data, is_violated: data)
    with Fuzzer(kind, SEED) as fuzzer:
        violations = _until_found(fuzzer)
    assert any(violation.is_repeatable for violation in violations)


def _until_found(fuzzer: Fuzzer) -> list[Any]:
    for count in range(100, COUNT, 100):
        violations = fuzzer.run(count)
        if violations:
            return violations
    return []


def test_a_head_cut_in_two_by_a_full_buffer_goes_on() -> None:
    """Bytes that came while the client took none are read when it does again, in whatever phase
    they were kept.
    """
    world = World()
    client = world.client()
    client.deliver(b"GET / HTTP/1.1\r\nHo")
    client.fill(is_full=True)
    client.deliver(b"st: a\r\n\r\n")
    world.pump()
    assert not world.upstreams
    client.fill(is_full=False)
    world.pump()
    assert bytes(world.upstreams[0].written).startswith(b"GET / HTTP/1.1\r\nHost: a\r\n")
    world.clear()


def test_more_than_is_read_ahead_stops_the_reading() -> None:
    """Though it all came at once, behind a request that is running; its end lets it go on."""
    world = World()
    client = world.client()
    one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    client.deliver(one + one * 1000)
    assert not client.is_paused
    client.deliver(one * 2000)
    assert client.is_paused
    world.clear()
    client = world.client()
    client.deliver(one + one * 3000)
    assert client.is_paused
    world.pump()
    world.upstreams[0].on_write = lambda: world.soon(lambda: world.upstreams[0].deliver(_OK))
    world.upstreams[0].deliver(_OK)
    world.pump()
    assert not client.is_paused
    assert len(world.records()) == 3001
    world.clear()


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


_UPLOAD = b"POST / HTTP/1.1\r\nContent-Length: 5\r\nHost: a\r\n\r\nbytes"
_ANSWERS = (527, 600, 2488, 2550)
"""Seeds with which the upstream answers when only the head has come, and the rest comes while that
is on its way.
"""


@pytest.mark.parametrize("behind", [b"", b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_request_answered_early_is_cut_for_its_upstream_only(behind: bytes) -> None:
    """Its client's connection goes on when the rest has come (P24), and the next request goes
    elsewhere.
    """
    assert _violations_in_pieces(_UPLOAD + behind) == set()


@needs_source
def test_a_proxy_that_sends_on_to_whoever_answered_early_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was answered within a body may read the next request as the rest of it."""
    monkeypatch.setattr(UpstreamConnection, "_finish", _keeps_anything)
    found = _violations_in_pieces(_UPLOAD + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert any(violation.startswith("forwarded what is malformed") for violation in found)


def _violations_in_pieces(data: bytes) -> set[str]:
    head = _UPLOAD.index(b"\r\n\r\n") + 4
    cuts = [head + byte for byte in range(5)]

    judge = Judge()
    try:
        return {
            run_request(World(), judge, RequestCase(data, cuts, False, seed)) for seed in _ANSWERS
        } - {""}
    finally:
        judge.close()


def test_shrinking_keeps_what_matters() -> None:
    """All that can go is left out."""
    assert shrink(b"some text with a needle in it" * 3, lambda data: b"needle" in data) == b"needle"


def test_the_strict_reader_is_strict() -> None:
    """The first judge is itself judged: what it reads, and what it objects to."""
    good = (
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\nT: "
        b"x\r\n\r\nGET /b"
    )
    found = read_requests(good)
    assert ([m.identity for m in found.messages], found.rest) == (
        [(b"POST", b"/a", b"ab")],
        b"GET /b",
    )
    assert read_requests(good, is_canonical=True).objection

    for bad in (
        b"Content-Length: +1",
        b"Content-Length: 1\r\nContent-Length: 1",
        b"A : b",
        b"A: \x00",
        b"Host: b",
    ):
        assert read_requests(b"GET / HTTP/1.1\r\nHost: a\r\n" + bad + b"\r\n\r\nx").objection

    chunked = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [
        bool(read_requests(chunked + cut).objection)
        for cut in (b"\n", b"1;a\n", b"0\r\na: b\n", b"1;a\r")
    ] == [
        True,
        True,
        True,
        False,
    ]
    assert not read_requests(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx").objection


def test_every_judge_reads_and_objects() -> None:
    """No judge is there for show: each reads what is in order, and says so when it was told
    something else.
    """
    judge = Judge()
    try:
        good = (
            b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyHEAD /b "
            b"HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        messages = [(b"POST", b"/a", b"body"), (b"HEAD", b"/b", b"")]
        assert set(judge.readers) == {"h11", "httptools", "aiohttp C", "aiohttp Python"}
        assert judge.disagreement(good, messages) == ""

        for read in judge.readers.values():
            assert read(good) != messages[:1]
            with pytest.raises(Exception, match=r".+"):  # each has errors of its own
                read(good.replace(b"Content-Length", b"Content Length"))

        found = judge.responses(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"GET")
        assert set(found) == set(judge.readers)
        assert set(found.values()) == {(200, b"ok")}
    finally:
        judge.close()


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`python -m tests.fuzz` counts, names its seed, and ends with 0 when nothing was found."""
    from tests.fuzz.__main__ import main

    assert main(["--count", "50", "--seed", "7"]) == 0
    said = capsys.readouterr().out
    assert "requests: 50 inputs" in said
    assert "responses: 50 inputs" in said
