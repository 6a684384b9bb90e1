"""Tokens and scoped names of the admin port: what they may be, and how a secret becomes a digest
when settings load.

After loading only digests are left, so that no process, no log and no `config show` ever has a
token.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from proxy.process.files import read_file
from proxy.settings.model import Settings, TokenSettings
from proxy.settings.section import Problem

DIGEST_PREFIX: Final = "sha256:"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")
MIN_TOKEN_CHARACTERS: Final = 16
"""Shorter ones can be guessed; ours have 43."""


def resolve_tokens(
    tokens: tuple[TokenSettings, ...], environ: Mapping[str, str]
) -> tuple[tuple[TokenSettings, ...], list[Problem]]:
    """Replace each configured token by its digest. Return the tokens, and a problem for each that
    cannot be read.
    """
    resolved = []
    problems = []
    for index, token in enumerate(tokens):
        try:
            digest = _digest(token.token, environ)
        except ValueError as error:
            problems.append((f"tokens[{index}].token", str(error)))
            digest = ""
        resolved.append(msgspec.structs.replace(token, token=DIGEST_PREFIX + digest))

    return tuple(resolved), problems


def _digest(given: str, environ: Mapping[str, str]) -> str:
    """Compute the digest of one token.

    Raises:
        ValueError: it cannot be read, or is too short.
    """
    if given.startswith(DIGEST_PREFIX):
        digest = given.removeprefix(DIGEST_PREFIX).lower()
        if not _DIGEST.match(digest):
            raise ValueError("expected 64 hexadecimal digits behind sha256:")
        return digest

    if not given:
        raise ValueError(
            "is missing: expected the secret, or env:NAME, file:PATH or sha256: and its SHA-256"
        )

    text = _read(given, environ)
    if len(text) < MIN_TOKEN_CHARACTERS or len(text.split()) != 1:
        raise ValueError(
            f"expected a token of at least {MIN_TOKEN_CHARACTERS} characters without blanks"
        )

    return hashlib.sha256(text.encode()).hexdigest()


def _read(given: str, environ: Mapping[str, str]) -> str:
    kind, _, name = given.partition(":")
    if kind == "file":
        try:
            return read_file(Path(name)).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"the file cannot be read: {reason}, got {name!r}") from error

    if kind != "env":
        return given
    if name not in environ:
        raise ValueError(f"the environment has no {name}")

    return environ[name].strip()


def check_tokens(settings: Settings) -> Iterator[Problem]:
    """Yield the contradictions in [[tokens]] and [[admin_hosts]]."""
    names: set[str] = set()
    secrets: dict[str, str] = {}
    for index, token in enumerate(settings.tokens):
        where = f"tokens[{index}]"
        if token.name in names:
            yield f"{where}.name", f"is given twice, got {token.name!r}"
        names.add(token.name)
        if token.token != DIGEST_PREFIX and secrets.setdefault(token.token, where) != where:
            yield where, f"has the secret of {secrets[token.token]}, which is found first"
        if token.role == "admin" and (token.projects or token.containers or token.clients):
            yield (
                f"{where}.role",
                "an admin sees everything and has no projects, containers or clients",
            )

    hosts: set[str] = set()
    for index, host in enumerate(settings.admin_hosts):
        where = f"admin_hosts[{index}]"
        if host.name in hosts:
            yield f"{where}.name", f"is given twice, got {host.name!r}"
        hosts.add(host.name)
        if not (host.projects or host.containers or host.clients):
            yield (
                where,
                f"{host.name!r} restricts nothing; names without a scope belong into "
                "admin.allowed_hosts",
            )
