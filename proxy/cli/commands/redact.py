"""`sidelog redact list`: the rules by which secrets are found, as the settings have them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from proxy.cli.commands.config import load_anywhere
from proxy.cli.commands.output import complain, print_table, say, say_json
from proxy.enrich.redact.examples import read_example
from proxy.process.terminal import visible_line
from proxy.settings.model import RedactSettings
from proxy.settings.redact_rules import CODE_RULES, FIXED_RULES, built_in_rules

_MAX_EXAMPLE_CHARACTERS: Final = 60
_OTHERS: Final = (
    'name:NAME is what stands under the name of a secret, such as name:password in {"password": '
    '"x"}.',
    f"pattern-1 and so on are [redact] patterns, in their order; {', '.join(FIXED_RULES)} cannot "
    "be switched off.",
)
"""What else records name."""


def list_rules(text: str | None, config: Path | None, *, as_json: bool) -> int:
    """Print the rules that have a text in their id, in what they are of, or in one of their
    literals.
    """
    redact = load_anywhere({}, os.environ, config).redact
    rows = [row for row in rows_of(redact) if _has(row, text or "")]
    if as_json:
        say_json([{key: value for key, value in row.items() if key != "literals"} for row in rows])
        return 0

    if rows:
        print_table(("rule", "of", "example"), [_cells(row) for row in rows])
        say("")
    else:
        complain(f"no rules with {text!r}")

    for line in _OTHERS:
        say(line)
    return 0


def rows_of(redact: RedactSettings) -> Iterator[dict[str, Any]]:
    """Yield all rules, own ones first: what is shown of each, and its literals."""
    for origin, rules in (("own", redact.rules), ("built-in", built_in_rules())):
        for rule in rules:
            example = read_example(rule.examples[0]).text if rule.examples else ""
            yield _row(redact, rule.id, rule.of, example, origin, rule.literals)
    for id_, code_rule in CODE_RULES.items():
        yield _row(redact, id_, code_rule.of, code_rule.example, "built-in", ())


def _row(
    redact: RedactSettings, id_: str, of: str, example: str, origin: str, literals: tuple[str, ...]
) -> dict[str, Any]:
    is_on = redact.patterns is not False and id_ not in redact.disable
    return {
        "id": id_, "of": of, "example": example, "origin": origin, "disabled": not is_on, "literals": literals,
    }  # fmt: skip


def _has(row: dict[str, Any], text: str) -> bool:
    return any(
        text.casefold() in part.casefold() for part in (row["id"], row["of"], *row["literals"])
    )


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    example = row["example"]
    if len(example) > _MAX_EXAMPLE_CHARACTERS:
        example = f"{example[: _MAX_EXAMPLE_CHARACTERS - 1]}…"
    return row["id"], row["of"] + (" (disabled)" if row["disabled"] else ""), visible_line(example)
