"""Bad input on both sides of the data port, line by line, over real sockets: whole, and byte by
byte.

The vectors are data (`vectors/requests.py`, `vectors/responses.py`), each with the rule it belongs
to. What each rule says, and which test or row is closest to it, stands in `RULES`;
`test_every_rule_has_a_test` fails when one of them is renamed.
"""

import contextlib
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.ring.exchange import FLAG_OWN_RESPONSE, FLAG_REQUEST_COMPLETE
from storage.record import Outcome, format_id
from tests.fuzz.parsers import Judge
from tests.fuzz.strict import read_requests
from tests.proxy.conftest import Start
from tests.proxy.worker import (
    test_early_answers,
    test_http2_requests,
    test_leaving,
    test_requests,
    test_responses,
    test_stops,
    test_websockets,
)
from tests.proxy.worker.records import error, outcome
from tests.proxy.worker.upstream import test_lending
from tests.proxy.worker.vectors.conformance import (
    CONFORMANCE_PASSAGES,
    CONFORMANCE_REFUSALS,
    LAST,
    UNFINISHED,
)
from tests.proxy.worker.vectors.requests import PASSAGES, REFUSALS, Passage, Refusal
from tests.proxy.worker.vectors.responses import LIES, Lie
from tests.support.cases import each_of
from tests.support.client import Client
from tests.support.plane import Plane, eventually, running_plane, settings_for
from tests.support.recording import Recording
from tests.support.upstream import read_head, scripted

WHOLE, BYTES = "whole", "bytes"
MAX_SINGLE_BYTES = 1200
"""Longer input arrives in pieces of this size in place of single bytes."""
OUR_ID = re.compile(rb"X-Request-Id: ([0-9a-f]{8}-[0-9a-f-]{27})\r\n")
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
ROOT = Path(__file__).parents[2]

ROWS = (
    *test_early_answers.ROWS,
    *test_http2_requests.ROWS,
    *test_leaving.ROWS,
    *test_lending.ROWS,
    *test_requests.ROWS,
    *test_responses.ROWS,
    *test_stops.ROWS,
    *test_websockets.ROWS,
)
RULES = {
    "P1": (
        "hop-by-hop fields go, ours cannot be named away",
        "proxy/http1/test_request_head.py::test_only_what_steers",
    ),
    "P2": (
        "one framing, exactly read, written anew",
        "proxy/http1/test_response_head.py::test_bodies_are_framed_anew",
    ),
    "P3": (
        "no malformed lines, names, values",
        "proxy/http1/test_request_head.py::test_what_two_parsers",
    ),
    "P4": (
        "chunks are read strictly; extensions go",
        "proxy/http1/test_chunked.py::test_malformed_bodies",
    ),
    "P5": (
        "Expect: 100-continue or 417",
        "hints and a 100 that is waited for go before it",
    ),
    "P6": (
        "HEAD, 1xx, 204, 304 have no body",
        "HEAD with a length leaves both connections open, and is on record before its end",
    ),
    "P7": (
        "only websocket upgrades",
        "an offer of HTTP/2 is answered over HTTP/1.1",
    ),
    "P8": (
        "target forms",
        "proxy/http1/test_request_line.py::test_a_request_line_is_brought_into_origin_form",
    ),
    "P9": ("one valid Host", "proxy/http1/test_request_line.py::test_any_other_host_is_refused"),
    "P10": (
        "path bytes stay; routes are not fooled",
        "proxy/worker/test_routes.py::test_a_path_that_two_readers",
    ),
    "P11": (
        "nothing else is added or changed",
        "proxy/worker/test_transparency.py::test_targets_methods_and_codings",
    ),
    "P12": (
        "nothing is shared between clients",
        "proxy/worker/test_bad_input.py::test_nothing_is_shared_between_clients",
    ),
    "P13": ("one retry, never of a POST", "POST of 4 bytes is never sent twice"),
    "P14": ("an upstream that dies is visible", "one that is cut looks so"),
    "P15": (
        "a client that leaves is logged",
        "one that waits and leaves by close is 499, and its upstream is given up",
    ),
    "P16": (
        "back-pressure, early answers",
        "an early answer reaches a client that still uploads, and both connections end",
    ),
    "P17": ("deadlines and limits", "a head that dribbles has its time from its first byte"),
    "P18": (
        "X-Forwarded-For, trusted proxies, twins",
        "clients behind a trusted proxy are told apart on one connection",
    ),
    "P19": ("loops", "one that passed before is refused"),
    "P20": (
        "pipelining is sequential and bounded",
        "proxy/worker/test_bad_input.py::test_ten_thousand_pipelined",
    ),
    "P21": (
        "interim answers are never final",
        "a 100 that nobody waits for goes no further",
    ),
    "P22": (
        "no injected lines in responses",
        "proxy/http1/test_response_head.py::test_a_head_that_cannot_be_right",
    ),
    "P23": (
        "bounded turns",
        "proxy/worker/test_fairness.py::test_an_upload_in_small_chunks_goes_in_steps",
    ),
    "P24": (
        "the body of a request whose end is known",
        "the body of a request to a dead upstream is recorded, and its client goes on",
    ),
    "P25": (
        "TLS connections count from accept",
        "proxy/network/test_tls_accept.py::test_a_connection_counts_before",
    ),
    "P26": (
        "addresses of a name",
        "proxy/network/test_dial.py::test_a_silent_address_is_left_behind",
    ),
    "P27": (
        "no idle connection holds others",
        "proxy/worker/test_serial_upstreams.py::test_two_clients_at_once",
    ),
    "P28": ("room", "proxy/worker/test_idle_eviction.py::test_what_runs_never_gives_way"),
    "P29": ("a stop answers what is coming", "a first request is waited for behind b''"),
    "P30": (
        "recording slows down",
        "proxy/worker/test_recording_pace.py::test_requests_wait_in_a_ring_that_fills",
    ),
}
"""Rule → what it says, and the test or row that is closest to it, beside the vectors below."""


