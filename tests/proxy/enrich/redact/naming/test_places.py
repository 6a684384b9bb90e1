"""Exceptions: names that are none of secrets anywhere, and places in JSON bodies."""

import json

from proxy.enrich.redact.naming.values import PlaceFinder, places_in
from proxy.enrich.redact.redactor import Redactor

JSON = b"application/json"


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
