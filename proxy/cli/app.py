"""The command line: the application of all commands, and how each way of ending becomes an exit code.

Exit codes: 0 ok, 1 failure, 2 usage or invalid configuration, 130 interrupted, 141 when the reader of the output left
(as shells report a program that SIGPIPE ended). A user's mistake is one line on stderr, never a traceback.
"""

import io
import os
import signal
import sys
from typing import Annotated, Any, Final

import typer
from typer import Option
from typer.core import TyperGroup

from proxy.cli.command_table import COMMANDS, READING
from proxy.cli.completion import COMPLETE_VARIABLE
from proxy.cli.options import declare
from proxy.cli.plain_values import run
from proxy.process.own_packages import foreign_package

READER_GONE: Final = 128 + signal.SIGPIPE
INTERRUPTED: Final = 128 + signal.SIGINT


class _Keys(TyperGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[:1] == ["revoke"]:
            ctx.fail("no such command 'revoke': `keys disable` can be undone, `keys delete` cannot")
        return super().resolve_command(ctx, args)


def _end(code: object, **_: object) -> None:
    """Turn what a command returned into the exit code."""
    raise typer.Exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="sidelog",
    help="A logging reverse proxy that keeps a complete, redacted, searchable record of every exchange.",
    no_args_is_help=True,
    add_completion=False,  # its two options alone would cost every start the import of their validators
    pretty_exceptions_enable=False,
    result_callback=_end,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_GROUPS: Final = {
    "config": typer.Typer(help="Check or show the configuration.", no_args_is_help=True),
    "token": typer.Typer(help="The admin token.", no_args_is_help=True),
    "keys": typer.Typer(cls=_Keys, help="API keys of the proxied service.", no_args_is_help=True),
    "db": typer.Typer(help="Inspect, migrate and back up the store.", no_args_is_help=True),
    "view": typer.Typer(help="Saved searches.", no_args_is_help=True),
}
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)
_reading = typer.Typer()
app.add_typer(_reading)  # behind the groups in help
declare(app, _GROUPS, COMMANDS)
declare(_reading, {}, READING)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from proxy.process.version import VERSION

        sys.stdout.write(f"sidelog {VERSION}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, Option("--version", metavar="", help="Print the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Take the options that stand before any command."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code; usage errors and interruption are typer's, everything else ours."""
    _ready_streams()
    if problem := foreign_package():
        sys.stderr.write(f"sidelog: {problem}\n")
        return 1
    if COMPLETE_VARIABLE in os.environ:  # a shell asks; what answers it costs every other start 20 ms
        from typer.completion import completion_init  # type: ignore[attr-defined]  # the same

        completion_init()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_gone()
    except OSError as error:
        code = _failed(error)
    except KeyboardInterrupt:  # before typer, which knows it too
        code = INTERRUPTED
    return code


def _ready_streams() -> None:
    """Make sure that both outputs exist, which `>&-` closes, and that both can show any character."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)  # else the next file that is opened would be it
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, "w", closefd=False))  # noqa: SIM115 - for as long as we run
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(arguments: list[str] | None) -> int:
    try:
        run(app, arguments, "sidelog")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception as error:
        return _failed(error)
    return 0


def _reader_gone() -> int:
    from proxy.cli.commands.output import leave_stdout

    leave_stdout()
    return READER_GONE


def _failed(error: Exception) -> int:
    """Report a mistake of the user, or a trouble of the machine, in plain words; a bug keeps its traceback."""
    from proxy.cli.commands.output import CommandError, ReaderGone, complain, leave_stdout
    from proxy.settings.model import SettingsError

    if isinstance(error, ReaderGone):
        return _reader_gone()
    if isinstance(error, SettingsError):
        for problem in error.problems:
            complain(f"sidelog: {problem}")
        return 2
    if isinstance(error, CommandError):
        complain(f"sidelog: {error}")
        return error.exit_code
    if isinstance(error, OSError) and error.strerror and not isinstance(error, BrokenPipeError):
        complain(f"sidelog: {f'{error.filename}: ' if error.filename else ''}{error.strerror}")
        leave_stdout()  # which may be what is full
        return 1
    raise error
