"""Exceptions: names that are none of secrets anywhere, and places in JSON bodies."""

import json
from typing import Any

from proxy.enrich.redact.naming.values import PlaceFinder, places_in
from proxy.enrich.redact.redactor import Redactor
from tests.support.cases import each_of

JSON = b"application/json"


def test_names_are_excepted_everywhere() -> None:
    """In any spelling: headers, arguments that MCP repeats, parameters, forms, parts, JSON, markup,
    YAML, settings.
    """
    redactor = Redactor(excepted=["session_id", "apiKey"])
    head = (
        b"GET /a;sessionId=x?session-id=y&token=S HTTP/1.1\r\nSession-Id: 1\r\nMcp-Param-Api-Key: "
        b"k\r\nX-Token: S"
    )
    assert redactor.redact_head(head) == head.replace(b"=S", b"=[REDACTED]").replace(
        b" S", b" [REDACTED]"
    )

    for kind, text in (
        (
            "application/json",
            '{"sessionId": "x", "API_KEY": ["y"], "a": "{\\"session_id\\": \\"z\\"}"}',
        ),
        ("application/json", '{"name": "session_id", "value": "x"}'),
        ("application/x-www-form-urlencoded", "session_id=x&user[api_key]=y"),
        ("text/xml", '<a><sessionId>x</sessionId><b api-key="y"/></a>'),
        ("application/yaml", "session_id: x\napi-key: y\n"),
        ("application/toml", 'session_id = "x"\n'),
        ("text/csv", "session_id,a\nx,1\n"),
    ):
        assert redactor.redact_body(text.encode(), b"", kind.encode(), False)[0] == text.encode(), (
            kind
        )


@each_of(
    ("document", "secrets"),
    [
        ({"properties": {"token": "x", "password": "y"}}, 0),
        ({"a": [{"b": 1}, {"properties": 5}], "properties": {"token": "x"}}, 0),
        ([{"properties": {"token": "x"}}, {"properties": {"token": "y"}}], 0),
        ({"properties": {"a": {"token": "S"}}}, 1),
        ({"properties": {"session": {"id": "x", "token": "S"}}}, 1),
        ({"tools": {"properties": {"token": "S"}}, "token": "S"}, 2),
        ({"tools": [{"input": {"api_key": "x"}}]}, 0),
        ({"tools": {"input": {"api_key": "x"}}}, 0),
        ({"a": '{"properties": {"token": "S"}}'}, 1),
        ({"a}": "{", "properties": {"pwd": "x"}}, 0),
    ],
)
def test_places_are_excepted(document: Any, secrets: int) -> None:
    """A member of an object at a path from the outermost one, through lists; what is below has
    names of its own.
    """
    redactor = Redactor(excepted=["body.properties.*", "body.tools.input.api_key"])
    text = json.dumps(document, indent=1)
    shown, _ = redactor.redact_body(text.encode(), b"", JSON, False)
    assert shown.count(b"[REDACTED]") == secrets
    assert b'"S"' not in shown
    assert not secrets or redactor.redact_body(shown, b"", JSON, False)[0] == shown


def test_what_has_no_path_is_not_excepted() -> None:
    """The rest of a body, a document in a string or in the pieces of a stream, a form; and keys go
    by their looks.
    """
    redactor = Redactor(excepted=["body.properties.*"])
    text = b'{"properties": {"token": "S3CRET-1"}}'
    assert b"S3CRET" not in redactor.redact_body(b"x", b"\n" + text[1:], JSON, True)[1]
    frames = b"".join(
        b"data: %b\n\n" % json.dumps({"partial_json": text[at : at + 9].decode()}).encode()
        for at in (0, 9, 18, 27, 36)
    )
    assert b"S3CRET" not in redactor.redact_body(frames, b"", b"text/event-stream", False)[0]
    assert b"S3CRET" not in redactor.redact_query(b"a=%b" % text)
    key = b'{"properties": {"token": "ghp_%b"}}' % (b"Ab1" * 12)
    assert b"Ab1" not in redactor.redact_body(key, b"", JSON, False)[0]


def test_a_text_is_followed_once() -> None:
    """However many members are asked for, and however it is nested or cut."""
    places = places_in(["body.a.*", "name"])
    assert places == ((b"a", b"*"),)
    text = b'{"a": [' + b'{"token": 1, "b": "\\"}"},' * 50_000
    finder = PlaceFinder(text, places)
    assert all(
        finder.is_excepted(at, b"token")
        for at in range(8, len(text), 25)
        if text[at : at + 7] == b'"token"'
    )
    assert not PlaceFinder(b"}" * 9, places).is_excepted(9, b"x")
    assert not PlaceFinder(b"[}}" * 9, places).is_excepted(27, b"x")
