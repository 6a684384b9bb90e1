"""sidelog's own accounting, read from its admin port: nothing counts as measured that was not stored."""

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from bench.macro.peers import Peer

TIMEOUT_DRAIN_S: Final = 60.0
POLL_S: Final = 0.05
STANDSTILL_S: Final = 12.0
"""The index of words says anew how far it is every ten seconds, or when it has nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReading:
    """The ledger at one moment, counted since the data directory was made."""

    received: int
    stored: int
    spooled: int
    waiting: int
    dropped: int
    """Sum over all reasons."""
    balanced: bool


def read(peer: Peer) -> LedgerReading:
    """Ask a running sidelog for its ledger."""
    found = _asked(peer, "/api/ledger")
    return LedgerReading(
        received=found["received"],
        stored=found["stored"],
        spooled=found["spooled"],
        waiting=found["waiting"],
        dropped=sum(found["dropped"].values()),
        balanced=found["balanced"],
    )


def wait_indexed(peer: Peer) -> tuple[int, int, float]:
    """Wait until the index of words does not come closer to the newest record.

    Returns:
        How many records it was behind, how many it still is, those of a cell that is not full, and the seconds it took.
    """
    begun = changed = time.monotonic()
    first = latest = _unindexed(peer)
    while (now := time.monotonic()) < min(changed + STANDSTILL_S, begun + TIMEOUT_DRAIN_S):
        time.sleep(POLL_S)
        if (waiting := _unindexed(peer)) < latest:
            latest, changed = waiting, now
    return first, latest, changed - begun


def _unindexed(peer: Peer) -> int:
    return int(_asked(peer, "/api/status")["text_index"]["waiting_records"] or 0)


def _asked(peer: Peer, path: str) -> Any:
    assert peer.data_directory is not None, "bug: only sidelog keeps a ledger"
    token = (peer.data_directory / "admin-token").read_text().strip()
    request = urllib.request.Request(peer.admin_url + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def wait_drained(peer: Peer) -> tuple[LedgerReading, float]:
    """Wait until nothing is waiting; return the ledger then, and the seconds it took (at most `TIMEOUT_DRAIN_S`)."""
    begun = time.monotonic()
    while True:
        reading = read(peer)
        elapsed = time.monotonic() - begun
        if (reading.waiting == 0 and reading.spooled == 0) or elapsed > TIMEOUT_DRAIN_S:
            return reading, elapsed
        time.sleep(POLL_S)
