"""Columns that are put together once, and those that are each exchange's own."""

from proxy.enrich.columns import SharedColumns, labels_of
from proxy.enrich.http.exchange import RequestLine
from proxy.enrich.http.head_facts import facts_of
from proxy.ring.descriptor import Descriptor, RouteLabels
from proxy.ring.exchange import (
    ERROR_INDEX,
    FLAG_HTTP10,
    FLAG_REQUEST_COMPLETE,
    FLAG_TLS,
    OUTCOME_INDEX,
)
from storage.record import Outcome, Record
from tests.support.cases import each_of

LABELS = RouteLabels("shop", "shop-service", "box", "red", "acme", None)
ID = bytes(range(16))
LINE = RequestLine(b"GET / HTTP/1.1", "GET", None, "/", None)
REFUSED = OUTCOME_INDEX[Outcome.REJECTED]


def record(
    status: int = 200,
    outcome: int = 0,
    error: str = "",
    flags: int = 0,
    numbers: tuple[int, ...] = (),
    **more: bool,
) -> Record:
    descriptor = Descriptor("edge", "test", (LABELS,), **more)
    asked = ("10.0.0.1", "https" if flags & FLAG_TLS else "http", None)
    shared = SharedColumns(
        "a", descriptor, (status, 0, outcome, ERROR_INDEX[error], flags, 0), asked, b""
    )
    start, connect, sent, first, done, end, request, response = numbers or (
        5_000_000,
        -1,
        -1,
        -1,
        -1,
        9_000,
        0,
        0,
    )
    return shared.record(
        ID,
        (start, connect, sent, first, done, end, request, response),
        LINE,
        facts_of(b"", {b"host": b"a"}),
    )


def test_what_an_exchange_did_not_reach_is_null() -> None:
    """Times are micros, and those of the upstream are moments."""
    unreached = record()
    assert (unreached.started_at_us, unreached.ended_at_us, unreached.duration_us) == (
        5_000,
        5_009,
        9,
    )
    assert {unreached.connect_us, unreached.first_byte_us, unreached.upstream_us} == {None}
    assert {unreached.upstream_sent_at_us, unreached.upstream_done_at_us, unreached.upstream} == {
        None
    }
    whole = record(numbers=(5_000_000, 1_000, 2_000, 3_000, 8_000, 9_000, 7, 11))
    assert (whole.connect_us, whole.first_byte_us, whole.upstream_us) == (1, 3, 6)
    assert (whole.upstream_sent_at_us, whole.upstream_done_at_us) == (5_002, 5_008)
    assert (whole.request_bytes, whole.response_bytes) == (7, 11)


@each_of(
    ("status", "outcome", "error", "level"),
    [
        (200, 0, "", "info"),
        (404, 0, "", "warn"),
        (503, 0, "", "error"),
        (400, REFUSED, "", "warn"),
        (505, REFUSED, "http2_unsupported", "info"),
        (0, OUTCOME_INDEX[Outcome.CLIENT_CLOSED], "", "warn"),
    ],
)
def test_levels(status: int, outcome: int, error: str, level: str) -> None:
    """By status and outcome; who only asked for another protocol is no fault."""
    made = record(status, outcome, error)
    assert (made.level, made.status, made.error_type) == (level, status or None, error or None)


def test_flags_and_labels() -> None:
    """How the client spoke, and what its route adds."""
    made = record(flags=FLAG_TLS | FLAG_HTTP10 | FLAG_REQUEST_COMPLETE)
    assert (made.scheme, made.http_version, made.request_complete) == ("https", "1.0", True)
    assert (made.route_id, made.service, made.container, made.project, made.client) == (
        "shop", "shop-service", "box", "red", "acme",
    )  # fmt: skip
    assert (made.source, made.stage, made.host, made.client_ip) == ("edge", "test", "a", "10.0.0.1")
    assert labels_of(Descriptor("edge", None, (LABELS,)), 1).id == ""


def test_a_trace_that_the_worker_made_is_that_of_the_id() -> None:
    """Where it makes none, a request without one has none."""
    assert (record().trace_id, record().request_id) == (
        None,
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
    )
    made = record(makes_traces=True)
    assert (made.trace_id, made.span_id) == (ID.hex(), ID[8:].hex())
