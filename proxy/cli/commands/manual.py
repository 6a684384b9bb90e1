"""`sidelog man`: the manual page, from the same declarations as `--help` and completion; and what a shell completes by.

Strategy: options that stand in a panel of their own belong to several commands, and are described once, behind the
commands. The page is written in the macros of man(7), which every man reads.
"""

from collections.abc import Iterator
from typing import Any, Final

from proxy.cli.commands.output import say
from proxy.cli.completion import COMPLETE_VARIABLE, Shell, shell_script
from proxy.process.version import VERSION

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
    ("SIDELOG_DATA_DIR", "Data directory, as --data-dir; else STATE_DIRECTORY, else ./sidelog-data."),
    ("SIDELOG_URL, SIDELOG_TOKEN", "Admin port and token of the sidelog that commands ask."),
    (
        "SIDELOG_SECTION__NAME",
        "Any setting, two underscores between its levels: SIDELOG_PROXY__LISTEN. They win over the configuration file, "
        "and options over them.",
    ),
)
_FILES: Final = (
    ("sidelog.toml", "The settings, wherever --config says. `sidelog config show` prints what is in effect."),
    ("sidelog-data/", "The data directory: store, admin token, spool, state. Only its owner may read it."),
)
_SIGNALS: Final = (
    ("TERM, INT", "Finish what is running, store everything, and end; a second one ends at once."),
    ("HUP", "Read the settings again. Settings that are not valid change nothing."),
    ("USR1", "Write the status to the log."),
)


def manual(context: Any) -> int:
    """Print the page."""
    root = context.find_root()
    say(manual_page(root.command, root, VERSION))
    return 0


def completion(shell: Shell) -> int:
    """Print what a shell evaluates to complete."""
    say(shell_script(shell, COMPLETE_VARIABLE))
    return 0


def manual_page(program: Any, context: Any, version: str) -> str:
    """Write the page of a command, as `typer.main.get_command` returns it, and of all below it."""
    name, summary = str(program.name), program.help.rstrip(".")
    commands = list(_commands(program, context))
    return "\n".join(
        [
            f'.TH {name.upper()} 1 "" "{name} {_escaped(version)}" "User Commands"',
            ".SH NAME",
            f"{name} \\- {_escaped(summary[:1].lower() + summary[1:])}",
            ".SH SYNOPSIS",
            *(f".B {_escaped(words)}\n{_escaped(arguments)}\n.br" for words, arguments, _, _ in commands),
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


_Command = tuple[str, str, Any, list[Any]]
"""Words, arguments, declaration, and options."""


def _commands(command: Any, context: Any) -> Iterator[_Command]:
    """List commands that do something, in the order of `--help`."""
    below = getattr(command, "commands", None)
    if below is None:
        options = [each for each in command.get_params(context) if each.param_type_name == "option" and not each.hidden]
        pieces = [_argument(piece) for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
        yield context.command_path, " ".join(["[options]", *pieces]), command, options
        return
    for name, each in below.items():
        if not each.hidden:
            yield from _commands(each, type(context)(each, info_name=name, parent=context))


def _argument(piece: str) -> str:
    """Write an argument as manual pages do: one that is needed plainly, any other in one pair of brackets."""
    return piece.removeprefix("{").removesuffix("}").replace("[[", "[").replace("]]", "]")


def _command(words: str, arguments: str, command: Any, options: list[Any]) -> Iterator[str]:
    """Describe a command: what it does, an example, and the options that are its own."""
    yield f'.SS "{_escaped(words)} {_escaped(arguments)}"'
    text, _, example = command.help.partition(_EXAMPLE)
    yield from _paragraph(" ".join(text.split()))
    for each in options:
        if not each.rich_help_panel and "--help" not in each.opts:
            yield from _option(each)
    shared = sorted({each.rich_help_panel for each in options if each.rich_help_panel})
    if shared:
        yield ".PP"
        yield from _paragraph("Takes the options of " + " and of ".join(_title(panel) for panel in shared) + ", too.")
    if example:
        yield from (".PP", ".RS 4", ".nf", _escaped(" ".join(example.split())), ".fi", ".RE")


def _panels(commands: list[_Command]) -> Iterator[str]:
    """Describe the options that several commands have, each once."""
    panels: dict[str, dict[str, Any]] = {}
    for *_, options in commands:
        for each in options:
            if each.rich_help_panel:
                panels.setdefault(each.rich_help_panel, {}).setdefault(each.opts[0], each)
    for panel, shared in panels.items():
        yield f'.SH "{_escaped(_title(panel))}"'
        note = panel.removeprefix(panel.partition(" (")[0]).strip(" ()")
        if note:
            yield from _paragraph(f"{note[0].upper()}{note[1:]}.")
        for each in shared.values():
            yield from _option(each)


def _option(option: Any) -> Iterator[str]:
    yield ".TP"
    named = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in (*option.opts, *option.secondary_opts))
    yield f"{named} \\fI{_escaped(option.metavar)}\\fR" if option.metavar else named
    text = option.help or ""
    if option.default not in (None, False, (), []) and not callable(option.default):
        text += f" Default: {option.default}." if text.endswith(".") else f"; default: {option.default}"
    yield from _paragraph(text)


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
