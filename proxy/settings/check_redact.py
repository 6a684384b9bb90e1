"""Checks of `[redact]`: names, paths, ids of rules, own expressions and own rules.

Expressions are compiled with RE2, which takes linear time and bounded memory. The redactor checks
whether a rule finds its examples (`proxy/enrich/redact/examples.py`).
"""

import difflib
import re
from collections.abc import Iterator
from typing import Final

from proxy.settings.model import RedactSettings
from proxy.settings.redact_rules import CODE_RULES, FIXED_RULES, NAME, Rule, rules_by_id
from proxy.settings.section import Problem

MAX_PATTERNS: Final = 16
_MAX_PATTERN_BYTES: Final = 1 << 18
"""Largest RE2 program of one expression, so that all fit into one automaton."""
_MAX_PATTERN_LENGTH: Final = 1000
MAX_OWN_RULES: Final = 64
MAX_LITERALS: Final = 64
MAX_EXAMPLES: Final = 32
"""Largest number of a rule's examples, and of its counter-examples."""
_OF_PATTERNS: Final = re.compile(r"pattern-[0-9]+")
_PROBES: Final = ("", "a", "0 a-", "\n")
_MARK: Final = "[REDACTED]"


def check_redact(redact: RedactSettings) -> Iterator[Problem]:
    """Yield all faults of the settings of redaction as (dotted setting, reason)."""
    yield from _check_patterns(redact)
    yield from _check_disabled(redact)
    yield from _check_rules(redact)


def _check_patterns(redact: RedactSettings) -> Iterator[Problem]:
    """Check own patterns: RE2 must compile them, and they may match neither an empty text nor a
    redaction mark.
    """
    patterns = redact.patterns
    if isinstance(patterns, bool):
        return

    if len(patterns) > MAX_PATTERNS:
        yield "redact.patterns", f"expected at most {MAX_PATTERNS} patterns, got {len(patterns)}"
    for regex in patterns:
        if (problem := _problem_of(regex)) is not None:
            yield "redact.patterns", f"expected a regular expression {problem}, got {regex!r}"


def _problem_of(regex: str) -> str | None:
    pattern = _compiled(regex)
    if isinstance(pattern, str):
        return pattern
    if any(found is not None and not found.group() for found in map(pattern.search, _PROBES)):
        return "that does not match an empty text"
    return _problem_with_mark(pattern, min(pattern.groups, 1))


def _compiled(regex: str) -> re.Pattern[str] | str:
    """Return the compiled pattern, or a text that says what was expected."""
    import re2  # of the collector; no other process needs it

    options = re2.Options()
    options.max_mem = _MAX_PATTERN_BYTES
    options.log_errors = False
    if len(regex) > _MAX_PATTERN_LENGTH:
        return f"of at most {_MAX_PATTERN_LENGTH} characters"

    try:
        pattern: re.Pattern[str] = re2.compile(regex, options)
    except re2.error as error:
        if isinstance(error.args[0], bytes):
            reason = error.args[0].decode()
        else:
            reason = error.args[0]
        return f"of RE2: {reason}"

    return pattern


def _problem_with_mark(pattern: re.Pattern[str], group: int) -> str | None:
    found = pattern.search(_MARK)
    if found is not None and found.group(group) != _MARK:
        return f"that does not match {_MARK}, which stands for what it finds"
    return None


def _check_disabled(redact: RedactSettings) -> Iterator[Problem]:
    known = [*CODE_RULES, *(rule.id for rule in redact.rules)]
    for text in redact.disable:
        if (
            problem := _problem_of_id(text, known, has_patterns=redact.patterns is not False)
        ) is not None:
            yield "redact.disable", problem


def _problem_of_id(text: str, known: list[str], *, has_patterns: bool) -> str | None:
    """Return the reason why an id cannot name a disabled rule."""
    if text.startswith(NAME):
        is_name = bool(text.removeprefix(NAME).strip().strip("-_.")) and "*" not in text
        if is_name:
            return None
        return f"expected {NAME} and a name of more than - and _, got {text!r}"

    if (reason := FIXED_RULES.get(text)) is not None:
        return f"{text!r} cannot be switched off: {reason}"
    if _OF_PATTERNS.fullmatch(text) is not None:
        return f"{text!r} is one of redact.patterns: take it out there"

    if text not in known and text not in rules_by_id():
        near = difflib.get_close_matches(text, (*known, *rules_by_id()), n=1)
        if near:
            meant = f"did you mean {near[0]!r}?"
        else:
            meant = "`sidelog redact list` shows all"
        return f"unknown rule {text!r}; {meant}"

    if has_patterns:
        return None

    return f"has no effect while redact.patterns is false, got {text!r}"


def _check_rules(redact: RedactSettings) -> Iterator[Problem]:
    if len(redact.rules) > MAX_OWN_RULES:
        yield "redact.rules", f"expected at most {MAX_OWN_RULES} rules, got {len(redact.rules)}"
    if redact.rules and redact.patterns is False:
        yield "redact.rules", "has no effect while redact.patterns is false"
    owners: dict[str, str] = {}
    for index, rule in enumerate(redact.rules):
        name = f"redact.rules[{index}]"
        if rule.id in owners:
            yield f"{name}.id", f"is the id of {owners[rule.id]} too, got {rule.id!r}"
        owners.setdefault(rule.id, name)
        for key, problem in _problems_of(rule):
            yield f"{name}.{key}", problem


def _problems_of(rule: Rule) -> Iterator[Problem]:
    """Yield the faults of a rule, by its key."""
    if (
        rule.id in rules_by_id()
        or rule.id in CODE_RULES
        or rule.id in FIXED_RULES
        or _OF_PATTERNS.match(rule.id)
    ):
        yield (
            "id",
            f"is the id of a built-in rule: take another one, or disable that, got {rule.id!r}",
        )

    yield from _problems_of_literals(rule)
    pattern = _compiled(rule.regex)
    if isinstance(pattern, str):
        yield "regex", f"expected an expression {pattern}, got {rule.regex!r}"
    elif rule.group > pattern.groups:
        yield (
            "group",
            f"expected at most {pattern.groups}, as many groups as the expression has, got "
            f"{rule.group}",
        )
    elif (problem := _problem_with_mark(pattern, rule.group)) is not None:
        yield "regex", f"expected an expression {problem}, got {rule.regex!r}"

    for key, texts in (("examples", rule.examples), ("no-examples", rule.no_examples)):
        if len(texts) > MAX_EXAMPLES:
            yield key, f"expected at most {MAX_EXAMPLES} texts, got {len(texts)}"


def _problems_of_literals(rule: Rule) -> Iterator[Problem]:
    count = len(rule.literals)
    if not 0 < count <= MAX_LITERALS:
        yield (
            "literals",
            f"expected 1 to {MAX_LITERALS} texts, of which each match has one, got {count}",
        )
