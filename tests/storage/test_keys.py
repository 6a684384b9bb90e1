"""Keys as values: secrets, changes, uses."""

import re

from hypothesis import given
from hypothesis import strategies as st

from storage.keys import ApiKey, KeyChanges, changed, deleted, new_secret, secret_digest, used

KEY = ApiKey(
    id="k", name="n", last4="a1b2", secret_sha256=bytes(32), scopes=("a",), expires_at_us=5
)


def test_a_secret_is_long_random_text_without_punctuation() -> None:
    """`sk_` and 43 characters of base62; two are never alike."""
    found = {new_secret() for _ in range(500)}
    assert len(found) == 500
    assert all(re.fullmatch(r"sk_[0-9A-Za-z]{43}", secret) for secret in found)
    assert {character for secret in found for character in secret[4:]} >= set("019AZaz")


def test_the_digest_is_sha256_of_the_bytes() -> None:
    """Known answer of FIPS 180-2, appendix B.1."""
    assert secret_digest(b"abc").hex().startswith("ba7816bf8f01cfea")


@given(st.text(), st.none() | st.lists(st.text()).map(tuple), st.booleans())
def test_what_is_given_is_changed_and_nothing_else(
    name: str, agents: tuple[str, ...] | None, is_disabled: bool
) -> None:
    """Null is a value that can be given."""
    after = changed(KEY, KeyChanges(name=name, agents=agents, disabled=is_disabled))
    assert (after.name, after.agents, after.disabled) == (name, agents, is_disabled)
    assert (after.scopes, after.expires_at_us, after.secret_sha256) == (("a",), 5, bytes(32))
    assert changed(KEY, KeyChanges()) == KEY


def test_a_deleted_key_has_no_hash() -> None:
    """Its name stays."""
    after = deleted(KEY, 9)
    assert (after.secret_sha256, after.deleted_at_us, after.disabled, after.name) == (
        None,
        9,
        True,
        "n",
    )


@given(st.lists(st.integers(1, 100)))
def test_the_newest_use_wins(moments: list[int]) -> None:
    """In whatever order uses arrive."""
    key = KEY
    for at_us in moments:
        key = used(key, {"k": at_us, "other": 1000})
    assert key.last_used_at_us == max(moments, default=None)
