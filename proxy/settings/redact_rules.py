"""The declaration of rules that find secrets by their format, and the built-in rules.

The built-in files (`proxy/enrich/redact/rules`, one table per kind) and `[[redact.rules]]` have the
same form, so a rule can be written in the settings and moved to the files unchanged. The files are
read here, not where rules are applied, because settings name rules and are read by processes that
apply none.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from proxy.settings import forms
from proxy.settings.section import Section, about

NAME: Final = "name:"
"""Prefix of the rule id of a secret found by a field's name: `name:password`."""
MAX_BEFORE_BYTES: Final = 256
Check = Literal[
    "", "base58", "base64-login", "jwt", "long-or-digit", "mixed", "not-words", "pem", "random"
]


class Rule(Section, frozen=True, rename="kebab"):
    """[[redact.rules]]: a kind of secret that is known by its form; as the built-in rules."""

    id: Annotated[
        str,
        about(
            "required; name of the rule, in small letters with hyphens, shown on records",
            form=forms.RULE_ID,
        ),
    ]
    of: Annotated[
        str, about("required; the provider, or the kind of secret", min_length=1, max_length=200)
    ]
    literals: Annotated[
        tuple[str, ...],
        about(
            "required; each match contains one of them: 2 to 64 characters of ASCII",
            form=forms.LITERAL,
        ),
    ]
    regex: Annotated[
        str, about("required; expression for the whole match, in the syntax of RE2", min_length=1)
    ]
    before: Annotated[
        int,
        about("maximum number of bytes of a match before its literal", ge=0, le=MAX_BEFORE_BYTES),
    ] = 0
    group: Annotated[
        int, about("group of the expression that is the secret; 0: all of it", ge=0)
    ] = 0
    check: Annotated[
        Check,
        about(
            "condition on a match: not-words, mixed, random (letters with digits), "
            "long-or-digit, jwt, pem, base64-login, base58; empty: nothing"
        ),
    ] = ""
    examples: Annotated[
        tuple[str, ...],
        about("texts with one: all of each, or what stands between « and »", form=forms.example),
    ] = ()
    no_examples: Annotated[
        tuple[str, ...], about("texts that look alike and have none", form=forms.example)
    ] = ()


class CodeRule(NamedTuple):
    """A rule that an expression cannot describe."""

    of: str
    example: str


CODE_RULES: Final = {
    "card-number": CodeRule("Payment cards", "4111 1111 1111 1111"),
    "facebook-app-token": CodeRule("Facebook", "2687294149320288|Zk3v0QmT8xR1yLwBn5sKdE7hUaJ"),
    "iban": CodeRule("Bank accounts", "DE89 3704 0044 0532 0130 00"),
    "netrc": CodeRule("Logins of .netrc", "machine example.com login bob password p9x9q2w7"),
}
"""Rules in code by id; they can be switched off like rules of files."""
FIXED_RULES: Final = {
    "oauth-code": "a code beside grant_type is what a token is given for",
    "rest-of-many": "it redacts what follows more parts of a body than are looked into",
    "window-edge": "it redacts what may be half a secret where a body was cut",
}
"""Ids in records that cannot be switched off, and why."""


class _RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: tuple[Rule, ...]


@cache
def built_in_rules() -> tuple[Rule, ...]:
    """Return the rules of all files, in order of file names and position."""
    return tuple(_read())


@cache
def rules_by_id() -> dict[str, Rule]:
    """Return the built-in rules by id."""
    return {rule.id: rule for rule in built_in_rules()}


def _read() -> Iterator[Rule]:
    folder = files("proxy").joinpath("enrich/redact/rules")
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(".toml"):
            yield from msgspec.toml.decode(file.read_bytes(), type=_RuleFile).rules
