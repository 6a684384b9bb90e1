"""Trace contexts: valid ones pass, anything else is replaced by one made of the record's id."""

from proxy.http1.request_head import RequestHead
from proxy.http1.trace_context import (
    TRACEPARENT,
    context_of,
    drop_invalid_context,
    traceparent_line,
)
from storage.record import new_id
from tests.support.cases import each_of

TRACE, PARENT = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
VALID = b"traceparent: 00-%b-%b-00" % (TRACE, PARENT)
STATE = b"TraceState: a=b"


@each_of(
    ("lines", "kept"),
    [
        ([VALID, STATE], True),
        ([b"TRACEPARENT:01-%b-%b-00-more" % (TRACE, PARENT)], True),
        ([], False),
        ([STATE], False),
        ([VALID, VALID, STATE], False),
        ([b"traceparent: 00-%b-%b-0" % (TRACE, PARENT), STATE], False),
        ([b"traceparent: 00-%b-%b-00" % (b"0" * 32, PARENT)], False),
        ([b"traceparent: 00-%b-%b-00" % (TRACE, b"0" * 16)], False),
        ([b"traceparent: 00-%b-%b-00" % (TRACE.upper(), PARENT)], False),
        ([b"traceparent:"], False),
    ],
)
def test_only_a_valid_context_stays(lines: list[bytes], kept: bool) -> None:
    """With what is not valid goes its state, which belongs to it; other fields stay."""
    head = RequestHead(is_keep_alive=True)
    head.lines = [b"A: b", *lines]
    assert drop_invalid_context(head) is not kept
    assert head.lines == [b"A: b", *(lines if kept else [])]


def test_a_made_context_is_valid_and_the_records() -> None:
    """Whoever has the id has both parts."""
    record_id = new_id(0, 0, 0)
    line = traceparent_line(record_id)
    found = TRACEPARENT.fullmatch(line.removeprefix(b"traceparent: ").removesuffix(b"\r\n"))
    assert found is not None
    assert (
        (found[1].decode(), found[2].decode())
        == context_of(record_id)
        == (record_id.hex(), record_id.hex()[16:])
    )
