"""`sidelog redact`: the rules by which secrets are found, as the settings have them, and what they
find in a text. Needs no sidelog and no store.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from proxy.cli.command import Group
from proxy.cli.commands.output import (
    CommandError,
    ReaderGone,
    Verbatim,
    complain,
    flush,
    print_table,
    say,
    say_json,
)
from proxy.cli.options import argument, config_option, json_option
from proxy.cli.parameter_types import FILE
from proxy.enrich.redact.examples import read_example
from proxy.process.terminal import visible_line
from proxy.settings.load import load_without_upstream
from proxy.settings.model import RedactSettings
from proxy.settings.redact_rules import CODE_RULES, FIXED_RULES, NAME, built_in_rules

if TYPE_CHECKING:
    from proxy.enrich.redact.explain import Found

_MAX_EXAMPLE_CHARACTERS: Final = 60
_OTHERS: Final = (
    'name:NAME is what stands under the name of a secret, such as name:password in {"password": '
    '"x"}.',
    f"pattern-1 and so on are [redact] patterns, in their order; {', '.join(FIXED_RULES)} cannot "
    "be switched off.",
)
"""What else records name."""
_STDIN: Final = Path("-")
_OF_NAMES: Final = "what stands under this name"


@click.group("redact", cls=Group)
def redact_group() -> None:
    """What is taken out before anything is stored, and by which rule."""


@redact_group.command("list")
@argument(
    "text",
    "Only rules that have it in their id, in what they are of, or in a literal, such as ghp_.",
    required=False,
)
@config_option
@json_option
def list_rules(text: str | None, config: Path | None, as_json: bool) -> int:
    """List the rules by which secrets are found: id, what each is of, an example.

    Example: sidelog redact list github
    """
    redact = load_without_upstream({}, os.environ, config).redact
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
@click.option("--show", is_flag=True, help="Also print the text as it would be stored.")
@config_option
@json_option
def try_rules(
    file: Path | None,
    headers: tuple[str, ...],
    target: str | None,
    content_type: str | None,
    config: Path | None,
    show: bool,
    as_json: bool,
) -> int:
    """Show what would be taken out of a text or of a head, by which rule, and where. Exits with 0
    if nothing is found, with 1 if something is: the other way round than grep.

    Line 1 of a head is its request line.

    Example: sidelog redact try response.json --config sidelog.toml
    """
    # A list of rules needs none of the redactor.
    from proxy.enrich.records import redactor_of
    from proxy.enrich.redact.explain import explain, explain_head

    has_head = bool(headers) or target is not None
    if has_head is (file is not None):
        raise click.UsageError("expected either a FILE, or --header and --target")
    settings = load_without_upstream({}, os.environ, config)
    make = partial(redactor_of, settings)
    if file is None:
        explanation = explain_head(make, _head_of(headers, target))
    else:
        kind = _type_of(file) if content_type is None else content_type
        explanation = explain(make, _read(file), kind.encode("latin-1", "replace"))
    rows = list(_described(explanation.found, settings.redact))

    if as_json:
        if show:
            text = {"redacted": explanation.redacted.decode(errors="replace")}
        else:
            text = {}
        say_json({"found": rows, **text})
        return int(bool(rows))

    if explanation.content == "media":
        complain(
            "nothing is taken out: it is stored as it is, as pictures, sound, films and archives "
            "are"
        )
    elif not rows:
        complain("nothing is taken out")
    else:
        cells = [
            (f"{row['line']}:{row['column']}", str(row["length"]), row["rule"], row["of"])
            for row in rows
        ]
        print_table(("place", "length", "rule", "of"), cells)

    if show:
        _show(explanation.redacted, is_first=not rows)
    return int(bool(rows))


def _head_of(headers: tuple[str, ...], target: str | None) -> bytes:
    for line in headers:
        if not line.partition(":")[1] or "\n" in line:
            raise click.BadParameter(f"expected NAME: VALUE, got {line!r}", param_hint="--header")
    return "\n".join((f"GET {target or '/'} HTTP/1.1", *headers, "")).encode()


def _type_of(file: Path) -> str:
    """Return what a body with a file of that name would be."""
    if file.suffix:
        return f"text/{file.suffix.removeprefix('.')}"
    return ""


def _read(file: Path) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        # 1 says that something was found.
        raise CommandError(f"{file}: {error.strerror}", exit_code=2) from error


def _described(found: "list[Found]", redact: RedactSettings) -> Iterator[dict[str, Any]]:
    """Say what each rule is of."""
    of = {row["id"]: row["of"] for row in rows_of(redact)} | FIXED_RULES
    patterns = () if isinstance(redact.patterns, bool) else redact.patterns
    of |= {f"pattern-{number}": regex for number, regex in enumerate(patterns, 1)}

    for each in found:
        yield each._asdict() | {
            "of": _OF_NAMES if each.rule.startswith(NAME) else of.get(each.rule, "")
        }


def _show(text: bytes, *, is_first: bool) -> None:
    if not is_first:
        say("")
    flush()
    out = Verbatim()
    try:
        out.write(text)
        out.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
