"""Records part by part: differences, and headers and places that are set apart."""

import msgspec

from api.compare.exchange import Side, compare_parts, measures
from api.compare.ignored import Ignored, read_places
from api.compare.part import Part
from api.native.messages import show_message
from storage.record import Payload, Stream
from tests.api.native.test_messages import make_message
from tests.api.samples import make_body, make_event, make_in_flight, make_payload, make_record
from tests.support.cases import each_of

SAME = make_record(1, seq=1)


def compared(a: Side, b: Side) -> dict[str, Part]:
    return {part.part: part for part in compare_parts(a, b)}


def side(payload: Payload | None = None, **changes: object) -> Side:
    return Side(msgspec.structs.replace(SAME, **changes), payload, [], has_more_messages=False)


def heads(request: str, response: str = "") -> Payload:
    """Make a payload of two heads."""
    request_head = f"GET / HTTP/1.1\r\n{request}".encode()
    response_head = f"HTTP/1.1 200 OK\r\n{response}".encode()
    return Payload(request_head, response_head, None, None)


def test_a_record_is_equal_to_itself() -> None:
    """Each part of it, and all of it was there."""
    one = side(make_payload(make_body(b"{}"), make_body(b"[1]")))
    parts = compared(one, one)
    assert all(part.equal and part.complete for part in parts.values())
    assert list(parts) == [
        "status", "request", "request_headers", "request_body", "response_headers", "response_body",
    ]  # fmt: skip


def test_each_part_has_its_changes() -> None:
    """By name; of a repeated one in order."""
    a = side(
        heads("X-A: 1\r\nX-A: 2", "Server: x"),
        query="page=1&tag=a&tag=b",
        request_bytes=0,
        response_bytes=0,
    )
    b = side(
        heads("x-a: 1\r\nX-A: 3", "Server: y"),
        query="tag=a&page=2",
        request_bytes=0,
        response_bytes=0,
        status=503,
        error_type="upstream_timeout",
        outcome="upstream_timeout",
        method="POST",
    )
    found = {
        name: [f"{each.change} {each.path}: {each.a} | {each.b}" for each in part.changes]
        for name, part in compared(a, b).items()
    }
    assert found == {
        "status": [
            "changed status: 200 | 503", "changed outcome: ok | upstream_timeout",
            "added error_type: None | upstream_timeout",
        ],
        "request": ["changed method: GET | POST"],
        "query": ["removed tag[1]: b | None", "changed page: 1 | 2"],
        "request_headers": ["changed x-a[1]: 2 | 3"],
        "response_headers": ["changed server: x | y"],
    }  # fmt: skip


@each_of(
    "name",
    [
        "Date", "Age", "ETag", "Set-Cookie", "X-Request-Id", "x-amzn-RequestId", "X-Correlation-ID", "traceparent",
        "CF-Ray", "X-RateLimit-Remaining", "anthropic-ratelimit-tokens-reset", "X-Runtime", "Server-Timing",
        "openai-processing-ms", "X-B3-TraceId", "X-Sidelog-Id",
    ],
)  # fmt: skip
def test_what_differs_by_itself_is_set_apart(name: str) -> None:
    """It is shown, and is no difference; nor is it where one side lacks it."""
    headers = compared(
        side(heads(f"{name}: 1\r\n{name}: 2", "X-Id: 1")),
        side(heads(f"{name}: 1\r\n{name}: 3", "X-Id: 1")),
    )["request_headers"]
    assert headers.equal
    assert [each.path for each in headers.set_apart] == [f"{name.lower()}[1]"]
    assert compared(side(heads(f"{name}: 1")), side(heads("")))["request_headers"].equal


@each_of("name", ["Content-Type", "X-User-Id", "Idle", "Update", "Retry-After", "Last-Event-Id"])
def test_other_headers_are_not(name: str) -> None:
    """However alike their names are."""
    assert not compared(side(heads(f"{name}: 1")), side(heads(f"{name}: 2")))[
        "request_headers"
    ].equal


def test_named_places_are_set_apart() -> None:
    """Of headers and bodies alike; the delimiter of a form has no meaning."""
    kind = "Content-Type: multipart/form-data; boundary"
    a = heads(f"X-A: 1\r\n{kind}=a")
    b = heads(f"X-A: 2\r\n{kind}=b")
    a.response_body = make_body(b'{"at": 1, "n": 1}')
    b.response_body = make_body(b'{"at": 2, "n": 2}')
    ignored = Ignored(read_places(["header:x-a", "at"]))
    parts = {part.part: part for part in compare_parts(side(a), side(b), ignored)}
    assert (parts["request_headers"].equal, parts["response_body"].equal) == (True, False)
    assert [change.path for change in parts["response_body"].changes] == [".n"]
    assert [change.path for change in parts["response_body"].set_apart] == [".at"]


