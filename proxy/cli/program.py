"""The program of click, made from the table of commands.

Strategy: one class for commands, which shows options by panel, and one for groups, which keeps the
order of the table. What a command does is in `proxy/cli/commands/`, imported when it runs.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

import click

from proxy.cli.command_table import COMMANDS, GROUPS, SECTIONS, Row
from proxy.cli.options import OWN_PANEL, PARAMETERS

_HELP: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}


class _WithPanels(click.Command):
    """Shows each option in its panel, and in the list of commands its whole sentence."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return (self.help or "").partition("\n")[0]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for each in self.get_params(ctx):
            if isinstance(each, click.Option) and (record := each.get_help_record(ctx)):
                panels.setdefault(getattr(each, "panel", OWN_PANEL), []).append(record)
        for title, records in panels.items():
            with formatter.section(title):
                formatter.write_dl(records)


class _Group(_WithPanels, click.Group):
    """Commands in the order of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        if ctx.parent is not None:
            self.format_commands(ctx, formatter)
            return

        width = max(map(len, self.commands))  # one column for all sections
        for title, words in SECTIONS.items():
            rows = [
                (word.ljust(width), self.commands[word].get_short_help_str())
                for word in words.split()
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if self.name == "keys" and args[0] == "revoke":
            ctx.fail("no such command 'revoke': `keys disable` can be undone, `keys delete` cannot")
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from proxy.process.version import VERSION

        sys.stdout.write(f"sidelog {VERSION}\n")
        ctx.exit()


def _program() -> click.Group:
    """Make the program; what a command returns is its exit code."""
    version = click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Print the version and exit.",
    )
    program = _Group(
        "sidelog",
        help="A logging reverse proxy that keeps a redacted, searchable record of every exchange.",
        params=[version],
        no_args_is_help=True,
        context_settings=_HELP,
    )
    groups: dict[str, click.Group] = {}

    for row in COMMANDS:
        *group, name = row.words.split()
        for word in group:
            if word not in groups:
                groups[word] = _Group(
                    word, help=GROUPS[word], no_args_is_help=True, context_settings=_HELP
                )
                program.add_command(groups[word])

        (groups[group[0]] if group else program).add_command(_command(name, row))

    return program


def _command(name: str, row: Row) -> click.Command:
    before = "" if f"sidelog {row.words}" in row.example else f"sidelog {row.words} "
    parameters = [
        PARAMETERS.get(f"{row.words} {each}") or PARAMETERS[each] for each in row.parameters.split()
    ]
    for shared in row.shared:
        parameters += shared.parameters
    help = f"{row.help}\n\nExample: {f'{before}{row.example}'.strip()}"
    settings = {**_HELP, "allow_interspersed_args": not row.has_command}
    return _WithPanels(
        name, help=help, params=parameters, callback=_callback(row), context_settings=settings
    )


def _callback(row: Row) -> Callable[..., int]:
    def run(**given: Any) -> int:
        with ExitStack() as stack:
            for shared in reversed(row.shared):
                shared.gather(given, stack)
            first, *others = row.words.split()
            module, _, function = (row.run or f"{first}:{'_'.join(others) or 'run'}").partition(":")
            code: int = getattr(import_module(f"proxy.cli.commands.{module}"), function)(**given)
        return code

    return run


PROGRAM: Final = _program()
