"""`sidelog redact`: lists the redaction rules of the settings, and tries them on a text. Needs no
sidelog and no store.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from proxy.cli.command import FILE, Group, argument, config_option, json_option
from proxy.cli.commands.output import (
    Result,
    columns_of,
    complain,
    failing,
    print_table,
    say,
    write_out,
)
from proxy.enrich.redact.examples import read_example
from proxy.settings.load import load_without_upstream
from proxy.settings.model import RedactSettings
from proxy.settings.redact_rules import CODE_RULES, FIXED_RULES, NAME, built_in_rules

_MAX_EXAMPLE_CHARACTERS: Final = 60
_OTHERS: Final = (
    'name:NAME is what stands under the name of a secret, such as name:password in {"password": '
    '"x"}.',
    f"pattern-1 and so on are [redact] patterns, in their order; {', '.join(FIXED_RULES)} cannot "
    "be switched off.",
)
"""Explains further ids that records name."""
_STDIN: Final = Path("-")
_OF_NAMES: Final = "what stands under this name"


@click.group("redact", cls=Group)
def redact_group() -> None:
    """List the rules of redaction, and try them."""


@redact_group.command("list")
@argument(
    "text",
    "Only rules that have it in their id, in what they are of, or in a literal, such as ghp_.",
    required=False,
)
@config_option
@json_option
def list_rules(text: str | None, config: Path | None) -> Result:
    """List the rules that find secrets: id, kind of secret, example.

    Example: sidelog redact list github
    """
    redact = load_without_upstream({}, os.environ, config).redact
    wanted = (text or "").casefold()
    rows = [
        row
        for row in rows_of(redact)
        if any(wanted in part.casefold() for part in (row["id"], row["of"], *row["literals"]))
    ]
    shown = [{key: value for key, value in row.items() if key != "literals"} for row in rows]

    def show(_: object) -> None:
        if rows:
            print_table(columns_of("rule", "of", "example"), map(_cells, rows))
            say("")
        else:
            complain(f"no rules with {text!r}")
        say("\n".join(_OTHERS))

    return Result(shown, show)


def rows_of(redact: RedactSettings) -> Iterator[dict[str, Any]]:
    """Yield all rules, own ones first, with their description and literals."""
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


def _cells(row: dict[str, Any]) -> tuple[str, str, str]:
    example = row["example"]
    if len(example) > _MAX_EXAMPLE_CHARACTERS:
        example = f"{example[: _MAX_EXAMPLE_CHARACTERS - 1]}…"
    return row["id"], row["of"] + (" (disabled)" if row["disabled"] else ""), example


@redact_group.command("try")
@argument(
    "file",
    "File with the text, as it would be sent; -: standard input.",
    required=False,
    type=FILE,
)
@click.option(
    "--header",
    "headers",
    metavar="LINE",
    multiple=True,
    help="Try a header instead: 'X-Ticket: 4711'.",
)
@click.option(
    "--target", metavar="TARGET", help="Try a path with its query instead: '/a?ticket=4711'."
)
@click.option(
    "--content-type",
    metavar="TYPE",
    help="Content type it would be sent with. Default: by the ending of the file.",
)
@config_option
@json_option
def try_rules(
    file: Path | None,
    headers: tuple[str, ...],
    target: str | None,
    content_type: str | None,
    config: Path | None,
) -> Result:
    """Show a text or a head as it would be stored, and which rules redacted something in it. Exits
    with 0 if nothing is redacted, with 1 if something is: the other way round than grep.

    Example: sidelog redact try response.json --config sidelog.toml
    """
    # A list of rules needs none of the redactor.
    from proxy.enrich.records import redactor_of
    from proxy.enrich.redact.trial import try_body, try_head

    has_head = bool(headers) or target is not None
    if has_head is (file is not None):
        raise click.UsageError("expected either a FILE, or --header and --target")
    settings = load_without_upstream({}, os.environ, config)
    redactor = redactor_of(settings)
    if file is None:
        for line in headers:
            if not line.partition(":")[1] or "\n" in line:
                raise click.BadParameter(
                    f"expected NAME: VALUE, got {line!r}", param_hint="--header"
                )
        trial = try_head(redactor, target or "/", headers)
    else:
        kind = f"text/{file.suffix[1:]}" if file.suffix else ""
        if content_type is not None:
            kind = content_type
        trial = try_body(redactor, _read(file), kind.encode("latin-1", "replace"))
    rows = list(_described(trial.counts, settings.redact))

    def show(_: object) -> None:
        for row in rows:
            complain(f"{row['rule']} ({row['of']}): {row['count']} redacted")
        if not rows:
            complain("nothing is redacted")
        write_out([trial.redacted])

    found = {"found": rows, "redacted": trial.redacted.decode(errors="replace")}
    return Result(found, show, int(bool(rows)))


def _read(file: Path) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    with failing(str(file), OSError, exit_code=2):  # 1 says that something was found
        return file.read_bytes()


def _described(counts: Counter[str], redact: RedactSettings) -> Iterator[dict[str, Any]]:
    """Yield each rule that redacted something, its kind of secret, and how often."""
    of = {row["id"]: row["of"] for row in rows_of(redact)} | FIXED_RULES
    patterns = () if isinstance(redact.patterns, bool) else redact.patterns
    of |= {f"pattern-{number}": regex for number, regex in enumerate(patterns, 1)}

    for rule, count in counts.items():
        is_name = rule.startswith(NAME)
        yield {"rule": rule, "of": _OF_NAMES if is_name else of.get(rule, ""), "count": count}
