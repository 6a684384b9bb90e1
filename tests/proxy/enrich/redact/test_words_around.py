"""What words stand before a secret, and which of those are none of it."""

import json

import pytest

from proxy.enrich.redact.redactor import Redactor
from proxy.enrich.redact.rule import built_in_rules
from proxy.enrich.redact.scanner import Scanner

_SCANNER = Scanner(built_in_rules())


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (b"https://u:p@host/", b"u:p"),
        (b"https://host/a:b@c", None),
        (b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN PRIVATE KEY-----"),
        (b"-----BEGIN CERTIFICATE-----", None),
        (b"Bearer abcdefghij0123456789", b"abcdefghij0123456789"),
        (b"bearer authentication-scheme", None),
        (b"basic dXNlcjpwYXNzd29yZA==", b"dXNlcjpwYXNzd29yZA=="),
        (b"Basic understanding", None),
        (b"password 'x y'", b"'x y'"),
        (b"GET /a?b=1&token=abcdefgh HTTP/1.1", b"abcdefgh"),
        (b"Server=x;Password=hunter22;", b"hunter22"),
        (b"/a;jsessionid=0123456789?x", b"0123456789"),
        (b"CREATE USER ada IDENTIFIED BY 'hunter2'", b"'hunter2'"),
        (b"curl -u ada:hunter2 http://x", b"hunter2"),
        (b"jdbc:oracle:thin:scott/tiger1@//h", b"tiger1"),
        (b"Cookie: sid=abcdef", b"sid=abcdef"),
        (b"redis-cli -a hunter22", b"hunter22"),
        (b"login page", None),
    ],
)
def test_the_words_before_a_secret_are_not_part_of_it(text: bytes, secret: bytes | None) -> None:
    """And what only looks like one is none."""
    found = {text[edit.start : edit.stop] for edit in _SCANNER.forms(text)}
    assert found == (set() if secret is None else {secret})


def test_a_private_key_goes_in_a_string_of_json() -> None:
    """Its literals have quotes, which are escaped there."""
    key = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"
    text = json.dumps({"a": json.dumps({"kty": "EC", "d": key})})
    assert (
        key
        not in Redactor().redact_body(text.encode(), b"", b"application/json", False)[0].decode()
    )
