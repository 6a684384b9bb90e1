"""An answer that came to ourselves, as it would be recorded."""

import gzip

from proxy.enrich.http.answer import recorded_answer
from proxy.enrich.http.bodies import MAX_REDACTED_BYTES
from proxy.enrich.redact.redactor import Redactor
from storage.record import Payload

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=secret; Path=/"


def recorded(
    body: bytes, head: bytes = HEAD, *, is_whole: bool = True, secrets: tuple[str, ...] = ()
) -> Payload:
    return recorded_answer(None, head, body, is_whole, Redactor(), secrets)


def test_it_is_decoded_and_redacted() -> None:
    """Heads and bodies alike."""
    payload = recorded(
        gzip.compress(b'{"password": "hunter2", "a": 1}'), HEAD + b"\r\nContent-Encoding: gzip"
    )
    assert (
        payload.response_head
        == HEAD.replace(b"secret", b"[REDACTED]") + b"\r\nContent-Encoding: gzip"
    )
    assert payload.response_body is not None
    assert payload.response_body.head == b'{"password": "[REDACTED]", "a": 1}'


def test_of_what_was_given_nothing_is_left() -> None:
    """Wherever the answer echoes it; short values, which any text has, stay."""
    secrets = ("correct horse", "", "a")
    payload = recorded(
        b'{"a": "was correct horse"}', HEAD + b"\r\nX-Echo: correct horse", secrets=secrets
    )
    assert payload.response_body is not None
    assert payload.response_body.head == b'{"a": "was [REDACTED]"}'
    assert payload.response_head.endswith(b"X-Echo: [REDACTED]")


def test_what_is_missing_is_known() -> None:
    """A body that was not read to its end, is long, or cannot be decoded; and none at all."""
    bodies = [
        recorded(b"x", is_whole=False).response_body,
        recorded(b"x" * (MAX_REDACTED_BYTES + 1)).response_body,
        recorded(
            gzip.compress(b"abc" * 99)[:20], HEAD + b"\r\nContent-Encoding: gzip"
        ).response_body,
    ]
    assert [
        body is not None and (body.truncated or body.omitted is not None) for body in bodies
    ] == [True] * 3
    assert recorded(b"").response_body is None