def test_the_order_of_names_is_a_note() -> None:
    """Nor does their case count (RFC 9110, 5.3)."""
    headers = compared(side(heads("A: 1\r\nB: 2")), side(heads("b: 2\r\na: 1")))["request_headers"]
    assert (headers.equal, headers.notes) == (True, ["the names are in another order"])


def test_redacted_headers_are_named() -> None:
    """They are equal, and were not compared."""
    one = side(heads("Authorization: Bearer [REDACTED]\r\nCookie: a=[REDACTED]"))
    (note,) = compared(one, one)["request_headers"].notes
    assert note == "authorization, cookie: redacted on both sides, so not compared"


def test_the_length_counts_only_where_the_body_was_not_compared() -> None:
    """It follows from the body."""
    whole = [side(heads(f"Content-Length: {size}"), request_bytes=0) for size in (2, 3)]
    assert compared(*whole)["request_headers"].equal
    for each in whole:
        assert each.payload is not None
        each.payload.request_body = make_body(b"", omitted="level", size=2)
    assert not compared(*whole)["request_headers"].equal


def test_what_is_not_stored_is_said() -> None:
    """Neither a body that retention has removed, nor a record without heads, nor one in flight is
    simply equal.
    """
    gone = compared(side(heads("")), side(heads("")))["response_body"]
    assert (gone.equal, gone.complete) == (True, False)
    assert gone.notes == ["a: not kept: no longer stored", "b: not kept: no longer stored"]
    nothing = compared(side(), side(heads("")))["headers and bodies"]
    assert (nothing.complete, nothing.notes) == (
        False,
        ["a: neither headers nor bodies are stored"],
    )
    flying = Side(make_in_flight(1), None, [], has_more_messages=False)
    status = compared(flying, side())["status"]
    assert (status.complete, status.notes) == (False, ["a: in progress"])


def test_trailers_are_compared_as_headers_are() -> None:
    """A message without any has no such part."""
    a = heads("")
    b = heads("")
    b.response_trailers = b"Digest: x"
    parts = compared(side(a), side(b))
    assert [each.path for each in parts["response_trailers"].changes] == ["digest"]
    assert "request_trailers" not in parts


def test_messages_are_compared_each_way() -> None:
    """By position and content; pings, and how both ways meet, are no difference."""
    session = make_record(1, seq=1, status=101, trace_id="ab" * 16)

    def said(*texts: str, **more: object) -> Side:
        events = [
            make_message(2, session, direction="out" if text[0] == "<" else "in", text=text[1:])
            for text in texts
        ]
        ping = make_message(3, session, opcode="ping", text="", **more)
        return Side(
            session,
            make_payload(),
            [show_message(each) for each in [*events, ping]],
            has_more_messages=False,
        )

    a = said('>{"id": 1}', "<hello", '<{"n": 1}')
    part = compared(a, said("<hello", '>{"id": 1}', '<{"n": 2}', size=9))["messages"]
    assert [(each.path, each.a, each.b) for each in part.changes] == [(".out[1].n", "1", "2")]
    assert part.complete
    assert compared(a, a)["messages"].equal
    assert not compared(a, a._replace(has_more_messages=True))["messages"].complete
    assert not compared(a, said(">x", truncated=True, kept=1))["messages"].complete


def test_events_are_compared_by_their_data() -> None:
    """And by their name."""
    gap, stop = (
        Side(make_event(1, seq=1, name=name, data=data), None, [], has_more_messages=False)
        for name, data in (("gap", b'{"n": 1}'), ("stop", b'{"n": 2}'))
    )
    parts = compared(gap, stop)
    assert [each.path for each in parts["request"].changes] == ["name"]
    assert [each.path for each in parts["data"].changes] == [".n"]


def test_figures_stand_beside_each_other() -> None:
    """Those that one of both has; none is a difference."""
    stream = Stream(first_content_us=5, frames=2, longest_gap_us=None, finished=True)
    a = side(input_tokens=1, cost_usd=0.5)
    b = side(input_tokens=2, duration_us=7, stream=stream)
    found = {each.name: (each.a, each.b) for each in measures(a.record, b.record)}
    assert found["duration_us"] == (102_000, 7)
    assert found["input_tokens"] == (1, 2)
    assert found["cost_usd"] == (0.5, None)
    assert found["frames"] == (None, 2)
    assert "output_tokens" not in found
    assert compared(a, b)["status"].equal
