"""Credentials of the admin port: a token in a header, or a session cookie of our own origin.

Tokens are compared as SHA-256 digests in constant time, bytes and not text, because a header may
hold any byte. Browsers add the cookie to requests that other sites cause, so it counts only if
`Sec-Fetch-Site` names no other site (Fetch Metadata; absent on plain HTTP off loopback, where only
`SameSite=Strict` protects). Other sites cannot set the header without our consent (CORS), but a
proxy in front may add one of its own: so a valid cookie takes precedence over a header.
"""

import hashlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from api.access.front import Front

COOKIE: Final = "sidelog_session"
"""Prefix of our cookies' names. The data plane keeps these cookies from upstreams (P11)."""
_OWN_SITES: Final = frozenset(("same-origin", "none"))
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


def token_digest(token: str) -> bytes:
    """Return the hash of a token. Header bytes that are not UTF-8 are hashed unchanged."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def cookie_name(mark: str, front: Front) -> str:
    """Return the name of an instance's session cookie: all ports of a host share a browser's
    cookies.

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
    """Return the path of a cookie; empty means the folder of /login as seen by the browser (RFC
    6265 §5.1.4).
    """
    if name.startswith("__Host-"):
        return "/"
    return ""


def read_credential(authorization: str | None) -> str | None:
    """Return the token in `Bearer T` or bare `T`; None without one, or with another scheme."""
    words = (authorization or "").split()
    match words:
        case [token]:
            return token
        case [scheme, token] if scheme.lower() == "bearer":
            return token
        case _:
            return None


def is_own_site(headers: Mapping[str, str]) -> bool:
    """Return True if our own page, or a person at the address bar, caused a request with a cookie."""
    site = headers.get("Sec-Fetch-Site")
    return site is None or site in _OWN_SITES


def is_own_origin(method: str, headers: Mapping[str, str], host: str) -> bool:
    """Return True if a writing request comes from our own origin, according to the browser.

    `Sec-Fetch-Site`, which scripts cannot set, decides: it is right behind a proxy that passes on
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
