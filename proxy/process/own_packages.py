"""Our own packages, wherever sidelog is started. Standard library only.

The current directory may hold packages called `api` or `storage`, or a module `secrets`, of its
own, and `-m` puts that directory first on the import path. So each process we start has a safe path
(`-P`), without the current directory. If sidelog is not installed, the directory of its packages
goes into the child's PYTHONPATH instead.

Invariant: an installed sidelog never puts its site-packages into PYTHONPATH, before the standard
library.
"""

import os
import sys
from importlib.util import find_spec
from typing import Final

ROOT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
"""The directory that holds `proxy`, `storage` and `api`."""


def leave_current_directory(path: list[str]) -> None:
    """Remove the entry that `python -m` put first on the import path, unless it is our own root.

    Call it before anything else is imported, the standard library included.
    """
    if not sys.flags.safe_path and path and os.path.realpath(path[0]) != ROOT:
        del path[0]


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules in a new process, to use with
    `module_environment`.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def module_environment() -> dict[str, str]:
    """Return the environment for `module_command`. The child finds our packages there if nowhere
    else.
    """
    environ = dict(os.environ)
    # numpy, in a collector, would start a thread per core for linear algebra that sidelog does not
    # use.
    environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    named = environ.get("PYTHONPATH", "")
    # The first entry of our path may be the script's directory, or the current one. Children have
    # neither.
    candidates = [*(sys.path if sys.flags.safe_path else sys.path[1:]), *named.split(os.pathsep)]
    if ROOT not in map(os.path.realpath, filter(None, candidates)):
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, (ROOT, named)))
    return environ


def foreign_package() -> str | None:
    """Return an error message if `api` or `storage` would be imported from elsewhere; else None."""
    for name in ("api", "storage"):
        spec = find_spec(name)
        origin = spec.origin if spec is not None else None
        if origin is None or os.path.dirname(os.path.dirname(os.path.realpath(origin))) != ROOT:
            return (
                f"the package {name!r} would be imported from {origin or 'nowhere'}, not from "
                f"{ROOT}: remove that directory from PYTHONPATH, or rename the package"
            )

    return None
