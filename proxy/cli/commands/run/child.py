"""Runs the command on our terminal, passes signals on, and returns its exit code.

A terminal sends its signals (Ctrl-C, hang-up) to the whole foreground process group. On a terminal
the command therefore stays in our group, and only signals that another process sent to us alone are
passed on: the command gets each signal once. Without a terminal the command has a process group of
its own, and all signals are passed on. Meanwhile signals are blocked and read one by one with
sigwaitinfo(2), which also tells who sent them.

Exit codes are those of a shell: 127 if the command was not found, 126 if it cannot be executed, and
128 plus the number of the signal that ended it.
"""

import errno
import os
import shutil
import signal
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from proxy.cli.commands.output import CommandError

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
BY_SIGNAL: Final = 128
SI_KERNEL: Final = 0x80
"""`si_code` of a signal that the terminal sent (sigaction(2))."""
_PASSED_ON: Final = frozenset(
    (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
)
_CHANGED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that the interpreter ignores; the command gets their default action."""


def executable_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the path of the program that a shell would start.

    Raises:
        CommandError: the program was not found, or it is not executable.
    """
    path = environ.get("PATH", os.defpath)
    if found := shutil.which(name, path=path):
        return found

    if os.sep in name:
        directories = [""]
    else:
        directories = path.split(os.pathsep)
    if any(os.path.exists(os.path.join(directory, name)) for directory in directories):
        text = f"{name}: the file cannot be executed; chmod +x makes it a program"
        raise CommandError(text, NOT_EXECUTABLE)

    raise CommandError(f"{name}: command not found", exit_code=NOT_FOUND)


def has_terminal() -> bool:
    """Return whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def run_child(program: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command to its end; return its exit code as a shell would.

    Args:
        program: Path of the executable.
        command: Its arguments, the name first.
        environ: Its whole environment.

    Raises:
        CommandError: the command cannot be executed.
    """
    is_shared = has_terminal()
    # A parent may have SIGCHLD ignored: then the exit code would be lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON | {signal.SIGCHLD})
    try:
        pid = _spawn(program, command, environ, before, is_shared=is_shared)
        return _accompany(pid, is_shared=is_shared)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _spawn(
    program: str,
    command: Sequence[str],
    environ: Mapping[str, str],
    mask: Iterable[int],
    *,
    is_shared: bool,
) -> int:
    """Start the command; return its process id."""
    spawn = partial(os.posix_spawn, setsigmask=mask, setsigdef=_CHANGED_BY_PYTHON)
    try:
        if is_shared:
            return spawn(program, list(command), environ)
        return spawn(program, list(command), environ, setpgroup=0)
    except OSError as error:
        if error.errno == errno.ENOENT:  # the interpreter after #! in the first line
            text = f"{program}: the interpreter that its first line names was not found"
            raise CommandError(text, NOT_EXECUTABLE) from error
        raise CommandError(f"{program}: {error.strerror}", NOT_EXECUTABLE) from error


def _accompany(pid: int, *, is_shared: bool) -> int:
    """Pass signals on until the command has ended."""
    while True:
        signalled = signal.sigwaitinfo(_PASSED_ON | {signal.SIGCHLD})
        if signalled.si_signo != signal.SIGCHLD:
            if not (is_shared and signalled.si_code == SI_KERNEL):
                os.kill(pid, signalled.si_signo)
            continue

        ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if ended and os.WIFSTOPPED(status):
            if is_shared:  # the shell sees only us: we stop as well, and `fg` continues both
                os.kill(os.getpid(), signal.SIGSTOP)
        elif ended:
            code = os.waitstatus_to_exitcode(status)
            if code < 0:
                return BY_SIGNAL - code
            return code
