"""What stands beside the store: retention, which keeps it within its limits, and the spool, for when it is away.

Wires both to the settings, the data directory and the log of events.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxy.collector.drain import Drain
from proxy.settings.model import Settings
from storage.base import Storage
from storage.ledger import SOURCE_SPOOL
from storage.record import Position
from storage.writer.retention import Floors, Limits, Retention
from storage.writer.spool import SUFFIX, Spool

SPOOL_DIRECTORY: Final = "spool"
"""In the data directory."""


def make_retention(settings: Settings, storage: Storage, drain: Drain) -> Retention:
    """Make the task that purges what is too old or too much, and writes an event each time it has."""
    kept = settings.retention

    def on_purged(rows: int, floors: Floors) -> None:
        drain.add_event(
            "retention",
            {"rows": rows, "purgedBeforeMs": floors.purge_us // 1000, "bodiesBeforeMs": floors.body_us // 1000},
        )

    limits = Limits.of(kept.max_age_days, kept.body_max_age_days, kept.max_bytes)
    return Retention(storage, limits, on_purged)


def describe_retention(retention: Retention) -> dict[str, object]:
    """Describe how far retention has come, as of its last look; times are Unix ms, None before the first one."""
    state, looked_at_us = retention.state, retention.looked_at_us
    oldest_us = None if state is None else state.oldest_us
    return {
        "looked_at_ms": None if looked_at_us is None else looked_at_us // 1000,
        "oldest_ms": None if oldest_us is None else oldest_us // 1000,
        "used_bytes": None if state is None else state.used_bytes,
        "lag_s": retention.lag_s,
        "rows_purged": retention.rows_purged,
    }


def load_spool(settings: Settings, data_dir: Path, committed: Mapping[bytes, Position]) -> Spool | None:
    """Read what waits in the spool, behind what the store has of it; None with durability `fast`, which has none.

    A spool that an earlier `safe` left is read too: its records are to be stored.
    """
    directory = data_dir / SPOOL_DIRECTORY
    if settings.storage.durability != "safe" and not any(directory.glob("*" + SUFFIX)):
        return None
    spool = Spool(directory, settings.spool.max_bytes)
    spool.load(committed.get(SOURCE_SPOOL, Position()))
    return spool