def test_every_rule_has_a_test() -> None:
    """Each rule is held by a test or a row of its own, and most by vectors too; each vector and each
    row belongs to a rule that is written.
    """
    written = (ROOT.parent / "proxy/http1/RULES.md").read_text()
    assert re.findall(r"^## (P\d+) ", written, re.MULTILINE) == list(RULES)
    named = {(row.name, row.rule) for row in ROWS}
    for rule, (_, test) in RULES.items():
        path, _, name = test.partition("::")
        if not name:
            assert (test, rule) in named
            continue
        text = (ROOT / path).read_text()
        assert re.search(rf"\n(?:async )?def {name}\w*\(", text), f"{rule}: no {name} in {path}"

    in_vectors = {
        vector.rule
        for vectors in (REFUSALS, PASSAGES, CONFORMANCE_PASSAGES, LIES)
        for vector in vectors
    }
    assert in_vectors | {row.rule for row in ROWS} <= {"", *RULES}
    assert len({vector.rule for vectors in (REFUSALS, PASSAGES, LIES) for vector in vectors}) >= 14


@pytest.fixture(scope="module")
def recording() -> Recording:
    """What the upstream of this module is sent."""
    return Recording()


@pytest.fixture(scope="module")
def plane(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One plane for all request vectors of HTTP/1.1: what one of them leaves behind would disturb
    the next.
    """
    directory = tmp_path_factory.mktemp("plane")
    with (
        scripted(recording) as url,
        running_plane(settings_for(url, http2="off"), directory) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """The parsers of others."""
    found = Judge()
    yield found
    found.close()


def say(client: Client, raw: bytes, manner: str) -> None:
    """Send bytes at once, or one by one, as far as the other side takes them."""
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    size = len(raw) if manner == WHOLE else 1 if len(raw) <= MAX_SINGLE_BYTES else MAX_SINGLE_BYTES
    try:
        for at in range(0, len(raw), max(1, size)):
            client.send(raw[at : at + size])
    except OSError:
        assert manner == BYTES, "refused and closed before it was read"


@each_of("manner", [WHOLE, BYTES])
@each_of("vector", [*REFUSALS, *CONFORMANCE_REFUSALS])
def test_bad_requests_are_refused(
    plane: Plane, recording: Recording, vector: Refusal, manner: str
) -> None:
    """The status fits, the connection ends, no whole message is at the upstream, and there is one
    record.
    """
    recording.take()
    with plane.connect() as client:
        say(client, vector.raw, manner)
        answer = client.answer()
        assert (answer.status, answer.field("Connection"), answer.is_complete) == (
            vector.status,
            "close",
            True,
        )
        assert client.is_ended()

    record = plane.exchange()
    assert (record.status, outcome(record)) == (vector.status, Outcome.REJECTED)
    assert (answer.field("X-Sidelog-Error"), answer.body) == (error(record), record.response_window)
    assert answer.field("X-Sidelog-Id") == format_id(record.id)
    assert record.flags & FLAG_OWN_RESPONSE
    for raw in recording.take():
        if (given := OUR_ID.search(raw)) is not None and given[1] != format_id(record.id).encode():
            continue  # what became of the request before, of which the upstream heard late
        requests = read_requests(raw, is_canonical=True)
        assert vector.is_begun
        assert (requests.messages, requests.objection) == ([], "")


@each_of("manner", [WHOLE, BYTES])
@each_of("vector", [*PASSAGES, *CONFORMANCE_PASSAGES, *LAST])
def test_strange_requests_are_forwarded_as_what_they_are(
    plane: Plane, recording: Recording, judge: Judge, vector: Passage, manner: str
) -> None:
    """Every parser of the upstream reads the messages that were sent and recorded, and nothing
    else.
    """
    recording.take()
    with plane.connect() as client:
        say(client, vector.raw, manner)
        for method, _, _ in vector.messages:
            assert client.answer(method.decode()).status == 200
        assert vector not in LAST or client.is_ended()

    records = plane.exchanges(len(vector.messages))
    forwarded = recording.take()
    found = [read_requests(raw, is_canonical=True) for raw in forwarded]
    for raw, requests in zip(forwarded, found, strict=True):
        assert judge.disagreement(raw, [message.identity for message in requests.messages]) == ""
    messages = [message for requests in found for message in requests.messages]
    assert [message.identity for message in messages] == vector.messages
    assert not any(requests.rest or requests.objection for requests in found)
    assert [record.request_window for record in records] == [body for _, _, body in vector.messages]
    assert all(record.flags & FLAG_REQUEST_COMPLETE for record in records)
    if vector.host:
        assert [message.values(b"host") for message in messages] == [[vector.host]] * len(messages)


@each_of("manner", [WHOLE, BYTES])
@each_of("vector", REFUSALS[::9])
def test_a_bad_request_after_a_good_one_is_refused_alone(
    plane: Plane, recording: Recording, vector: Refusal, manner: str
) -> None:
    """What came before a bad request on the same connection is answered; nothing after it is read."""
    recording.take()
    with plane.connect() as client:
        say(client, GOOD + vector.raw, manner)
        assert client.answer().status == 200
        assert client.answer().status == vector.status
        assert client.is_ended()

    plane.exchanges(2)
    messages = [message.target for requests in recording.read() for message in requests.messages]
    assert messages == [b"/good"]


def test_unfinished_heads_are_waited_for(plane: Plane, recording: Recording) -> None:
    """Wherever a head is cut there is no answer and nothing at the upstream, until the rest comes."""
    recording.take()
    whole = b"GET /hello HTTP/1.1\r\nHost: example.com\r\n\r\n"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(plane.connect()) for _ in UNFINISHED]
        for client, head in zip(clients, UNFINISHED, strict=True):
            client.send(head)
        assert plane.call(GOOD) == b"ok"
        plane.exchange()
        readable, _, _ = select.select([client.socket for client in clients], [], [], 0)
        assert readable == []
        assert [
            message.target for requests in recording.read() for message in requests.messages
        ] == [b"/good"]
        for client, head in zip(clients, UNFINISHED, strict=True):
            client.send(whole[len(head) :])
            assert client.answer().status == 200

    assert {record.request_head for record in plane.exchanges(len(UNFINISHED))} == {whole}


def test_ten_thousand_pipelined_requests(plane: Plane, recording: Recording) -> None:
    """They are answered in order, one after the other, each recorded."""
    recording.take()
    with plane.connect() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for begin in range(0, 10_000, 500):
            client.send(
                b"".join(
                    b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(begin, begin + 500)
                )
            )
            assert all(client.answer().body == b"ok" for _ in range(500))
            assert [e.request_head.split(b" ")[1] for e in plane.exchanges(500)] == [
                b"/%d" % n for n in range(begin, begin + 500)
            ]

    messages = [message.target for requests in recording.read() for message in requests.messages]
    assert messages == [b"/%d" % n for n in range(10_000)]


@pytest.mark.parametrize("line", [b"HEAD / HTTP/1.2", b"HEAD a HTTP/1.1", b"HEAD /" + b"x" * 9000])
def test_no_refusal_of_head_has_a_body(plane: Plane, line: bytes) -> None:
    """A client that asked with HEAD reads no body, so there must be none, however little of it
    could be read.
    """
    with plane.connect() as client:
        client.send(line + b"\r\nHost: a\r\n\r\n")
        assert client.answer("HEAD").status in (400, 414, 505)
        assert client.is_ended()
    plane.exchange()


# Upstreams that lie.


def liar(lie: Lie, manner: str) -> Callable[[socket.socket, int], None]:
    """An upstream that lies on its first connection, and is honest after that."""

    def upstream(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if number == 0:
            read_head(connection)
            step = (
                1 if manner == BYTES and len(lie.raw) <= MAX_SINGLE_BYTES else max(1, len(lie.raw))
            )
            for at in range(0, len(lie.raw), step):
                connection.sendall(lie.raw[at : at + step])
            if lie.end == "reset":
                time.sleep(0.05)  # a reset overtakes what was sent before it
                Client(connection).reset()
            if lie.end != "stay":
                return

        while read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest")

    return upstream


@pytest.mark.parametrize("manner", [WHOLE, BYTES])
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.name)
def test_lies_of_an_upstream(start: Start, lie: Lie, manner: str) -> None:
    """A right answer, a 502, or a visibly broken one; what was lied on is not used again."""
    plane = start(liar(lie, manner))
    if lie.is_kept:
        plane.trust_upstreams()
    with plane.connect() as client:
        client.send(lie.method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.answer(lie.method.decode())
        assert b"evil" not in answer.head
        record = plane.exchange()
        assert record.status == answer.status

        if lie.is_broken:
            assert (answer.status, answer.is_complete) == (lie.expected, False)
            assert outcome(record) is Outcome.TRUNCATED
            return

        if lie.expected == 502:
            assert (answer.status, outcome(record)) == (502, Outcome.UPSTREAM_ERROR)
            code = "upstream_bad_response" if lie.end == "stay" else "upstream_reset"
            assert (answer.field("X-Sidelog-Error"), error(record)) == (code, code)
            assert answer.field("Connection") is None
            assert record.flags & FLAG_OWN_RESPONSE
            errors = plane.counters().upstream_errors
            assert errors == {("0", code.removeprefix("upstream_")): 1}
        else:
            assert (answer.status, answer.body, answer.is_complete) == (*lie.expected, True)  # type: ignore[misc]

        # Bytes that are still on their way cannot be told from an answer to what follows.
        if not lie.is_kept:
            eventually(lambda: plane.counters().connections_upstream == 0)
        client.send(GOOD)
        assert client.answer().body == b"honest"

    second = plane.exchange()
    assert (second.connect_ns < 0) is lie.is_kept


# Rules that no other test names.


def test_nothing_is_shared_between_clients(plane: Plane, recording: Recording) -> None:
    """Neither cookies nor answers of one client reach another, though both use one upstream
    connection.
    """
    recording.take()
    for name in (b"first", b"second"):
        with plane.connect() as client:
            client.send(b"GET /same HTTP/1.1\r\nHost: a\r\nCookie: who=" + name + b"\r\n\r\n")
            assert client.answer().field("Set-Cookie") is None

    with plane.connect() as client:
        client.send(b"GET /same HTTP/1.1\r\nHost: a\r\n\r\n")
        client.answer()
    plane.exchanges(3)
    messages = [message for requests in recording.read() for message in requests.messages]
    assert [message.values(b"cookie") for message in messages] == [
        [b"who=first"],
        [b"who=second"],
        [],
    ]
