"""Names whose values are secrets, and how a name is compared.

A name is compared in lower case without hyphens and underscores, so `accessToken`, `access_token` and `Access-Token`
are one. Some words make a secret of whatever they end, such as `DB_PASSWORD` or `stripeSecretKey`. Parameters of
queries and forms are percent-decoded first, and each part of `user[password]` counts.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.enrich.redact.octets import PERCENT

BUILT_IN: Final = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-goog-api-key",
    "x-bf-vk",
    "mcp-session-id",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-signature",
    "x-oss-signature",
    "q-signature",
    "sig",
    "signature",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "id_token_hint",
    "subject_token",
    "actor_token",
    "device_code",
    "code_verifier",
    "SAMLResponse",
    "oauth_verifier",
    "auth_token",
    "api_token",
    "bearer_token",
    "private_token",
    "session_token",
    "connection_token",
    "x-access-token",
    "x-auth-token",
    "x-vault-token",
    "jwt",
    "client_assertion",
    "client_secret",
    "api_secret",
    "app_secret",
    "secret",
    "secret_key",
    "secret_access_key",
    "password",
    "password1",
    "password2",
    "new_password",
    "old_password",
    "current_password",
    "confirm_password",
    "password_confirmation",
    "passphrase",
    "passwd",
    "pwd",
    "otp",
    "totp",
    "recovery_codes",
    "backup_codes",
    "cvv",
    "cvv2",
    "cvc",
    "private_key",
    "client-key-data",
    "auths",
    ".dockerconfigjson",
    ".dockercfg",
    "SecretString",
    "SecretBinary",
    "session",
    "sessionid",
    "session_id",
    "jsessionid",
    "phpsessid",
    "csrf",
    "csrf_token",
    "x-csrf-token",
    "xsrf",
    "xsrf_token",
    "x-xsrf-token",
    "authenticity_token",
    "csrfmiddlewaretoken",
)
"""Secret wherever they name a value: header, query, form, multipart, JSON."""

ENDINGS: Final = (
    "password",
    "password_hash",
    "password_digest",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "secret_key",
    "secret_access_key",
    "secret_key_base",
    "private_key",
    "encryption_key",
    "signing_key",
    "master_key",
    "subscription_key",
    "api_key",
    "api_token",
    "access_token",
    "refresh_token",
    "auth_token",
    "bearer_token",
    "bot_token",
    "identity_token",
    "jwt_token",
    "oauth_token",
    "security_token",
    "session_token",
    "csrf_token",
    "password_token",
    "reset_token",
    "confirmation_token",
    "verification_token",
    "activation_token",
    "invitation_token",
    "invite_token",
    "unlock_token",
    "remember_token",
    "login_token",
    "card_number",
)
"""Words that make a secret of whatever they end. `token` alone is none: it counts, separates, and turns pages."""

HEADER_ENDINGS: Final = (
    *("token", "auth", "authorization", "authentication", "cookie", "crumb"),
    *("auth_key", "license_key", "customer_key", "functions_key", "clickhouse_key", "application_key"),
)
"""The same, of headers: Cloudflare, New Relic, S3 (SSE-C), Azure, ClickHouse and Datadog have keys of their own."""

QUERY_ONLY: Final = ("key", "sid")
"""Google's API key, sessions of Engine.IO; as JSON keys or form fields the words mean too much else."""

PARAMETERS_ONLY: Final = ("pass", "assertion")
"""A password, or what OAuth gives a token for, in a query or form; in JSON both mostly tell of tests."""

HEADERS_ONLY: Final = (
    "sec-websocket-protocol",
    "x-session",
    "x-session-id",
    "x-honeycomb-team",
    "x-appwrite-key",
    "set-cookie2",
    "x-registry-config",
)
"""Tokens stand among the names of subprotocols (`fields.py`); Docker's are logins in base64; two API keys."""

MCP_ARGUMENT: Final = "mcp-param-"
"""How the header begins in which a client of MCP repeats an argument of a tool (revision 2026-07-28)."""

_MEMO_NAMES: Final = 4096
_MEMO_NAME_BYTES: Final = 64
DECODE_ROUNDS: Final = 3
"""What that is percent-encoded more often than this is not read by any server we know."""

_PARTS: Final = re.compile(rb"[\[\].]+")


def normalise(name: bytes) -> bytes:
    return name.strip().lower().translate(None, b"-_")


def plain_parts(name: bytes) -> Iterable[bytes]:
    """Return the compared form of a header name or JSON key."""
    return (normalise(name),)


def parameter_parts(name: bytes) -> Iterable[bytes]:
    """Return the compared forms of a query or form parameter: decoded, the whole and each part of `user[password]`."""
    for _ in range(DECODE_ROUNDS):
        if PERCENT not in name:
            break
        name = unquote_to_bytes(name)
    name = name.replace(b"+", b" ")
    return map(normalise, (name, *_PARTS.split(name)))


class SecretNames:
    """A set of names with a bounded memo of spellings: most messages repeat a few names."""

    __slots__ = ("_memo", "_names", "_parts_of", "endings")

    def __init__(
        self,
        *groups: Iterable[str],
        endings: Iterable[str] = (),
        parts_of: Callable[[bytes], Iterable[bytes]] = plain_parts,
    ) -> None:
        """Unite groups of names, given in any spelling; a name is a secret's when one of its parts is, or ends so."""
        self._names = frozenset(normalise(name.encode()) for group in groups for name in group)
        self.endings = tuple(normalise(ending.encode()) for ending in endings)
        self._parts_of = parts_of
        self._memo: dict[bytes, bool] = {}

    def __iter__(self) -> Iterator[bytes]:
        """Yield the names in the compared form: lower case, without separators; `endings` have it, too."""
        return iter(sorted(self._names))

    def has(self, name: bytes) -> bool:
        is_secret = self._memo.get(name)
        if is_secret is None:
            is_secret = any(part in self._names or part.endswith(self.endings) for part in self._parts_of(name))
            if len(name) <= _MEMO_NAME_BYTES:
                if len(self._memo) >= _MEMO_NAMES:
                    self._memo.clear()
                self._memo[name] = is_secret
        return is_secret
