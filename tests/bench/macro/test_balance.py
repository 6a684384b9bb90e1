"""How evenly workers are loaded: what is read of /proc, and what is made of it."""

import math
import os
import socket
from pathlib import Path

from bench.macro.balance import Balance, established, held, markdown, unevenness


def test_a_processs_connections_of_a_port_are_counted() -> None:
    """Those that are established and its own, not its listener, nor the clients' ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        accepted = [listener.accept()[0] for _ in clients]
        inodes = established(Path("/proc/net/tcp").read_text(), port)
        assert (len(inodes), held(os.getpid(), inodes)) == (3, 3)
        assert held(os.getpid(), established(Path("/proc/net/tcp").read_text(), 1)) == 0
        for each in (*clients, *accepted):
            each.close()


def test_unevenness_is_the_largest_share_by_the_mean() -> None:
    """One is even; nothing at all is neither even nor uneven."""
    assert unevenness([16, 16, 16, 16]) == 1.0
    assert unevenness([24, 8]) == 1.5
    assert math.isnan(unevenness([0.0]))


def test_the_table_has_a_row_per_load() -> None:
    """Connections and CPU side by side."""
    text = markdown([Balance(workers=2, connections=[40, 24], cpu_s=[1.0, 0.5])])
    assert text.splitlines()[-1] == "| 2 | 40 24 | 1.25 | 1.00 0.50 | 1.33 |"
