"""The command: started with the terminal of ours, signals passed on, its exit code handed back.

A terminal sends its signals (Ctrl-C, its end) to the whole group of processes in front, so where
there is one the command stays in our group, and only what another process sent to us alone is
passed on: it gets each signal once. Without a terminal the command has a group of its own, and
everything is passed on. All signals are blocked meanwhile and read one after the other
(sigwaitinfo(2)), which also says who sent them.

What a shell would say of a command ends it here, too: 127, it is not there; 126, it cannot be
executed; 128 and the number of the signal that ended it.
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
"""Which the interpreter ignores; the command is to find them as usual."""


def executable_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the path of the program that a shell would start.

    Raises:
        CommandError: it is not there, or is no program.
    """
    path = environ.get("PATH", os.defpath)
    if found := shutil.which(name, path=path):
        return found

    directories = [""] if os.sep in name else path.split(os.pathsep)
    if any(os.path.exists(os.path.join(directory, name)) for directory in directories):
        raise CommandError(f"{name}: it is there, but cannot be executed", exit_code=NOT_EXECUTABLE)

    raise CommandError(f"{name}: command not found", exit_code=NOT_FOUND)


def has_terminal() -> bool:
    """Whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def run_child(program: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command to its end; return what a shell would have as its exit code.

    Args:
        program: Path of the executable.
        command: Its arguments, the name first.
        environ: Its whole environment.

    Raises:
        CommandError: it cannot be executed.
    """
    is_shared = has_terminal()
    # Where who started us has it ignored, the exit code would be lost.
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
        if error.errno == errno.ENOENT:  # of what is named after #! in its first line
            text = f"{program}: its interpreter is not there"
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
            if is_shared:  # the shell sees only us: its prompt comes back, and `fg` continues both
                os.kill(os.getpid(), signal.SIGSTOP)
        elif ended:
            code = os.waitstatus_to_exitcode(status)
            return BY_SIGNAL - code if code < 0 else code
