"""Who may ask the admin port: the admin token in a header, or a session cookie from a page of our own origin.

Pure. Tokens are compared as SHA-256 digests in constant time, bytes and not text, because a header may hold any octet.
A cookie rides along with requests other sites cause, so it counts only when the browser does not say it is such a one
(Fetch Metadata: `Sec-Fetch-Site`; absent on plain HTTP off loopback, where `SameSite=Strict` alone stands guard).
"""

import hashlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

COOKIE: Final = "sidelog_session"
"""What names of our cookies begin with: the data plane keeps them from upstreams (P11)."""
_OWN_SITES: Final = frozenset(("same-origin", "none"))
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


def token_digest(token: str) -> bytes:
    """Hash a token; octets of a header that are not UTF-8 are hashed as they came."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def cookie_name(mark: str, *, is_secure: bool) -> str:
    """Name the session's cookie of one instance; every port of a host shares a browser's cookies.

    The mark tells instances of one host apart, and who does not know it cannot put another cookie in the place of ours.
    Over TLS the prefix has browsers take the cookie from this host alone, and from nobody without TLS.
    """
    name = f"{COOKIE}_{mark}" if mark else COOKIE
    return f"__Host-{name}" if is_secure else name


def read_credential(authorization: str | None) -> str | None:
    """Take the token out of `Bearer T` or bare `T`; None when there is none, or another scheme is spoken."""
    words = (authorization or "").split()
    match words:
        case [token]:
            return token
        case [scheme, token] if scheme.lower() == "bearer":
            return token
        case _:
            return None


def is_own_site(headers: Mapping[str, str]) -> bool:
    """Tell whether a request with a cookie was caused by our own page, or typed by a person."""
    site = headers.get("Sec-Fetch-Site")
    return site is None or site in _OWN_SITES


def is_own_origin(method: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a writing request comes from our own origin, as far as the browser says (`Origin`)."""
    origin = headers.get("Origin")
    if method in _SAFE_METHODS or origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("Host", "").lower()
    except ValueError:  # no browser writes such a one
        return False
