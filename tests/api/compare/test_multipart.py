"""Multipart bodies are read part by part, and those that are none are refused."""

from typing import Any

import pytest

from api.compare.multipart import read_multipart, without_boundary
from tests.support.cases import each_of


def form(boundary: str, *parts: tuple[str, bytes], end: str = "\r\n") -> bytes:
    lines = b"".join(
        f'--{boundary}{end}Content-Disposition: form-data; name="{name}"{end}{end}'.encode()
        + content
        + end.encode()
        for name, content in parts
    )
    return lines + f"--{boundary}--{end}".encode()


def contents(body: bytes) -> Any:
    return {name: part["content"] for name, part in read_multipart(body).items()}


def test_parts_of_a_form_are_found_by_name() -> None:
    """Whatever the delimiter, and the ends of lines; JSON is read, other bytes have a digest."""
    parts = (
        ("a", b"1"),
        ("b", b'{"x": [1, 2]}'),
        ("c", b"two\r\nlines"),
        ("d", b"\xff\x00"),
        ("e", b""),
    )
    for body in (form("----x", *parts), form("y=1?", *parts), form("z", *parts, end="\n")):
        found = contents(body)
        assert (found["a"], found["b"], found["c"], found["e"]) == (
            1,
            {"x": [1, 2]},
            "two\r\nlines",
            "",
        )
        assert found["d"].startswith("2 bytes, SHA-256 ")


def test_other_parts_have_an_order() -> None:
    """Also those of a form with a name that is there twice."""
    mixed = b"--b\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--"
    assert read_multipart(mixed) == [
        {"headers": {"content-type": "text/plain"}, "content": "one"},
        {"headers": {}, "content": "two"},
    ]
    assert len(read_multipart(form("b", ("a", b"1"), ("a", b"2")))) == 2


@each_of(
    "body",
    [
        b"",
        b"--",
        b"--b",
        b"-- b\n",
        b"--b\r\n\r\nx\r\n",
        b"a\r\n--b\r\n\r\n--b--",
        b"--b\r\nno end of head\r\n--b--",
    ],
)
def test_what_is_none_is_refused(body: bytes) -> None:
    """Half of one, too."""
    with pytest.raises(ValueError):  # noqa: PT011 - in whatever words
        read_multipart(body)


def test_a_delimiter_has_no_meaning() -> None:
    """In quotes or not, and wherever it stands."""
    for boundary in ("abc", '"a b;c"'):
        assert without_boundary(f"multipart/form-data; boundary={boundary}; charset=utf-8") == (
            "multipart/form-data; charset=utf-8"
        )
    assert without_boundary("text/html; charset=utf-8") == "text/html; charset=utf-8"
