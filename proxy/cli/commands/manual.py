"""What the program says of itself: `sidelog man`, from the declarations of `--help`, completion,
and versions.

Strategy: options that stand in a panel of their own belong to several commands, and are described
once, behind the commands. The page is written in the macros of man(7), which every man reads.
"""

import platform
import sqlite3
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Final

import click

from proxy.cli.commands.output import say, say_json
from proxy.cli.completion import SCRIPTS
from proxy.cli.options import OWN_PANEL, Option
from proxy.process.version import BUILD, VERSION

LIBRARIES: Final = (
    "aiohttp",
    "httptools",
    "uvloop",
    "msgspec",
    "orjson",
    "aiosqlite",
    "google-re2",
    "prometheus-client",
)
"""Whose versions matter in a bug report."""
_ESCAPES: Final = str.maketrans({"\\": "\\e", "-": "\\-", "`": "", "\u00a0": "\\ "})
_EXAMPLE: Final = "Example: "
_EXIT_CODES: Final = (
    ("0", "Done."),
    ("1", "It failed; the reason is on stderr."),
    ("2", "A wrong option, or settings that are not valid: each problem is named on stderr."),
    ("130", "Interrupted."),
    ("141", "The reader of the output left."),
)
_ENVIRONMENT: Final = (
    ("SIDELOG_CONFIG", "Configuration file, as --config."),
    (
        "SIDELOG_DATA_DIR",
        "Data directory, as --data-dir; else STATE_DIRECTORY, else ./sidelog-data.",
    ),
    ("SIDELOG_URL, SIDELOG_TOKEN", "Admin port and token of the sidelog that commands ask."),
    (
        "SIDELOG_SECTION__NAME",
        "Any setting, two underscores between its levels: SIDELOG_PROXY__LISTEN. They win over "
        "the configuration file, "
        "and options over them.",
    ),
)
_FILES: Final = (
    (
        "sidelog.toml",
        "The settings, wherever --config says. `sidelog config show` prints what is in effect.",
    ),
    (
        "sidelog-data/",
        "The data directory: store, admin token, spool, state. Only its owner may read it.",
    ),
)
_SIGNALS: Final = (
    ("TERM, INT", "Finish what is running, store everything, and end; a second one ends at once."),
    ("HUP", "Read the settings again. Settings that are not valid change nothing."),
    ("USR1", "Write the status to the log."),
)


def manual() -> int:
    """Print the page."""
    root = click.get_current_context().find_root()
    say(manual_page(root.command, root, VERSION))
    return 0


def completion(shell: str) -> int:
    """Print what a shell evaluates to complete."""
    say(SCRIPTS[shell])
    return 0


def manual_page(program: click.Command, context: click.Context, version: str) -> str:
    """Write the page of a command, and of all below it."""
    name = str(program.name)
    summary = (program.help or "").rstrip(".")
    commands = list(_commands(program, context))
    return "\n".join(
        [
            f'.TH {name.upper()} 1 "" "{name} {_escaped(version)}" "User Commands"',
            ".SH NAME",
            f"{name} \\- {_escaped(summary[:1].lower() + summary[1:])}",
            ".SH SYNOPSIS",
            *(
                f".B {_escaped(words)}\n{_escaped(arguments)}\n.br"
                for words, arguments, _, _ in commands
            ),
            ".SH COMMANDS",
            *(line for each in commands for line in _command(*each)),
            *_panels(commands),
            *_list("EXIT STATUS", _EXIT_CODES),
            *_list("ENVIRONMENT", _ENVIRONMENT),
            *_list("FILES", _FILES),
            *_list("SIGNALS", _SIGNALS),
            "",
        ]
    )


_Described = tuple[str, str, click.Command, list[Option]]
"""Words, arguments, declaration, and options but for `--help`."""


def _commands(command: click.Command, context: click.Context) -> Iterator[_Described]:
    """List commands that do something, in the order of `--help`."""
    if not isinstance(command, click.Group):
        options = [each for each in command.params if isinstance(each, Option)]
        pieces = command.collect_usage_pieces(context)[1:]
        yield context.command_path, " ".join(["[options]", *pieces]), command, options
        return

    for name, each in command.commands.items():
        yield from _commands(each, click.Context(each, info_name=name, parent=context))


def _command(
    words: str, arguments: str, command: click.Command, options: list[Option]
) -> Iterator[str]:
    """Describe a command: what it does, an example, and the options that are its own."""
    yield f'.SS "{_escaped(words)} {_escaped(arguments)}"'
    text, _, example = (command.help or "").partition(_EXAMPLE)
    yield from _paragraph(" ".join(text.split()))
    for each in options:
        if each.panel == OWN_PANEL:
            yield from _option(each)
    shared = sorted({each.panel for each in options if each.panel != OWN_PANEL})
    if shared:
        yield ".PP"
        yield from _paragraph(
            "Takes the options of " + " and of ".join(_title(panel) for panel in shared) + ", too."
        )

    if example:
        yield from (".PP", ".RS 4", ".nf", _escaped(" ".join(example.split())), ".fi", ".RE")


def _panels(commands: list[_Described]) -> Iterator[str]:
    """Describe the options that several commands have, each once."""
    panels: dict[str, dict[str, Option]] = {}
    for *_, options in commands:
        for each in options:
            if each.panel != OWN_PANEL:
                panels.setdefault(each.panel, {}).setdefault(each.opts[0], each)

    for panel, shared in panels.items():
        yield f'.SH "{_escaped(_title(panel))}"'
        note = panel.removeprefix(panel.partition(" (")[0]).strip(" ()")
        if note:
            yield from _paragraph(f"{note[0].upper()}{note[1:]}.")
        for each in shared.values():
            yield from _option(each)


def _option(option: Option) -> Iterator[str]:
    yield ".TP"
    named = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in option.opts)
    yield f"{named} \\fI{_escaped(option.metavar)}\\fR" if option.metavar else named
    yield from _paragraph(
        f"{option.help}{f' Default: {option.default}.' if option.show_default else ''}"
    )


def _list(title: str, entries: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f'.SH "{title}"'
    for term, text in entries:
        yield f".TP\n\\fB{_escaped(term)}\\fR"
        yield from _paragraph(text)


def _paragraph(text: str) -> Iterator[str]:
    """Write a text; a line that looks like a macro is escaped."""
    for line in text.splitlines():
        yield ("\\&" if line.startswith((".", "'")) else "") + _escaped(line)


def _title(panel: str) -> str:
    return panel.partition(" (")[0].upper()


def _escaped(text: str) -> str:
    """Escape what man(7) reads otherwise; a quotation mark would end an argument."""
    return text.translate(_ESCAPES).replace('"', "\\(dq")


def version(*, as_json: bool) -> int:
    """Print versions."""
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in LIBRARIES:
        try:
            versions[name] = installed_version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"

    if as_json:
        say_json({"version": VERSION, "build": BUILD, "libraries": versions})
    else:
        say(f"sidelog {VERSION} ({BUILD})")
        for name, text in versions.items():
            say(f"  {name} {text}")

    return 0
