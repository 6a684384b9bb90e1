"""The limit of open files is raised as far as it goes, and connections leave room for the rest."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.process import descriptors
from tests.support.programs import PROGRAM_S

ROOT = Path(__file__).parents[3]
PROGRAM = (
    "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 400));"
    "from proxy.process.descriptors import *; assert max_client_connections() == 75; "
    "raise_descriptor_limit();"
    "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], max_client_connections())"
)


def test_the_soft_limit_becomes_the_hard_one() -> None:
    """A process of its own, because it cannot be lowered again."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["400", "300"]


def test_too_few_open_files_are_refused_with_what_to_do() -> None:
    """Before anything is made: later the store would never open, and workers would not start."""
    command = [sys.executable, "-m", "proxy", "serve", "--upstream", "http://127.0.0.1:1"]
    for limit, workers in ((20, 1), (32, 1), (100, 8)):
        done = subprocess.run(
            [
                "sh",
                "-c",
                f'ulimit -n {limit} && exec "$@"',
                "sh",
                *command,
                "--workers",
                str(workers),
            ],
            cwd=ROOT,
            env={**os.environ, "SIDELOG_DATA_DIR": "/dev/null/none"},
            capture_output=True,
            text=True,
            timeout=PROGRAM_S,
        )
        assert done.returncode == 1
        assert done.stderr == (
            f"sidelog: a process may have {limit} open files, and sidelog needs at least "
            f"{64 + 8 * workers}: raise the limit with ulimit -n 65536, or LimitNOFILE=65536 in the "
            "systemd unit\n"
        )


def test_a_limit_that_cannot_be_raised_or_has_no_end_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Some systems refuse a hard limit without end."""

    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(
        resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    descriptors.raise_descriptor_limit()
    assert descriptors.max_client_connections() >= 1 << 30
