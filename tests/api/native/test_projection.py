"""Windows and heads as the native API shows them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.native.projection import decode_window, detail_json, encode_windows, read_json, split_head
from tests.api.samples import make_body, make_payload, make_record
from tests.support.cases import each_of


@given(st.text(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_windows_of_text_are_text_wherever_they_are_cut(text: str, end: int, start: int) -> None:
    """A character that an edge cuts is left out; all others stay."""
    raw = text.encode()
    body = make_body(raw[:end], tail=raw[max(start, end) :], size=len(raw), truncated=True)
    encoding, head, tail = encode_windows(body)
    assert encoding == "utf-8"
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(raw[:end]) - len(head.encode()) <= 3


@each_of(
    ("window", "cut_start", "cut_end"),
    [
        (b"\xff", True, True), (b"a\xffb", True, True), (b"\xc3", False, False), (b"\x80abc", False, True),
        (b"\xc3a", False, True),
    ],
)  # fmt: skip
def test_other_octets_are_not_text(window: bytes, cut_start: bool, cut_end: bool) -> None:
    """Damage that is not a cut character stays in base64."""
    assert decode_window(window, cut_start=cut_start, cut_end=cut_end) is None


@given(st.binary(max_size=200))
def test_any_head_is_shown(head: bytes) -> None:
    """Whatever was on the wire, the detail has strings."""
    start_line, headers = split_head(head)
    assert start_line is None or isinstance(start_line, str)
    assert all(len(pair) == 2 for pair in headers)


def test_header_octets_that_are_not_utf8_are_kept() -> None:
    """Each octet becomes one character."""
    assert split_head(b"GET / HTTP/1.1\r\nX: \xe9t\xe9\r\nno-colon\r\n") == (
        "GET / HTTP/1.1",
        [["X", "\u00e9t\u00e9"], ["no-colon", ""]],
    )
    assert split_head(b"") == (None, [])


def test_pseudo_fields_of_a_malformed_head_have_their_names() -> None:
    """As they came, in HTTP/2."""
    assert split_head(b"GET /a HTTP/2\r\n:method: GET\r\n:path: /a\r\nconnection: close")[1] == [
        [":method", "GET"], [":path", "/a"], ["connection", "close"],
    ]  # fmt: skip


def test_event_payloads_that_are_no_json_are_text() -> None:
    """A damaged payload is shown as it is."""
    assert read_json(b'{"a": 1}') == {"a": 1}
    assert read_json(b"[" * 5000) == "[" * 5000
    assert read_json(b"\xff") == "\u00ff"
    assert read_json(None) is None


@each_of(
    ("changes", "body", "said"),
    [
        ({"status": 404}, b'{"title": "Not Found", "detail": "there is no user 26"}', "there is no user 26"),
        ({"status": 422}, b'{"detail": [{"msg": "Field required"}, {"msg": "short"}]}', "Field required; short"),
        ({"status": 500, "data": b'{"error_message": "noted"}'}, b'{"message": "other"}', "noted"),
        ({"status": 200}, b'{"message": "all is well"}', None),
        ({"status": 500}, b"<html>", None),
        ({"status": 500}, b'{"error": 7}', None),
    ],
)  # fmt: skip
def test_what_a_failure_says_is_shown(
    changes: dict[str, Any], body: bytes, said: str | None
) -> None:
    """Also of ordinary statuses from 400 on, of which the record itself has no words."""
    payload = make_payload(None, make_body(body))
    assert detail_json(make_record(1, **changes), payload)["error_message"] == said
