"""Credentials of the admin port: a token in a header, or a session cookie in a request from our own
origin.

Pure. Tokens are compared as SHA-256 digests in constant time, bytes and not text, because a header
may hold any octet. Browsers add the cookie to requests that other sites cause, so it counts only
where `Sec-Fetch-Site` names no other site (Fetch Metadata; absent on plain HTTP off loopback, where
`SameSite=Strict` alone protects). Other sites cannot set the header without our consent (CORS), but
a proxy in front may add one of its own: so a valid cookie wins over a header.
"""

import hashlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from api.access.front import Front

COOKIE: Final = "sidelog_session"
"""What names of our cookies begin with: the data plane keeps them from upstreams (P11)."""
_OWN_SITES: Final = frozenset(("same-origin", "none"))
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


def token_digest(token: str) -> bytes:
    """Hash a token; octets of a header that are not UTF-8 are hashed as they came."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def cookie_name(mark: str, front: Front) -> str:
    """Name the session's cookie of one instance; every port of a host shares a browser's cookies.

    The mark distinguishes the instances of a host, and without it no other service can replace our
    cookie. Over TLS the prefix makes browsers accept the cookie from this host only and over TLS
    only; below a path of another proxy, which is not the whole host, only the latter.
    """
    name = f"{COOKIE}_{mark}" if mark else COOKIE
    if not front.is_secure:
        return name
    if front.base_path:
        return f"__Secure-{name}"
    return f"__Host-{name}"


def cookie_path(name: str) -> str:
    """Return the path of a cookie; empty: the folder of /login as the browser sees it (RFC 6265
    §5.1.4).
    """
    return "/" if name.startswith("__Host-") else ""


def read_credential(authorization: str | None) -> str | None:
    """Take the token out of `Bearer T` or bare `T`; None without one, or with another scheme."""
    words = (authorization or "").split()
    match words:
        case [token]:
            return token
        case [scheme, token] if scheme.lower() == "bearer":
            return token
        case _:
            return None


def is_own_site(headers: Mapping[str, str]) -> bool:
    """Whether our own page, or a person at the address bar, caused a request with a cookie."""
    site = headers.get("Sec-Fetch-Site")
    return site is None or site in _OWN_SITES


def is_own_origin(method: str, headers: Mapping[str, str], host: str) -> bool:
    """Whether a writing request comes from our own origin, according to the browser.

    `Sec-Fetch-Site`, which no script can set, decides: it holds behind a proxy that passes on
    another Host. Without it, `Origin` is compared with the requested `host`.
    """
    origin = headers.get("Origin")
    if method in _SAFE_METHODS or origin is None:
        return True
    if "Sec-Fetch-Site" in headers:
        return is_own_site(headers)

    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # no browser sends this
        return False
