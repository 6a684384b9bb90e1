"""When a system has done all its work, and what sidelog says of its own: only what was stored
counts as measured.

Strategy: a load leaves work behind: records to store, their words to index, their sums. It is over
when the system's processes rest and, for sidelog, its ledger says that nothing waits. The ledger is
only asked once they rest, so that asking is not measured.
"""

import json
import sqlite3
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from bench.macro import measure
from bench.macro.load import LoadFailed
from bench.macro.peers import Peer
from storage.writer.text_indexing import IDLE_S

TIMEOUT_SETTLE_S: Final = 300.0
POLL_S: Final = 0.25
REST_S: Final = IDLE_S + 1.0
"""Longer than any pause between two steps of work that is left."""
RESTING_CPU: Final = 0.15
"""Part of a core that a system takes at most where nothing is to be done: timers, looks at what is
due. A virtual machine may take a millisecond to wake for each.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReading:
    """The ledger at one moment, counted since the data directory was made."""

    received: int
    stored: int
    is_pending: bool
    """Whether records wait, in memory or on disk."""
    dropped: dict[str, int]
    """By reason."""
    balanced: bool
    unindexed: int
    """Records that the index of words does not hold yet: those of a cell that is not full."""
    max_wait_ms: int
    """Of the settings: how long a request may wait for recording."""


def read(peer: Peer) -> LedgerReading:
    """Ask a running sidelog for its ledger."""
    found = _asked(peer, "/api/ledger")
    status = _asked(peer, "/api/status")
    return LedgerReading(
        received=found["received"],
        stored=found["stored"],
        is_pending=bool(found["waiting"] or found["spooled"]),
        dropped=found["dropped"],
        balanced=found["balanced"],
        unindexed=int(status["text_index"]["waiting_records"] or 0),
        # Older trees have none.
        max_wait_ms=status["configuration"]["capture"].get("max_wait_ms", 0),
    )


def wait_settled(peer: Peer) -> tuple[LedgerReading | None, float]:
    """Wait until all work is done; return sidelog's ledger then, and after how many seconds the
    work was over.

    Raises:
        LoadFailed: it is not over after `TIMEOUT_SETTLE_S`.
    """
    begun = time.monotonic()
    looks: list[tuple[float, float]] = []
    """When, and the CPU seconds of all processes then."""

    while (now := time.monotonic()) < begun + TIMEOUT_SETTLE_S:
        looks.append((now, sum(cost.cpu_s for cost in measure.tree(peer.pid))))
        earlier = [look for look in looks if look[0] <= now - REST_S]
        if earlier and looks[-1][1] - earlier[-1][1] < RESTING_CPU * (now - earlier[-1][0]):
            reading = read(peer) if peer.data_directory is not None else None
            if reading is None or not reading.is_pending:
                return reading, earlier[-1][0] - begun

        time.sleep(POLL_S)

    raise LoadFailed(f"{peer.name} is still at work {TIMEOUT_SETTLE_S:g} s after the load")


def longest_wait_ms(peer: Peer) -> int:
    """Return the longest time that a request waited for recording, of those that say so, from the
    SQLite store.
    """
    assert peer.data_directory is not None, "bug: only sidelog has a store"
    with sqlite3.connect(
        f"file:{peer.data_directory / 'sidelog.db'}?mode=ro", uri=True
    ) as connection:
        sql = (
            "SELECT max(json_extract(CAST(data AS TEXT), '$.recording_wait_ms')) FROM records "
            "WHERE data IS NOT NULL"
        )
        return int(connection.execute(sql).fetchone()[0] or 0)


def _asked(peer: Peer, path: str) -> Any:
    assert peer.data_directory is not None, "bug: only sidelog keeps a ledger"
    token = (peer.data_directory / "admin-token").read_text().strip()
    request = urllib.request.Request(
        peer.admin_url + path, headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
