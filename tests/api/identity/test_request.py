"""What a request asks for, as a document."""

import msgspec

from api.identity.places import read_request_places
from api.identity.request import request_of
from storage.record import Body, Payload, Record


def record(path: str, query: str | None = None) -> Record:
    return Record(
        1, b"", "", "exchange", 0, 0, method="POST", path=path, query=query, endpoint="/u/{id}"
    )


def test_all_parts_are_in_it() -> None:
    """Path and query decoded, several lines of a field as one."""
    head = b"POST /u/7 HTTP/1.1\r\nAccept: a/b\r\nX-A: 1,2\r\nx-a:  3"
    payload = Payload(head, b"", Body(b'{"a": 1}', b"", 8, False, None, None), None)
    found = request_of(record("/u/%41%2f7", "b=2&a=%20&b=1"), payload)
    assert found.endpoint == "/u/{id}"
    assert found.document == {
        "method": "POST",
        "path": ["", "u", "A/7"],
        "query": {"b": ["1", "2"], "a": [" "]},
        "kind": "json",
        "body": {"a": 1},
    }
    assert found.fields == {"accept": "a/b", "x-a": "1, 2, 3"}


def test_documents_in_a_query_are_read() -> None:
    """JSON by value, GraphQL by its tokens."""
    one, other = (
        request_of(record("/graphql", query), None).document["query"]
        for query in (
            "query=%7Ba(x:1)%7D&variables=%7B%22b%22:2,%22a%22:1%7D",
            "variables=%7B%22a%22:1,%22b%22:2%7D&query=%7B+a(x:+1)+%7D",
        )
    )
    assert one == other == {"query": "{ a ( x : 1 ) }", "variables": {"a": 1, "b": 2}}
    plain = request_of(record("/x", "query=a+b&f=%7B%22x%22:1%7D&g=%7Bx"), None).document["query"]
    assert plain == {"query": ["a b"], "f": [{"x": 1}], "g": ["{x"]}


def test_fingerprints_of_what_was_redacted_do_not_count() -> None:
    """In path, query, headers and body."""
    secret = "[REDACTED:1f3a]"
    body = msgspec.json.encode({"a": [secret], secret: 1})
    payload = Payload(
        f"GET / HTTP/1.1\r\nX: {secret}".encode(), b"", Body(body, b"", 9, False, None, None), None
    )
    found = request_of(record(f"/u/{secret}", "a=%5BREDACTED:1f%5D"), payload)
    assert found.document["path"][2] == found.fields["x"] == "[REDACTED]"
    assert found.document["query"] == {"a": ["[REDACTED]"]}
    assert found.document["body"] == {"a": ["[REDACTED]"], "[REDACTED]": 1}


def test_places_are_left_out() -> None:
    """Of headers as well."""
    payload = Payload(b"GET / HTTP/1.1\r\nX: 1\r\nY: 2", b"", None, None)
    found = request_of(
        record("/u/7", "a=1&b=2"), payload, read_request_places(["query.a", "header:x"])
    )
    assert (found.document["query"], found.fields) == ({"b": ["2"]}, {"y": "2"})
