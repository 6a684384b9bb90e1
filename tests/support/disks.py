"""A small disk of its own, and how to fill it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.sidelog import eventually


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[None]:
    """Mount a disk of its own; skips where that is not allowed, and fails where `CI=true`."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path)]
    if (
        os.geteuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(command, check=False).returncode
    ):
        message = "a small disk cannot be mounted"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)

    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path, left_bytes: int) -> Path:
    """Leave only so much of a disk free; answers the file to remove."""
    ballast = path / "ballast"
    with ballast.open("wb") as file:

        def is_allocated() -> bool:
            try:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(path).free - left_bytes)
            except OSError:  # others write meanwhile
                return False
            return True

        eventually(is_allocated)

    return ballast
