"""What a token looks like, whole or at an edge."""

from proxy.enrich.redact.patterns.tokens import begins_secret, is_random, secret_in, without_beginning
from tests.support.cases import each_of


@each_of(
    ("found", "secret"),
    [
        (b"://u:p@", b"u:p"),
        (b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN PRIVATE KEY-----"),
        (b"Bearer abcdefghij0123456789", b"abcdefghij0123456789"),
        (b"bearer authentication-scheme", None),
        (b"basic dXNlcjpwYXNzd29yZA==", b"dXNlcjpwYXNzd29yZA=="),
        (b"Basic understanding", None),
        (b"sk-words-with-hyphens-between-them", None),
        (b"password 'x y'", b"'x y'"),
    ],
)
def test_the_words_before_a_secret_are_not_part_of_it(found: bytes, secret: bytes | None) -> None:
    """And what only looks like one is none."""
    span = secret_in(found)
    assert (None if span is None else found[slice(*span)]) == secret


def test_keys_are_known_by_their_beginnings() -> None:
    """Where a window cuts them off."""
    assert begins_secret(b"ghp_ab")
    assert not begins_secret(b"words")
    assert without_beginning(b"see sk-ab") == b"see [REDACTED]"
    assert without_beginning(b"see words") == b"see words"


def test_keys_are_told_from_words() -> None:
    """By digits and letters of both cases."""
    assert is_random(b"aB3dE5fG7")
    assert is_random(b"0123456789abcdef-x")
    assert not is_random(b"some-words-and-more")
