"""Credentials in headers."""

import pytest

from api.access.auth import cookie_name, cookie_path, is_own_origin, read_credential
from api.access.front import Front
from tests.support.cases import each_of


@each_of(
    ("header", "token"),
    [
        ("Bearer a", "a"),
        ("bEARER a", "a"),
        ("a", "a"),
        ("Basic a", None),
        ("a b c", None),
        ("", None),
        (None, None),
    ],
)
def test_credentials_are_read_from_both_spellings(header: str | None, token: str | None) -> None:
    """With the scheme or bare."""
    assert read_credential(header) == token


@each_of(
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
    headers = {} if origin is None else {"Origin": origin}
    assert is_own_origin(method, headers, "a.test:8090") is is_own


@pytest.mark.parametrize(
    ("site", "is_own"), [("same-origin", True), ("same-site", False), ("cross-site", False)]
)
def test_what_the_browser_says_of_the_site_counts_more_than_a_host(site: str, is_own: bool) -> None:
    """A proxy may pass another Host on; no script can say this."""
    headers = {"Origin": "https://logs.example", "Sec-Fetch-Site": site}
    for host in ("127.0.0.1:8090", "logs.example"):
        assert is_own_origin("POST", headers, host) is is_own


@pytest.mark.parametrize(
    ("front", "name", "path"),
    [
        (Front(), "sidelog_session_ab", ""),
        (Front(base_path="/sidelog"), "sidelog_session_ab", ""),
        (Front(is_secure=True), "__Host-sidelog_session_ab", "/"),
        (Front(is_secure=True, base_path="/sidelog"), "__Secure-sidelog_session_ab", ""),
    ],
)
def test_a_cookie_is_for_the_folder_of_the_login(front: Front, name: str, path: str) -> None:
    """As the browser sees it, which holds behind any proxy; only what is the whole host's names a
    path.
    """
    assert cookie_name("ab", front) == name
    assert cookie_path(name) == path
