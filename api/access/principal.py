"""Callers and their rights: roles, scopes, and the credentials of the admin port.

The admin token is read through a function because it may be rotated while sidelog runs. Only
digests are kept and compared, all of them and in constant time, so that the time reveals neither
the token nor a matching part of it.
"""

import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from api.access.auth import token_digest
from api.http.errors import OutOfScope
from storage.query import EVERYTHING, Filter, Scope
from storage.search.expression import asked_values

Role = Literal["admin", "operate", "reader"]
_DIMENSIONS: Final = ("projects", "containers", "clients")


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    name: str
    role: Role
    scope: Scope = EVERYTHING

    @property
    def is_unrestricted(self) -> bool:
        return self.scope.is_everything


@dataclass(frozen=True, slots=True)
class Credential:
    """The digest of a token, and its principal."""

    digest: bytes
    principal: Principal


ADMIN: Final = Principal("admin", "admin")
"""The caller with the token of the data directory, or any caller if authentication is off."""
ANONYMOUS: Final = Principal("", "reader", Scope(projects=("",), containers=("",), clients=("",)))
"""The caller of an open path. It sees no record, because no name is empty."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """All tokens of the admin port."""

    admin_token: Callable[[], str | None] = field(default=lambda: None)
    """Returns the current token of the data directory; None switches authentication off."""
    others: Sequence[Credential] = ()
    """Tokens in the configuration."""

    @property
    def are_off(self) -> bool:
        return self.admin_token() is None

    def all(self) -> list[Credential]:
        token = self.admin_token()
        return [Credential(b"" if token is None else token_digest(token), ADMIN), *self.others]

    def has(self, digest: bytes) -> bool:
        """Return True if a credential found earlier is still valid."""
        return any(credential.digest == digest for credential in self.all())

    def find(self, presented: str) -> Credential | None:
        """Return the credential of a token. With authentication off any token is the admin's."""
        credentials = self.all()
        if self.are_off:
            return credentials[0]

        digest = token_digest(presented)
        found = [
            credential
            for credential in credentials
            if hmac.compare_digest(digest, credential.digest)
        ]
        if found:
            return found[0]
        return None


def intersect(one: Scope, other: Scope) -> Scope:
    """Return the intersection of two scopes.

    Raises:
        OutOfScope: they have nothing in common.
    """
    parts = {}
    for name in _DIMENSIONS:
        mine = getattr(one, name)
        theirs = getattr(other, name)
        parts[name] = (
            tuple(value for value in mine if value in theirs) if mine and theirs else mine or theirs
        )
        if mine and theirs and not parts[name]:
            raise OutOfScope

    return Scope(**parts)


def narrow(filter: Filter, scope: Scope) -> Filter:
    """Return a filter restricted to a scope.

    Raises:
        OutOfScope: the filter names a project, container or client outside the scope, existing or
            not.
    """
    if scope.is_everything:
        return filter
    for name in _DIMENSIONS:
        allowed = getattr(scope, name)
        if allowed and not set(asked_values(filter.where, name.removesuffix("s"))).issubset(
            allowed
        ):
            raise OutOfScope

    return replace(filter, scope=intersect(filter.scope, scope))


def owner_of(scope: Scope) -> str:
    """Return the owner under which a store keeps what callers of a scope save.

    It is the same for the same values in any order.
    """
    if scope.is_everything:
        return ""
    return json.dumps({name: sorted(set(getattr(scope, name))) for name in _DIMENSIONS})
