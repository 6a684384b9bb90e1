"""Where a container's sandbox refuses system calls sidelog goes another way, or says which one it
needs.
"""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_processes import stored
from tests.support.load import PAUSE_S, Load, await_more
from tests.support.long import long
from tests.support.programs import PROGRAM_S
from tests.support.sandbox import NUMBERS
from tests.support.sidelog import ROOT, Sidelog, customized, eventually


def sandboxed(*calls: str) -> list[str]:
    """The beginning of a command line that runs the rest without some system calls."""
    if platform.machine() != "x86_64":
        pytest.skip("system calls are known by their numbers on x86-64 only")
    refused = ",".join(str(NUMBERS[call]) for call in calls)
    return [sys.executable, "-m", "tests.support.sandbox", refused, sys.executable, "-m", "proxy"]


@pytest.mark.parametrize("workers", ["1", long("0")])
def test_without_what_it_can_do_without(tmp_path: Path, upstream: str, workers: str) -> None:
    """No anonymous memory, no eventfd, no inotify, no allocation: files, pipes and zeros take their
    place.
    """
    sidelog = Sidelog(tmp_path / "data", upstream, "--workers", workers)
    sidelog.start_in(ROOT, sandboxed("memfd_create", "eventfd2", "inotify_init1", "fallocate"))
    with sidelog:
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 20)
        assert stored(sidelog, load.completed)["dropped"] == {}
        assert not sidelog.ready_answer()["degraded"]


def test_a_call_it_cannot_do_without_is_named(tmp_path: Path) -> None:
    """Nothing else keeps two sidelogs from one data directory."""
    command = [
        *sandboxed("flock"),
        "serve",
        "--upstream",
        "http://127.0.0.1:9",
        "--data-dir",
        str(tmp_path / "data"),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_S, check=False
    )
    assert done.returncode == 1
    assert "flock is refused" in done.stderr
    assert "Traceback" not in done.stderr


ORPHANS = """
import ctypes, os, sys, time
if {root!r} in sys.orig_argv:
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, as if it were process 1
if {parent!r} in sys.orig_argv:
    for _ in range(3):
        child = os.fork()
        if not child:
            if not os.fork():
                time.sleep(0.5)
                open({trace!r}, "a").write("x")
            os._exit(0)
        os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    ("workers", "root", "parent"),
    [
        ("1", "proxy.supervisor", "proxy.worker"),
        pytest.param("0", "proxy.single", "proxy.single", marks=pytest.mark.long),
    ],
)
def test_orphans_of_others_are_collected(
    tmp_path: Path, upstream: str, workers: str, root: str, parent: str
) -> None:
    """As the first process of a container it inherits them, and leaves none of them in the table of
    processes.
    """
    trace = tmp_path / "trace"
    environ = customized(tmp_path, ORPHANS.format(root=root, parent=parent, trace=str(trace)))
    with Sidelog(tmp_path / "data", upstream, "--workers", workers, environ=environ) as sidelog:
        eventually(lambda: trace.exists() and trace.read_text() == "xxx")
        assert sidelog.process is not None
        children = psutil.Process(sidelog.process.pid).children
        eventually(
            lambda: not [child for child in children() if child.status() == psutil.STATUS_ZOMBIE]
        )
        assert len(children()) == (2 if workers == "1" else 0)


def without_proc() -> list[str]:
    """The beginning of a command line that runs the rest where `/proc` is empty."""
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /proc && exec "$0" "$@"']
    if subprocess.run([*hide, "true"], capture_output=True, check=False).returncode:
        pytest.skip("/proc cannot be hidden")
    return [*hide, sys.executable, "-m", "proxy"]


@pytest.mark.parametrize("has_directory", [True, long(False)])
def test_without_proc_a_live_ring_is_not_taken_for_finished(
    tmp_path: Path, upstream: str, *, has_directory: bool
) -> None:
    """A ring with a name, and one in anonymous memory, are read to their end; nothing is lost."""
    sidelog = Sidelog(tmp_path / "data", upstream)
    program = without_proc()
    if not has_directory:
        program[4] = program[4].replace("exec", "mount -t tmpfs -o ro tmpfs /dev/shm && exec")
    sidelog.start_in(ROOT, program)
    with sidelog, Load(sidelog.port, pause_s=PAUSE_S) as load:
        await_more(load.completed, 60)
        load.stop()
        assert stored(sidelog, load.completed)["dropped"] == {}
        (ring,) = sidelog.api("/api/status")["rings"]
        assert ring["worker_alive"]
        assert sidelog.ready_answer()["rings_unread"] == 0


@pytest.mark.long
def test_a_ring_with_a_damaged_header_is_an_error_of_the_stop(
    tmp_path: Path, upstream: str
) -> None:
    """What it has cannot be read: the exit code is 1, and the log has the number of records."""
    (tmp_path / "rings").mkdir()
    environ = {"SIDELOG_RING__DIRECTORY": str(tmp_path / "rings")}
    with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        (collector,) = sidelog.pids("proxy.collector")
        (ring,) = (tmp_path / "rings").rglob("*.ring")
        with ring.open("r+b") as file:
            file.write(b"damaged!")
        os.kill(collector, signal.SIGKILL)
        eventually(lambda: sidelog.ready_answer().get("rings_unread") == 1)
        with Load(sidelog.port, pause_s=PAUSE_S) as load:
            await_more(load.completed, 40)
        assert sidelog.stop(check=False) == 1
        assert (
            f"unread rings remain, with at least {len(load.completed)} records in them"
            in sidelog.log
        )
