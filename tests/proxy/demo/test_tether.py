"""A tethered program ends with the process that started it, however that ends."""

import os
import signal
import subprocess
import sys

import pytest

from proxy.demo.tether import tethered

PARENT = """
import subprocess, sys
from proxy.demo.tether import tethered
child = subprocess.Popen(tethered(sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"))
child.wait()
"""


def test_a_tethered_command_runs_with_its_arguments_and_exit_code() -> None:
    """The tether becomes the command, so its output and exit code are the command's."""
    command = tethered(sys.executable, "-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "a b", "--c")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (7, "['a b', '--c']\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_killed_parent_takes_its_child_with_it() -> None:
    """After SIGKILL of the parent nobody holds the pipe that parent and child wrote to."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        os.kill(parent.pid, signal.SIGKILL)
        assert parent.communicate(timeout=20)[0] == b""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_command_whose_parent_is_gone_already_does_not_start() -> None:
    """A parent that ended before the tether was tied cannot be waited for."""
    command = [sys.executable, "-m", "proxy.demo.tether", "1", sys.executable, "-c", "print('started')"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (1, b"")
