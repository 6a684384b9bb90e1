"""Header rules: layers put together, and applied to the heads of final responses only."""

import pytest

from proxy.http1.field_lines import UPGRADE_LINES
from proxy.http1.header_rules import HeaderRules, compile_rules
from proxy.http1.response_head import parse_response_head


def test_a_later_layer_wins() -> None:
    """What it sets, or removes by an empty value, is gone from the earlier one, whatever the case."""
    made = compile_rules(
        {"X-A": "1", "X-B": "1", "X-C": "", "X-D": "\xfc"}, {"x-a": "2", "X-B": ""}
    )
    assert made.without == {b"x-a", b"x-b", b"x-c", b"x-d"}
    assert made.lines == b"X-D: \xfc\r\nx-a: 2\r\n"
    assert compile_rules({"X-C": ""}, {"x-c": "1"}).lines == b"x-c: 1\r\n"
    assert compile_rules() == compile_rules({}) == HeaderRules()


@pytest.mark.parametrize(
    ("framing", "rendered"),
    [
        (b"Content-Length: 2", b"Content-Length: 2"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    ],
)
def test_a_response_keeps_its_framing(framing: bytes, rendered: bytes) -> None:
    """Status line and framing are not theirs to change; order is kept."""
    raw = b"HTTP/1.1 200 Fine\r\nServer: x\r\n" + framing + b"\r\nA: b\r\nSERVER: y\r\n\r\n"
    head = parse_response_head(raw, max_headers=9)
    compile_rules({"Server": "z", "X": "c"}).apply(head)
    assert head.fields == b"A: b\r\nServer: z\r\nX: c\r\n"
    assert head.prefix == b"HTTP/1.1 200 Fine\r\n" + head.fields + rendered + b"\r\n"


@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints"])
def test_informational_responses_stay(status: bytes) -> None:
    """They belong to the connections."""
    raw = b"HTTP/1.1 %b\r\nA: b\r\n\r\n" % status
    head, same = (parse_response_head(raw, max_headers=9) for _ in range(2))
    compile_rules({"A": "z"}).apply(head)
    assert (head.fields, head.prefix) == (same.fields, same.prefix)


def test_the_answer_that_opens_a_websocket_is_final() -> None:
    """It is the last one on its connection, and has a record (RFC 9110 §15.2.2)."""
    raw = (
        b"HTTP/1.1 101 Switching Protocols\r\nServer: x\r\nX-Sidelog-Id: forged\r\n"
        + UPGRADE_LINES
        + b"\r\n"
    )
    head = parse_response_head(raw, max_headers=9)
    compile_rules({"A": "z", "Server": ""}).and_without("X-Sidelog-Id").apply(head)
    assert head.prefix == b"HTTP/1.1 101 Switching Protocols\r\nA: z\r\n" + UPGRADE_LINES
    assert head.fields == b"A: z\r\n"


@pytest.mark.parametrize("name", ["X-Sidelog-Id", "x-sidelog-ID"])
def test_one_more_field_may_go(name: str) -> None:
    """Whatever the rules are."""
    raw = b"HTTP/1.1 200 OK\r\nA: b\r\nX-sidelog-id: forged\r\nB: X-Sidelog-Id\r\n\r\n"
    for made, fields in ((compile_rules(), b""), (compile_rules({"C": "d"}), b"C: d\r\n")):
        head = parse_response_head(raw, max_headers=9)
        made.and_without(name).apply(head)
        assert head.fields == b"A: b\r\nB: X-Sidelog-Id\r\n" + fields
    assert compile_rules().and_without("") == HeaderRules()


def test_without_rules_nothing_is_touched() -> None:
    """Not even read."""
    head = parse_response_head(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", max_headers=9)
    before = (head.fields, head.prefix)
    HeaderRules().apply(head)
    assert (head.fields, head.prefix) == before
    assert head.prefix is before[1]
