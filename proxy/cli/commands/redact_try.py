"""`sidelog redact try`: what would be taken out of a text, by which rule, and where. Needs no
sidelog and no store.
"""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from proxy.cli.commands.config import load_anywhere
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
from proxy.cli.commands.redact import rows_of
from proxy.enrich.records import redactor_of
from proxy.enrich.redact.explain import Found, explain
from proxy.settings.model import RedactSettings
from proxy.settings.redact_rules import FIXED_RULES, NAME

_STDIN: Final = Path("-")
_OF_NAMES: Final = "what stands under this name"


def run(
    file: Path, content_type: str | None, config: Path | None, *, show: bool, as_json: bool
) -> int:
    """Print what would be taken out of a text as a body of its type; return 1 if that is anything,
    else 0.
    """
    settings = load_anywhere({}, os.environ, config)
    kind = _type_of(file) if content_type is None else content_type
    explanation = explain(
        partial(redactor_of, settings), _read(file), kind.encode("latin-1", "replace")
    )
    rows = list(_described(explanation.found, settings.redact))

    if as_json:
        text = {"redacted": explanation.redacted.decode(errors="replace")} if show else {}
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


def _described(found: list[Found], redact: RedactSettings) -> Iterator[dict[str, Any]]:
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
