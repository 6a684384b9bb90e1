"""What a record says was taken out of it: by which rule, and of how many places."""

import json
from typing import Any

from proxy.enrich.records import RecordBuilder
from tests.proxy.enrich.exchanges import descriptor_of, exchange, settings

KEY = "ghp_aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vWxYz1"
SETTINGS = settings()
DESCRIPTOR = descriptor_of(SETTINGS)


def redactions(builder: RecordBuilder, **given: Any) -> dict[str, int] | None:
    return builder.build(exchange(**given), DESCRIPTOR).record.redactions


def test_places_are_counted_by_rule() -> None:
    """Of the line, fields and both bodies; names of heads that are secrets themselves are seen
    there.
    """
    found = redactions(
        RecordBuilder("me", SETTINGS),
        path=f"/a?token=x&b={KEY}",
        request_headers=f"X-Note: {KEY}\r\nAuthorization: Bearer x\r\n",
        body=json.dumps({"password": "x", "db": {"password": "y"}}).encode(),
        answer=f"card 4111111111111111, {KEY}".encode(),
        content_type="text/plain",
    )
    assert found == {"name:token": 1, "github-token": 3, "name:password": 2, "card-number": 1}


def test_what_repeats_is_counted_each_time() -> None:
    """Heads and lines are remembered, but for those of which something was taken out."""
    builder = RecordBuilder("me", SETTINGS)
    for _ in range(4):
        assert redactions(builder, path=f"/x/{KEY}", request_headers=f"X-Note: {KEY}\r\n") == {
            "github-token": 2
        }
        assert redactions(builder, path="/x?api_key=abc") == {"name:api_key": 1}


def test_nothing_is_said_of_others() -> None:
    """Neither of what went before, nor of what is clean."""
    builder = RecordBuilder("me", SETTINGS)
    assert redactions(builder, body=json.dumps({"token": "x"}).encode()) == {"name:token": 1}
    assert redactions(builder, body=b'{"a": 1}', answer=b'{"b": 2}') is None
