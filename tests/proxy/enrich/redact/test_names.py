"""Secret names: spellings that are one name, and names that only look alike."""

import pytest

from proxy.enrich.redact.names import BUILT_IN, QUERY_ONLY, SecretNames, normalise, parameter_parts


@pytest.mark.parametrize(
    "name", [b"access_token", b"Access-Token", b"accessToken", b"ACCESS_TOKEN ", b"-access--token_"]
)
def test_spellings_are_one_name(name: bytes) -> None:
    """Case, hyphens, underscores and blanks around do not matter."""
    assert SecretNames(BUILT_IN).has(name)
    assert normalise(name) == b"accesstoken"


@pytest.mark.parametrize("name", [b"max_tokens", b"tokens", b"passwords", b"content-type", b"", b"key", b"\xff\x00"])
def test_other_names_are_not_secret(name: bytes) -> None:
    """A name is compared whole, never by a part of it."""
    assert not SecretNames(BUILT_IN).has(name)


@pytest.mark.parametrize(
    "name", [b"p%61ssword", b"p%2561ssword", b"user[password]", b"user.password", b"token[]", b"key", b"%6bey"]
)
def test_parameters_are_decoded_and_taken_apart(name: bytes) -> None:
    """Percent-encoded once or twice, and in brackets or after a dot."""
    names = SecretNames(BUILT_IN, QUERY_ONLY, parts_of=parameter_parts)
    assert names.has(name)
    assert names.has(name), "remembered verdicts are the same"
    assert not names.has(b"monkey")
    assert not names.has(b"%")


def test_configured_names_are_added_in_any_spelling() -> None:
    """Groups are united; iteration gives the compared form once each."""
    names = SecretNames(("X-My_Key",), ("xmykey", "other"))
    assert names.has(b"xMyKey")
    assert list(names) == [b"other", b"xmykey"]


def test_memory_of_spellings_is_bounded() -> None:
    """Ten thousand different names leave no more than the bound behind, and verdicts stay right."""
    names = SecretNames(BUILT_IN)
    assert not any(names.has(b"n%d" % number) for number in range(10_000))
    assert not names.has(b"x" * 10_000)
    assert len(names._memo) <= 4096
    assert names.has(b"token")
