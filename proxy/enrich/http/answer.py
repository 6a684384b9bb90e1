"""A response that sidelog itself received, in the form in which it would be recorded."""

from collections.abc import Iterable
from typing import Final

from proxy.enrich.http.bodies import (
    MAX_REDACTED_BYTES,
    decode_body,
    omitted_body,
    redacted_body,
)
from proxy.enrich.http.head_facts import field_of, parse_head
from proxy.enrich.redact.edits import MARK
from proxy.enrich.redact.redactor import Redactor
from storage.record import Body, Payload

_MIN_SECRET_CHARACTERS: Final = 4
"""Shorter values would be found in any text."""


def recorded_answer(
    request: Payload | None,
    head: bytes,
    body: bytes,
    is_whole: bool,
    redactor: Redactor,
    secrets: Iterable[str] = (),
) -> Payload:
    """Return the payload that would be recorded: decoded, redacted, compacted, cut.

    No trace remains of `secrets`, the values that were sent, wherever the response contains them.
    """
    _, fields = parse_head(head)
    media_type = field_of(fields, b"content-type") or b""
    coding = field_of(fields, b"content-encoding") or b""
    size = len(body) + (0 if is_whole else 1)
    kept: Body | None = None

    if body:
        decoded = decode_body(body, b"", size, coding, content_type=media_type)
        if decoded is not None:
            decoded.head = without_secrets(decoded.head, secrets)
            kept = redacted_body(decoded, media_type, redactor, MAX_REDACTED_BYTES)
        else:
            kept = omitted_body(size, coding, "coding")

    request_head, request_body = (
        (request.request_head, request.request_body) if request else (b"", None)
    )
    return Payload(
        request_head, redactor.redact_head(without_secrets(head, secrets)), request_body, kept
    )


def without_secrets(text: bytes, secrets: Iterable[str]) -> bytes:
    """Replace secret values by `[REDACTED]`; values of less than four characters stay."""
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_CHARACTERS:
            text = text.replace(secret.encode(), MARK)
    return text
