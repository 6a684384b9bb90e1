"""What heads of one client have in common."""

from proxy.enrich.http.field_lines import FieldLineReader
from proxy.enrich.http.head_shape import HeadShape, shape_of
from proxy.enrich.redact.redactor import Redactor

TRACEPARENT = b"traceparent: 00-%032x-%016x-01"


def shape(*lines: bytes, unknown: int) -> HeadShape | None:
    """Make the shape of a head of which all but so many lines at its end were read before."""
    reader = FieldLineReader(Redactor())
    for line in lines:
        reader.read_any(line)
    reader.known.clear()
    known = [reader.read_any(line) for line in lines[: len(lines) - unknown]] + [None] * unknown
    return shape_of([b"", *lines], [None, *known], reader)


def test_lines_that_vary_are_read_and_the_others_are_known() -> None:
    """Ids and traces are those of the head that is read, cookies keep their names."""
    found = shape(b"Host: a", b"Accept: */*", b"X-Request-Id: 1", TRACEPARENT % (1, 1), b"Cookie: a=1", unknown=3)
    assert found is not None
    facts = found.read([b"", b"Host: a", b"Accept: */*", b"X-Request-Id: 2f", TRACEPARENT % (3, 4), b"Cookie: b=2"])
    assert facts is not None
    assert (facts.host, facts.request_id, facts.trace_id, facts.span_id) == ("a", "2f", f"{3:032x}", f"{4:016x}")
    lines = b"X-Request-Id: 2f\r\n" + TRACEPARENT % (3, 4) + b"\r\nCookie: b=[REDACTED]"
    assert facts.redacted == b"\r\nHost: a\r\nAccept: */*\r\n" + lines


def test_an_invalid_trace_is_none() -> None:
    """As anywhere."""
    found = shape(TRACEPARENT % (1, 1), unknown=1)
    assert found is not None
    facts = found.read([b"", TRACEPARENT % (0, 1)])
    assert facts is not None
    assert (facts.trace_id, facts.span_id) == (None, None)


def test_a_head_of_another_shape_is_not_read() -> None:
    """Of other names where lines vary, of values that are not as they vary, or with fields hidden in a line."""
    found = shape(b"Host: a", b"X-Request-Id: 1", b"Cookie: a=1", b"Y: 1", unknown=3)
    assert found is not None
    assert found.read([b"", b"Host: a", b"X-Request-Id: 2", b"Cookie: a=2", b"Y: 2"]) is not None
    for varying in (
        (b"X-Request-Ids: 2", b"Cookie: a=2", b"Y: 2"),
        (b"X-Request-Id: two", b"Cookie: a=2", b"Y: 2"),
        (b"X-Request-Id: 2", b"Authorization: a", b"Y: 2"),
        (b"X-Request-Id: 2", b'Cookie: a="; b=2"', b"Y: 2"),
        (b"X-Request-Id: 2", b"Cookie: a=2\nHost: b", b"Y: 2"),
        (b"X-Request-Id: 2", b"Cookie: a=2", b"User-Agent: 2"),
        (b"X-Request-Id: 2", b"Cookie: a=2", b"no field"),
    ):
        assert found.read([b"", b"Host: a", *varying]) is None


def test_heads_whose_columns_vary_have_no_shape() -> None:
    """Nor have those with a line that is no field."""
    assert shape(b"Host: a", b"User-Agent: u", unknown=1) is None
    assert shape(b"Host: a", b"no field", unknown=1) is None
