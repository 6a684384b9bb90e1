"""Keeping the store within its limits: retention, wired to the settings, the log of events, and the metrics."""

from proxy.drain import Drain
from proxy.settings import Settings
from storage.base import Storage
from storage.retention import Floors, Limits, Retention


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
