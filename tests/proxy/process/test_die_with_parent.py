"""A program bound to its parent ends with it, however that ends."""

import os
import signal
import subprocess
import sys

import pytest

from proxy.process.die_with_parent import bound_to_this_process
from proxy.process.own_packages import module_environment
from tests.support.programs import PROGRAM_S

PARENT = """
import subprocess, sys
from proxy.process.die_with_parent import bound_to_this_process
from proxy.process.own_packages import module_environment
command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
child = subprocess.Popen(bound_to_this_process(command), env=module_environment())
child.wait()
"""


def test_a_bound_command_runs_with_its_arguments_and_exit_code() -> None:
    """The wrapper becomes the command, so its output and exit code are the command's."""
    command = bound_to_this_process(
        [sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "a b", "--c"]
    )
    done = subprocess.run(
        command,
        env=module_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_S,
    )
    assert (done.returncode, done.stdout) == (7, "['a b', '--c']\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a parent's death")
def test_a_killed_parent_takes_its_child_with_it() -> None:
    """After SIGKILL of the parent nobody holds the pipe that parent and child wrote to."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.communicate(timeout=PROGRAM_S)[0] == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a parent's death")
def test_a_command_whose_parent_is_gone_already_does_not_start() -> None:
    """The death of a parent that ended before is announced to nobody."""
    command = [
        sys.executable,
        "-m",
        "proxy.process.die_with_parent",
        "1",
        sys.executable,
        "-c",
        "print('started')",
    ]
    done = subprocess.run(
        command, env=module_environment(), capture_output=True, check=False, timeout=PROGRAM_S
    )
    assert (done.returncode, done.stdout) == (1, b"")
