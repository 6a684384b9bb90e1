"""Check redaction settings: examples that their rule does not match as marked, and disabled names
that are not secret.
"""

import difflib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from proxy.enrich.redact.edits import MAX_NAME_BYTES, NAME
from proxy.enrich.redact.masked_runs import mask_runs, unmask_runs
from proxy.enrich.redact.names import (
    BUILT_IN,
    COMMON_ENDINGS,
    HEADER_ENDINGS,
    HEADERS_ONLY,
    PARAMETERS_ONLY,
    QUERY_ONLY,
    SecretNames,
    parameter_parts,
)
from proxy.enrich.redact.parameters import SECRET_IN_CONTEXT
from proxy.enrich.redact.rule import Rule
from proxy.enrich.redact.scanner import Scanner
from proxy.settings.model import RedactSettings

OPENS: Final = "«"
CLOSES: Final = "»"
_MAX_LISTED: Final = 3
_MAX_SHOWN: Final = 80


class Example(NamedTuple):
    """An example without its marks, and the position of its secret."""

    text: str
    start: int
    stop: int

    @property
    def secret(self) -> str:
        return self.text[self.start : self.stop]


def read_example(example: str) -> Example:
    """Read an example; without marks all of it is secret."""
    before, opens, rest = example.partition(OPENS)
    secret, closes, after = rest.partition(CLOSES)
    if not (opens and closes):
        return Example(example, 0, len(example))
    return Example(before + secret + after, len(before), len(before) + len(secret))


def problems_of(rules: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """Yield the problems with the examples of the user's rules, as (dotted setting, reason)."""
    for index, rule in enumerate(rules):
        scanner = Scanner((rule,))
        for text in rule.examples:
            if (problem := _problem_of(rule, scanner, text)) is not None:
                yield f"redact.rules[{index}].examples", f"{problem}, got {_shortened(text)}"
        for text in rule.no_examples:
            if found := _found(scanner, text):
                reason = f"expected a text without a match, but {_listed(found)} matched"
                yield f"redact.rules[{index}].no-examples", f"{reason}, got {_shortened(text)}"


def problems_of_disabled(redact: RedactSettings) -> Iterator[tuple[str, str]]:
    """Yield disabled names that are not secret, as (dotted setting, reason)."""
    own = (
        *redact.headers,
        *redact.query,
        *redact.json_keys,
        *(name.decode() for name in SECRET_IN_CONTEXT),
    )
    groups = (HEADERS_ONLY, PARAMETERS_ONLY, QUERY_ONLY, own)
    names = SecretNames(BUILT_IN, *groups, endings=HEADER_ENDINGS, parts_of=parameter_parts)
    for text in redact.disable:
        name = text.removeprefix(NAME)
        if name == text or len(name.encode()) >= MAX_NAME_BYTES or names.has(name.encode()):
            continue
        near = difflib.get_close_matches(name, (*BUILT_IN, *COMMON_ENDINGS, *own), n=1)
        if near:
            meant = f"; did you mean {NAME + near[0]!r}?"
        else:
            meant = ""
        yield "redact.disable", f"{name!r} is not the name of a secret{meant}"


def _problem_of(rule: Rule, scanner: Scanner, text: str) -> str | None:
    example = read_example(text)
    found = _found(scanner, example.text)
    if found == [(example.start, example.secret)]:
        return None
    if found:
        return (
            f"expected {_shortened(example.secret)} as the only match, but {_listed(found)} matched"
        )
    if not any(literal in example.text for literal in rule.literals):
        return "expected a text with a match, but it contains none of the literals"

    return "expected a text with a match, but the regex does not match, or only within a word"


def _found(scanner: Scanner, text: str) -> list[tuple[int, str]]:
    """Return positions and texts of the secrets in a text, with long runs masked as in bodies."""
    masked, runs = mask_runs(text.encode("utf-8", "surrogatepass"))
    found = []
    for edit in scanner.forms(masked):
        before = unmask_runs(masked[: edit.start], runs)
        secret = unmask_runs(masked[edit.start : edit.stop], runs)
        found.append((len(before.decode(errors="replace")), secret.decode(errors="replace")))

    return found


def _listed(found: list[tuple[int, str]]) -> str:
    shown = [_shortened(secret) for _, secret in found[:_MAX_LISTED]]
    return ", ".join(shown) + (" …" if len(found) > _MAX_LISTED else "")


def _shortened(text: str) -> str:
    shown = repr(text)
    if len(shown) <= _MAX_SHOWN:
        return shown
    return f"{shown[: _MAX_SHOWN - 3]}..."
