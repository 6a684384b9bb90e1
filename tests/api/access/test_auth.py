"""Credentials in headers."""

import pytest

from api.access.auth import is_own_origin, read_credential


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer a", "a"), ("bEARER a", "a"), ("a", "a"), ("Basic a", None), ("a b c", None), ("", None), (None, None)],
)
def test_credentials_are_read_from_both_spellings(header: str | None, token: str | None) -> None:
    """With the scheme or bare."""
    assert read_credential(header) == token


@pytest.mark.parametrize(
    ("method", "origin", "is_own"),
    [
        ("POST", None, True),
        ("POST", "http://a.test:8090", True),
        ("POST", "http://A.test:8090", True),
        ("POST", "http://a.test", False),
        ("DELETE", "http://evil.example", False),
        ("POST", "null", False),
        ("POST", "http://[", False),
        ("POST", "http://[x]", False),
        ("POST", "http://a\u2100b", False),
        ("GET", "http://evil.example", True),
    ],
)
def test_writes_come_from_our_own_origin(method: str, origin: str | None, is_own: bool) -> None:
    """As far as the browser tells; reading is not a matter of origin."""
    headers = {"Host": "a.test:8090"} | ({} if origin is None else {"Origin": origin})
    assert is_own_origin(method, headers) is is_own
