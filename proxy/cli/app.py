"""The command line: what each command takes, and how each way of ending becomes an exit code.

Strategy: only declarations stand here; what a command does is in `proxy/cli/commands/`, imported when it runs, so that
`sidelog version` does not pay for the proxy. Exit codes: 0 ok, 1 failure, 2 usage or invalid configuration, 130
interrupted, 141 when whoever read the output left (what a shell says of a program that SIGPIPE ended). A user's mistake
is one line on stderr, never a traceback.
"""

import io
import os
import signal
import sys
from typing import Annotated, Final

import typer
from typer import Option

from proxy.cli.completion import COMPLETE_VARIABLE, Shell, shell_script
from proxy.cli.db_app import db_app
from proxy.cli.keys_app import keys_app
from proxy.cli.options import Config, DataDir, Json, Overrides, Url, with_settings
from proxy.cli.plain_values import run
from proxy.cli.records_app import records_app
from proxy.cli.views_app import views_app
from proxy.process.own_packages import foreign_package
from proxy.settings.flags import FLAGS

READER_GONE: Final = 128 + signal.SIGPIPE
INTERRUPTED: Final = 128 + signal.SIGINT


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
config_app = typer.Typer(help="Check or show the configuration.", no_args_is_help=True)
token_app = typer.Typer(help="The admin token.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(token_app, name="token")
app.add_typer(keys_app, name="keys")
app.add_typer(db_app, name="db")
app.add_typer(views_app, name="view")
app.add_typer(records_app)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from proxy.process.version import VERSION

        sys.stdout.write(f"sidelog {VERSION}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        Option("--version", metavar="", help="Print the version and exit.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Take the options that stand before any command."""


@app.command()
@with_settings(*FLAGS)
def serve(
    overrides: Overrides,
    config: Config = None,
    greets: Annotated[
        bool, Option("--greet", metavar="", help="Print addresses and commands to try, as on a terminal.")
    ] = False,
) -> int:
    """Run the proxy.

    Example: sidelog serve --upstream http://127.0.0.1:3000 --listen 127.0.0.1:8080
    """
    from proxy.cli.commands import serve as command

    command.run(overrides, config, greets=greets)


@app.command()
def demo(
    listen: Annotated[
        str, Option("--listen", metavar="HOST:PORT", help="Address of the data port.")
    ] = "127.0.0.1:8080",
    admin_listen: Annotated[
        str, Option("--admin-listen", metavar="HOST:PORT", help="Address of the admin port.")
    ] = "127.0.0.1:8090",
    data_dir: DataDir = None,
) -> int:
    """Run a demo upstream with sample traffic, and the proxy in front of it; its records are in ./sidelog-demo.

    Example: sidelog demo --listen 127.0.0.1:8888
    """
    from proxy.demo.run import main as run

    return run(listen, admin_listen, data_dir)


@config_app.command("check")
@with_settings("proxy.upstream", "data_dir")
def config_check(overrides: Overrides, config: Config = None, as_json: Json = False) -> int:
    """Validate the configuration and report every problem at once.

    Example: sidelog config check --config sidelog.toml
    """
    from proxy.cli.commands import config as command

    return command.check(overrides, config, as_json=as_json)


@config_app.command("show")
@with_settings("proxy.upstream", "data_dir")
def config_show(overrides: Overrides, config: Config = None, as_json: Json = False) -> int:
    """Print the effective configuration, secrets redacted.

    Example: sidelog config show --config sidelog.toml --json
    """
    from proxy.cli.commands import config as command

    return command.show(overrides, config, as_json=as_json)


@token_app.command("show")
def token_show(data_dir: DataDir = None, as_json: Json = False) -> int:
    """Print the admin token of a data directory.

    Example: curl -H "Authorization: Bearer $(sidelog token show)" http://127.0.0.1:8090/api/status
    """
    from proxy.cli.commands import health as command

    return command.show_token(data_dir, as_json=as_json)


@token_app.command("rotate")
def token_rotate(data_dir: DataDir = None, as_json: Json = False) -> int:
    """Replace the admin token. A running sidelog uses the new one at once; sessions of the web UI end.

    Example: sidelog token rotate --data-dir /var/lib/sidelog
    """
    from proxy.cli.commands import health as command

    return command.rotate(data_dir, as_json=as_json)


@app.command()
def health(url: Url = None, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Say whether sidelog is ready, and exit with 0 if it is; for container health checks.

    Example: sidelog health --url http://127.0.0.1:8090
    """
    from proxy.cli.commands import health as command

    return command.health(url, data_dir, as_json=as_json)


@app.command()
@with_settings("proxy.upstream", "data_dir")
def doctor(overrides: Overrides, config: Config = None, as_json: Json = False) -> int:
    """Check this machine and the settings, and suggest a fix for each problem.

    Example: sidelog doctor --config sidelog.toml
    """
    from proxy.cli.commands.doctor import doctor as command
    from proxy.settings.load import read

    return command.run(*read(overrides, os.environ, config), as_json=as_json)


@app.command()
def version(as_json: Json = False) -> int:
    """Print the version and build (pure or compiled) of sidelog, and the versions of Python and the main libraries.

    Example: sidelog version --json
    """
    from proxy.cli.commands import version as command

    return command.run(as_json=as_json)


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="Which shell: bash, zsh or fish.")]) -> int:
    """Print a completion script for a shell; load it with: eval "$(sidelog completion bash)".

    Example: sidelog completion bash
    """
    from proxy.cli.commands.output import say

    say(shell_script(shell, COMPLETE_VARIABLE))
    return 0


@app.command("man")
def manual(context: typer.Context) -> int:
    """Print the manual page; `sidelog man > ~/.local/share/man/man1/sidelog.1` installs it for man.

    Example: sidelog man
    """
    from proxy.cli.commands.manual import manual_page
    from proxy.cli.commands.output import say
    from proxy.process.version import VERSION

    root = context.find_root()
    say(manual_page(root.command, root, VERSION))
    return 0


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
    """See to it that there are both outputs, as there are not behind `>&-`, and that both can show any character."""
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
