"""One text of a header or of a place in a body, or the reason why there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.record import Body, Payload
from storage.search.cell import MAX_CELL_CHARACTERS, STATES, Cell, Cells, group_names, is_cell_field
from tests.storage.samples import make_body
from tests.support.cases import each_of

REQUEST = b"POST / HTTP/1.1\r\nX-Tenant: acme\r\nX-Tag: a\r\nx-tag: b\r\nCookie: [REDACTED]"
RESPONSE = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nX-Tag: c'


def payload(request: Body | bytes | None = None, response: bytes | None = None) -> Payload:
    body = make_body(request) if isinstance(request, bytes) else request
    return Payload(REQUEST, RESPONSE, body, None if response is None else make_body(response))


@each_of(
    ("field", "expected"),
    [
        ("header.X-Tenant", Cell("known", "acme")),
        ("header.x-tag", Cell("known", "a, b, c")),
        ("request_header.x-tag", Cell("known", "a, b")),
        ("response_header.etag", Cell("known", '"1"')),
        ("response_header.x-tenant", Cell("absent")),
        ("header.cookie", Cell("known", "[REDACTED]")),
    ],
)
def test_headers(field: str, expected: Cell) -> None:
    """In any case, all values of all that are meant."""
    assert Cells(payload()).cell(field) == expected


@each_of(
    ("field", "expected"),
    [
        ("body.user.id", Cell("known", "42, 7")),
        ("request_body.user.id", Cell("known", "42")),
        ("response_body.user.id", Cell("known", "7")),
        ("request_body.user", Cell("known", '{"id":42}')),
        ("request_body.items.price", Cell("known", "1, 2.5")),
        ("request_body.items.1.price", Cell("known", "2.5")),
        ("request_body.items.7.price", Cell("absent")),
        ("request_body.ok", Cell("known", "true")),
        ("request_body.none", Cell("null")),
        ("body.none", Cell("null")),
        ("body.nothing", Cell("absent")),
        ("body.big", Cell("known", "100000000000000000000")),
        ("body.deep", Cell("known", '{"n":18446744073709551616,"x":"NaN"}')),
        ('body."a.b"', Cell("known", "7")),
        ("body.a.b", Cell("known", "7")),
        ("body.cut", Cell("known", "x\ufffd")),
    ],
)
def test_places(field: str, expected: Cell) -> None:
    """Scalars as they are read, what is larger as JSON; null is not absent."""
    request = (
        b'{"user": {"id": 42}, "items": [{"price": 1}, {"price": 2.5}], "ok": true, "none": null,'
        b'"big":100000000000000000000,"deep":{"n":18446744073709551616,"x":NaN},"a.b":7,"cut":"x\\ud83d"}'
    )
    assert Cells(payload(request, b'{"user": {"id": 7}}')).cell(field) == expected


@pytest.mark.parametrize("depth", [30, 260, 1000])
def test_deep_values(depth: int) -> None:
    """What is nested deeper than JSON is written is shown as far as the rest is."""
    inner = b'{"a": "\xc3\xa4", "b": [], "c": {}, "d": [1, null, true], "e":'
    text = b'{"x": ' + inner * depth + b"7" + b"}" * depth + b"}"
    whole = (inner * depth).decode().replace(" ", "")
    assert Cells(payload(text)).cell("body.x") == Cell(
        "known", whole[:MAX_CELL_CHARACTERS] + "…", is_cut=True
    )


def test_why_there_is_no_value() -> None:
    """Cut, no JSON, not kept, no body: each is said, and what one body knows counts before that."""
    cut = Body(b'{"a": 1', b"}", 9000, True, None, None)
    left_out = Body(b"", b"", 9000, False, None, "level")
    for body, state in (
        (cut, "cut"),
        (left_out, "not_kept"),
        (b"a=1", "not_json"),
        (b"", "not_json"),
        (None, "absent"),
    ):
        assert Cells(payload(body)).cell("request_body.a") == Cell(state)  # type: ignore[arg-type]  # a test's own

    assert Cells(payload(cut, b'{"a": 2}')).cell("body.a") == Cell("known", "2")
    assert Cells(payload(cut, b'{"b": 2}')).cell("body.a") == Cell("cut")
    assert Cells(None).cell("header.x") == Cells(None).cell("body.a") == Cell("not_kept")


def test_long_values_are_cut_with_a_mark() -> None:
    """Whoever reads it sees that there is more, also where two bodies are joined."""
    long = b'{"a": "%s"}' % (b"x" * (MAX_CELL_CHARACTERS + 1))
    cell = Cells(payload(long)).cell("body.a")
    assert cell == Cell("known", "x" * MAX_CELL_CHARACTERS + "…", is_cut=True)
    both = Cells(payload(b'{"a": "y"}', long)).cell("body.a")
    assert (both.text[:4], both.text[-1], both.is_cut) == ("y, x", "…", True)


def test_names() -> None:
    """A kind, a dot and something behind it."""
    for name in ("header.x", "body.a.b", "request_body.0", "response_header.etag"):
        assert is_cell_field(name)
    for name in ("header.", "body", "status", "heads.x", ".x", "body." + "x" * 200):
        assert not is_cell_field(name)


def test_groups() -> None:
    """A value, or none and why."""
    assert group_names(payload(), "header.x-tenant") == ("acme", "known")
    assert group_names(None, "header.x-tenant") == (None, "not_kept")


@given(st.binary(max_size=60), st.text(max_size=20))
def test_no_body_and_no_name_is_too_strange(body: bytes, path: str) -> None:
    """There is an answer, and it is one of the states."""
    assert Cells(payload(body, body)).cell(f"body.{path}").state in STATES
    nested = b"[" * 300 + body + b"]" * 300
    assert Cells(payload(nested)).cell(f"body.{path}").state in STATES
