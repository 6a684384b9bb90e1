"""A log that nobody reads costs lines, never a request, a restart or a stop."""

import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.support.load import PAUSE_S, Load, await_more
from tests.support.long import long
from tests.support.pipes import full_pipe
from tests.support.sidelog import Sidelog, await_pids, eventually


@pytest.mark.parametrize("workers", [long("0"), "2"])
def test_nothing_waits_for_a_reader(tmp_path: Path, upstream: str, workers: str) -> None:
    """Start, traffic, signals, deaths and the stop in order, with a pipe that is full from the
    first line on.
    """
    read_fd, write_fd = full_pipe()
    sidelog = Sidelog(tmp_path / "data", upstream, "--workers", workers)
    sidelog.stderr = write_fd

    with sidelog, Load(sidelog.port, pause_s=PAUSE_S) as load:
        await_more(load.completed, 20)
        assert sidelog.process is not None
        for _ in range(3):
            sidelog.process.send_signal(signal.SIGUSR1)
        for role in ("proxy.worker", "proxy.collector") if workers != "0" else ():
            os.kill(await_pids(sidelog, role)[0], signal.SIGKILL)
            await_more(load.completed, 20)
        eventually(sidelog.is_ready)
        load.stop()
        sidelog.settled_ledger()
        assert sidelog.stop() == 0

    for fd in (read_fd, write_fd):
        os.close(fd)


def test_lines_that_were_lost_are_counted(tmp_path: Path, upstream: str) -> None:
    """Nobody is there to read the pipe: each line of each process is in the metrics."""
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    sidelog = Sidelog(tmp_path / "data", upstream)
    sidelog.stderr = write_fd

    with sidelog:
        os.kill(await_pids(sidelog, "proxy.worker")[0], signal.SIGKILL)  # the supervisor says so

        def lost() -> bool:
            with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60) as response:
                text = response.read().decode()
            return any(
                line.startswith('sidelog_log_lines_dropped_total{process="supervisor"}')
                and not line.endswith(" 0.0")
                for line in text.splitlines()
            )

        eventually(lost)
        assert sidelog.stop() == 0

    os.close(write_fd)
