"""API keys of the proxied service as a store keeps them. Values and pure functions, no I/O.

Invariant: a secret itself is never here, only its SHA-256. A plain hash is enough because the
secret is 32 random bytes: there is no dictionary to try, and the data plane can find a key with one
look-up. A deleted key keeps its name and last characters, because records that it made are still
shown with them; its hash is gone, so it opens nothing.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

PREFIX: Final = "sk_"
MAX_KEYS: Final = 5_000
"""Keys of one store that are not deleted: workers hold them all, and read them anew in 1 to 2 ms
(measured).
"""
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES: Final = 32
_SECRET_DIGITS: Final = 43
"""62**43 is the first power above 2**256."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One key, deleted ones included."""

    id: str
    """UUID, lower case with hyphens; never given twice."""
    name: str
    """What a person calls it; need not be unique."""
    last4: str
    """Last four characters of the secret."""
    secret_sha256: bytes | None
    """32 bytes, unique among keys; null when deleted."""
    scopes: tuple[str, ...] | None = None
    """Scopes of routes it opens; null is all, empty is none."""
    agents: tuple[str, ...] | None = None
    """Agents it may call; null is all, empty is none."""
    expires_at_us: int | None = None
    """From this moment on it is refused, Unix µs; null is never."""
    disabled: bool = False
    project: str | None = None
    """Project of the records it makes."""
    user_id: str | None = None
    """User of the records it makes."""
    created_at_us: int = 0
    last_used_at_us: int | None = None
    """Newest accepted call, some seconds late; null when there was none."""
    deleted_at_us: int | None = None
    """Null unless deleted."""


class KeyChanges(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What may be changed about a key; what is left unset stays as it is."""

    name: str | UnsetType = UNSET
    scopes: tuple[str, ...] | UnsetType | None = UNSET
    agents: tuple[str, ...] | UnsetType | None = UNSET
    expires_at_us: int | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    project: str | UnsetType | None = UNSET
    user_id: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class KeyUpdate:
    """A key before and after a change."""

    before: ApiKey
    after: ApiKey


def changed(key: ApiKey, changes: KeyChanges) -> ApiKey:
    given = {
        name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET
    }
    return msgspec.structs.replace(key, **given)


def deleted(key: ApiKey, at_us: int) -> ApiKey:
    """Make what is kept of a deleted key: it is disabled and its hash is gone."""
    return msgspec.structs.replace(key, secret_sha256=None, disabled=True, deleted_at_us=at_us)


def used(key: ApiKey, uses: Mapping[str, int]) -> ApiKey:
    """Apply the newest of a key's uses (id → Unix µs); an older one than is known changes nothing."""
    at_us = uses.get(key.id)
    if at_us is None or (key.last_used_at_us is not None and key.last_used_at_us >= at_us):
        return key
    return msgspec.structs.replace(key, last_used_at_us=at_us)


def new_secret() -> str:
    """Make a secret: `sk_` and 32 random bytes in 43 characters of base62."""
    number = int.from_bytes(secrets.token_bytes(_SECRET_BYTES), "big")
    digits = []
    for _ in range(_SECRET_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return PREFIX + "".join(reversed(digits))


def secret_digest(secret: bytes) -> bytes:
    """Hash a secret as a store keeps it: SHA-256 of its bytes."""
    return hashlib.sha256(secret).digest()
