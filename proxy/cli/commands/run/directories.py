"""Data directories of runs: one per project, and further ones for runs at the same time.

A run claims its directory by a lock before it starts a sidelog there. The lock ends with the run.
If two runs start at once, one gets the first directory, the other the second.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxy.cli.commands.output import CommandError
from proxy.process.data_dir import is_in_use, project_directory, read_state

MAX_AT_ONCE: Final = 32
"""Largest number of runs of one project at the same time."""
CLAIM_FILE: Final = "run.lock"
LAST_RUN: Final = "last_run"
"""Member of the state: period, program and exit code of the last run."""


def claimed_directory(data_dir: str | None, environ: Mapping[str, str]) -> tuple[Path, int]:
    """Claim the data directory of a run; return its path, and a descriptor to close at the end.

    Raises:
        CommandError: the requested directory is in use, or no directory can be made.
    """
    for place in _directories(data_dir, environ):
        claim = _claim(place)
        if claim is not None:
            return place, claim

    if data_dir is not None:
        text = f"data directory {data_dir} is in use by another sidelog"
        raise CommandError(f"{text}; choose another --data-dir")

    text = f"{MAX_AT_ONCE} runs of this project are under way, and no more are possible"
    raise CommandError(f"{text}; pass --data-dir")


def last_directory(data_dir: str | None, environ: Mapping[str, str]) -> Path:
    """Return the data directory of the run that ended last.

    Raises:
        CommandError: no run has ended yet.
    """
    runs = {place: read_state(place).get(LAST_RUN) for place in _directories(data_dir, environ)}
    ended = {place: str(run["until"]) for place, run in runs.items() if run}
    if not ended:
        if data_dir:
            where = f"with {data_dir}"
        else:
            where = "in this project"
        raise CommandError(f"no run has ended yet {where}")

    return max(ended, key=lambda place: ended[place])


def _directories(data_dir: str | None, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the requested directory, or else those of the project."""
    if data_dir is not None:
        yield Path(data_dir).absolute()
        return

    first = project_directory(Path.cwd(), environ)
    if first is None:
        raise CommandError("there is no home directory for the records; pass --data-dir")
    for number in range(1, MAX_AT_ONCE + 1):
        yield first if number == 1 else first.with_name(f"{first.name}-{number}")


def _claim(place: Path) -> int | None:
    """Claim a data directory; return a descriptor, or None if another run or sidelog uses it."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        claim = os.open(place / CLAIM_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        text = f"data directory {place}: it is a file; choose another --data-dir"
        raise CommandError(text) from None
    except OSError as error:
        raise CommandError(f"data directory {place}: {error.strerror}") from error

    with suppress(BlockingIOError):
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_in_use(place):
            return claim

    os.close(claim)
    return None
