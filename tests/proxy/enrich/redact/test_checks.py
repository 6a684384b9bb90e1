"""What a match of a rule must satisfy beside its expression."""

import base64

import pytest

from proxy.enrich.redact.checks import (
    CHECKS,
    begins_with_object,
    has_non_word,
    holds_login,
    holds_private_key,
    is_mixed,
    is_random,
)
from proxy.enrich.redact.rule import built_in_rules


def test_keys_are_told_from_words() -> None:
    """By digits and letters of both cases."""
    assert is_random(b"aB3dE5fG7")
    assert is_random(b"0123456789abcdef-x")
    assert is_random(b"1f0c2a34-0b1c-4d5e-8f90-0123456789ab")
    assert not is_random(b"some-words-and-more")
    assert is_mixed(b"aBcDeFgHiJ")
    assert not is_mixed(b"sk-words-with-hyphens-between-them")
    assert has_non_word(b"aB3dE5fG7hI9jK1l")
    assert not has_non_word(b"your_token_here_12")


def test_base64_is_read() -> None:
    """Of public keys and certificates nothing is a secret, and of other base64 neither."""
    private = base64.b64encode(b"-----BEGIN EC PRIVATE KEY-----\nabc")
    assert holds_private_key(private)
    assert not holds_private_key(base64.b64encode(b"-----BEGIN PUBLIC KEY-----\nabcdefgh"))
    assert holds_login(base64.b64encode(b"user:password").rstrip(b"="))
    assert not holds_login(b"understanding")


@pytest.mark.parametrize(
    ("token", "is_one"),
    [
        (b"eyJhbGciOiJIUzI1NiJ9.e30.x", True),
        (b"sk.eyJhbGciOiJIUzI1NiJ9.e30.x", True),
        (b"eyJ.a.b", False),
    ],
)
def test_a_token_begins_with_an_object(token: bytes, is_one: bool) -> None:
    """RFC 7515 §3.1."""
    assert begins_with_object(token) is is_one


def test_all_checks_of_rules_are_known() -> None:
    """And each is used."""
    used = {rule.check for rule in built_in_rules() if rule.check}
    assert used <= set(CHECKS)
