"""What bodies say: the kind, and a value that is equal where they mean the same."""

from typing import Any

from api.identity.content import NOTHING, by_name, content_of
from storage.record import Body
from tests.support.cases import each_of


def kept(content: bytes) -> Body:
    return Body(content, b"", len(content), False, None, None)


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


@each_of(
    ("raw", "content_type", "kind", "value"),
    [
        (b'{"b": 1.0, "a": "\\u00e9"}', "", "json", {"a": "é", "b": 1}),
        (b"data: 1\n\ndata: 2\n\n", "text/event-stream", "events", [{"data": 1}, {"data": 2}]),
        (
            b"a=1&b=+&a=2",
            "application/x-www-form-urlencoded",
            "form",
            {"a": ["1", "2"], "b": [" "]},
        ),
        (b"{ a, # b\n b }", "application/graphql", "graphql", {"query": "{ a b }"}),
        (
            b'{"query": "query A { a }", "variables": null}',
            "application/json",
            "graphql",
            {"query": "query A { a }"},
        ),
        (b'[{"query": "{a}"}]', "application/json", "graphql", [{"query": "{ a }"}]),
        (b'{"query": "shoes"}', "application/json", "json", {"query": "shoes"}),
        (b"<a> </a>", "text/xml", "text", "<a> </a>"),
        (
            multipart(
                b'Content-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhi\r\nthere'
            ),
            "multipart/form-data; boundary=x",
            "multipart",
            {"f": [{"content": "hi\r\nthere", "filename": "a.txt"}]},
        ),
        (b"no parts", "multipart/form-data; boundary=x", "text", "no parts"),
    ],
)
def test_a_body_is_read_by_its_kind(raw: bytes, content_type: str, kind: str, value: Any) -> None:
    """Seen by its content, and for forms and parts by its type."""
    assert content_of(kept(raw), content_type) == (kind, value)


def test_texts_of_graphql_stay_as_they_are() -> None:
    """What is between quotes is no space, comma or comment."""
    for text in ('{ a(q: "x,  y # z") }', '{ a(q: """x,\n"y" # z""") }'):
        tokens = content_of(kept(text.encode()), "application/graphql").value["query"]
        assert tokens.count("  ") == text.count("  ")
        assert "# z" in tokens


def test_bytes_are_named_by_their_digest() -> None:
    """Whatever is in them."""
    one, other = (content_of(kept(raw), "image/png") for raw in (b"\xff\x00", b"\xff\x01"))
    assert one.kind == other.kind == "bytes"
    assert one.value != other.value


def test_what_is_not_whole_is_known_by_its_size() -> None:
    """A body that was cut, not kept, or not decoded; one that is empty is none."""
    for body in (
        Body(b"be", b"", 99, True, None, None),
        Body(b"", b"", 99, True, None, "level"),
        Body(b"be", b"", 99, False, None, None, "gzip: damaged"),
    ):
        assert content_of(body, "") == ("cut", 99)

    assert content_of(None, "") == content_of(kept(b""), "") == NOTHING


def test_any_depth_is_read() -> None:
    """What is nested too deep to be compared is a text."""
    deep = b"[" * 600 + b"]" * 600
    assert content_of(kept(deep), "").kind in ("json", "text")
    assert content_of(kept(b"[" * 200_000), "").kind == "text"


def test_a_form_is_read_by_name() -> None:
    """Octets that are no UTF-8 stay apart."""
    assert by_name("a=%FF&a=%FE&b") == {"a": ["\udcff", "\udcfe"], "b": [""]}
