"""A restart behind sockets that somebody else holds, as systemd does: connections wait, nothing
fails or is lost.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.test_processes import stored
from tests.support.http2_load import Http2Load
from tests.support.load import PAUSE_S, NewConnections, await_more
from tests.support.long import long
from tests.support.sidelog import ROOT, Sidelog

_LAUNCH: Final = """
import os, sys
descriptors, *command = sys.argv[1:]
handed = [int(each) for each in descriptors.split(",")]
for number, fd in enumerate(handed, 3):
    os.dup2(fd, number)
os.environ |= {"LISTEN_FDS": str(len(handed)), "LISTEN_PID": str(os.getpid())}
os.execv(command[0], command)
"""
"""As a service manager does: sockets from descriptor 3 on, and whose they are."""
BACKLOG: Final = 1024


@contextmanager
def activated(sidelog: Sidelog, *more_ports: int) -> Iterator[Sidelog]:
    """Hold the ports of a sidelog, and hand them to each that is started: data, admin, and more."""
    with ExitStack() as held:
        sidelog.inherited = tuple(
            held.enter_context(socket.create_server(("127.0.0.1", port), backlog=BACKLOG)).fileno()
            for port in (sidelog.port, sidelog.admin_port, *more_ports)
        )
        launcher = [sys.executable, "-c", _LAUNCH, ",".join(map(str, sidelog.inherited))]
        sidelog.start_in(ROOT, [*launcher, sys.executable, "-m", "proxy"])
        with sidelog:
            yield sidelog


LONG: Final = (pytest.mark.long, pytest.mark.timeout(3600))


@pytest.mark.parametrize(
    ("workers", "restarts"), [long("1", 1), ("2", 1), pytest.param("2", 20, marks=LONG)]
)
def test_connections_wait_for_a_restart(
    tmp_path: Path, upstream: str, workers: str, restarts: int
) -> None:
    """Whoever comes while nobody is there is answered by the next; every exchange is stored once."""
    with activated(Sidelog(tmp_path / "data", upstream, "--workers", workers)) as sidelog:
        with (
            NewConnections(sidelog.port, 4, pause_s=PAUSE_S) as clients,
            Http2Load(sidelog.port, 2, pause_s=PAUSE_S) as streams,
        ):
            for _ in range(restarts):
                await_more(clients.completed, 40)
                sidelog.stop()
                sidelog.start()
            await_more(clients.completed, 40)
            await_more(streams.completed, 80)

        assert (clients.errors, streams.errors) == ([], [])
        assert "Traceback" not in sidelog.log
        completed = clients.completed + streams.completed
        ledger = stored(sidelog, completed)
        assert ledger["dropped"] == {}
        assert ledger["stored"] == len(completed)
