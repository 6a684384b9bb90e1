"""Programs that tests need and Python does not bring: without them tests are skipped, in CI they
fail.
"""

import os
import shutil
from typing import Final

import pytest

PROGRAM_S: Final = 240.0
"""What a started program has for all its work. On a busy machine its imports alone may take half a
minute.
"""


def find(*programs: str) -> str:
    """Return where the first of some programs is that is there; those of administrators too."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    found = next(
        (place for program in programs if (place := shutil.which(program, path=path))), None
    )
    if found is None:
        names = " or ".join(programs)
        assert not os.environ.get("CI"), f"{names} is required in CI"
        pytest.skip(f"{names} is not installed")

    return found
