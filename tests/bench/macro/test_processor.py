"""What a system gets of the processor is set up, and taken down again."""

import os
import subprocess
from pathlib import Path

import pytest

from bench.macro.place import PeerUnavailable
from bench.macro.processor import SHARES, taken


def test_a_core_is_pinned_only_while_it_is_taken() -> None:
    """The system has the first core, load and this process the last."""
    cores = sorted(os.sched_getaffinity(0))
    with taken(SHARES["core"]) as (own, loads):
        assert (own[-1], loads[-1]) == (str(cores[0]), str(cores[-1]))
        assert os.sched_getaffinity(0) == {cores[-1]}
    assert sorted(os.sched_getaffinity(0)) == cores


def test_a_quota_is_that_of_a_group_the_system_is_in() -> None:
    """The command runs in it, and the group is removed behind it."""
    command = ["sh", "-c", 'cat /proc/self/cgroup; for file in cpu.max cpu.cfs_quota_us; do cat "$0/$file"; done']
    try:
        with taken(SHARES["half"]) as (own, loads):
            group = Path(own[-1]).parent
            done = subprocess.run([*own, *command, group], capture_output=True, text=True, check=False)
    except PeerUnavailable as error:
        pytest.skip(str(error))
    assert group.name in done.stdout
    assert done.stdout.splitlines()[-1].split()[0] == "50000"
    assert not group.exists()
    assert loads == ()


def test_neighbours_burn_every_core_until_the_end() -> None:
    """Nothing of them is left."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    with taken(SHARES["neighbours"]):
        assert len(children.read_text().split()) == len(before.split()) + len(os.sched_getaffinity(0))
    assert children.read_text() == before
