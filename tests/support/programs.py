"""Programs that tests need and Python does not bring: without them tests are skipped, in CI they fail."""

import os
import shutil

import pytest


def find(program: str) -> str:
    """Return where a program is; those of administrators too."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if found is None:
        assert not os.environ.get("CI"), f"{program} is required in CI"
        pytest.skip(f"{program} is not installed")
    return found
