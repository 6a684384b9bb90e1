"""API keys of the proxied service as a store keeps them. Values and pure functions, no I/O.

Invariant: a secret itself is never here, only its SHA-256. A plain hash is enough because the
secret is 32 random bytes: a dictionary attack is hopeless, and the data plane finds a key with one
look-up. A deleted key keeps its name and last characters, because its records are still shown with
them. Its hash is gone, so it is never accepted.
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
"""Keys of one store, without deleted ones: each worker holds all of them and reloads them in 1 to 2
ms (measured).
"""
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES: Final = 32
_SECRET_DIGITS: Final = 43
"""62**43 is the first power above 2**256."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An API key of the proxied service, present or deleted."""

    id: str
    """UUID, lower case with hyphens; never given twice."""
    name: str
    """Name for people; need not be unique."""
    last4: str
    """Last four characters of the secret."""
    secret_sha256: bytes | None
    """32 bytes, unique among keys; null when deleted."""
    scopes: tuple[str, ...] | None = None
    """Scopes of routes that accept it; null: all, empty: none."""
    agents: tuple[str, ...] | None = None
    """Agents that it may call; null: all, empty: none."""
    expires_at_us: int | None = None
    """Unix µs from which on it is refused; null: never."""
    disabled: bool = False
    project: str | None = None
    """Project of the records it makes."""
    user_id: str | None = None
    """User of the records it makes."""
    created_at_us: int = 0
    last_used_at_us: int | None = None
    """Newest accepted call, a few seconds late; null: never used."""
    deleted_at_us: int | None = None
    """Null unless deleted."""


class KeyChanges(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Changes to a key; unset members stay as they are."""

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
    """Return the deleted form of a key: disabled and without its hash."""
    return msgspec.structs.replace(key, secret_sha256=None, disabled=True, deleted_at_us=at_us)


def used(key: ApiKey, uses: Mapping[str, int]) -> ApiKey:
    """Apply the newest of a key's uses (id → Unix µs); a use older than the stored one changes
    nothing.
    """
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
