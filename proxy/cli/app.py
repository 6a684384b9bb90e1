"""The entry point of the command line. It turns every end of a command into an exit code.

Exit codes: 0 ok, 1 failure, 2 usage or invalid configuration, 130 interrupted, 141 when the reader
of the output left (as shells report a program ended by SIGPIPE). A user's mistake is one line on
stderr, never a traceback.
"""

import io
import os
import signal
import sys
from typing import Final

import click

from proxy.cli.program import program
from proxy.process.own_packages import foreign_package

READER_GONE: Final = 128 + signal.SIGPIPE
INTERRUPTED: Final = 128 + signal.SIGINT


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code; usage errors are click's, everything else ours."""
    _ready_streams()
    if problem := foreign_package():
        sys.stderr.write(f"sidelog: {problem}\n")
        return 1

    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_gone()
    except OSError as error:
        code = _failed(error)
    except KeyboardInterrupt:  # before click handles it
        code = INTERRUPTED

    return code


def _ready_streams() -> None:
    """Open stdout and stderr if the shell closed them (`>&-`), and let both show any character."""
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            # Else the next file that is opened would be it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, "w", closefd=False))  # noqa: SIM115 - for as long as we run

    if isinstance(sys.stdout, io.TextIOWrapper):
        out = sys.stdout
        # PYTHONUNBUFFERED: output that a full disk did not take would be lost.
        if isinstance(out.buffer, io.RawIOBase):
            sys.stdout = out = open(1, "w", encoding=out.encoding, errors=out.errors, closefd=False)  # noqa: SIM115
        if out.encoding.lower() != "utf-8":
            out.reconfigure(errors="backslashreplace")


def _run(arguments: list[str] | None) -> int:
    try:
        code = program.main(arguments, "sidelog", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except SystemExit as end:
        code = end.code
    except Exception as error:
        return _failed(error)

    if isinstance(code, int):
        return code
    if isinstance(code, str):
        return 1

    return 0


def _reader_gone() -> int:
    from proxy.cli.commands.output import leave_stdout

    leave_stdout()
    return READER_GONE


def _failed(error: Exception) -> int:
    """Report a user's mistake or a failure of the machine in plain words; a bug keeps its
    traceback.
    """
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
    if isinstance(error, RecursionError):
        complain("sidelog: JSON is nested too deep to be read here")
        return 1

    if isinstance(error, OSError) and error.strerror and not isinstance(error, BrokenPipeError):
        complain(f"sidelog: {f'{error.filename}: ' if error.filename else ''}{error.strerror}")
        leave_stdout()  # its disk may be the full one
        return 1

    raise error
