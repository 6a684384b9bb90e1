"""The shape of `/api/status`, declared for the API's own description. Handlers do not use it; tests hold both together.

The root that runs the processes describes them, so everything but the version may be left out by a smaller root.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class RingShown(Struct):
    """A worker, as its ring shows it."""

    source: str
    worker_alive: bool
    pid: int | None
    """Of the worker, in its own name space; null for a ring of an earlier version."""
    uptime_s: float | None
    requests: int | None
    in_flight: int | None
    capacity_bytes: int
    used_bytes: int
    pushed: int
    taken: int
    refused: int
    corrupt: int


class CollectorShown(Struct):
    """The process that answers."""

    pid: int
    uptime_s: float


class WriterShown(Struct):
    """The way to the store."""

    waiting_records: int
    oldest_unstored_s: float
    batches: dict[str, int]
    spooled_records: int
    records_escaped: int
    records_quarantined: int
    last_flush_s: float
    is_full: bool


class StoreShown(Struct):
    """Whether the store can be reached."""

    up: bool
    reason: str | None
    """Why not."""


class RetentionShown(Struct):
    """How far retention has come, as of its last look."""

    looked_at_ms: int | UnsetType | None = UNSET
    oldest_ms: int | UnsetType | None = UNSET
    used_bytes: int | UnsetType | None = UNSET
    lag_s: float | UnsetType = UNSET
    rows_purged: int | UnsetType = UNSET


class StatusShown(Struct):
    """The processes, the queues and the store."""

    version: str
    instance: str | UnsetType = UNSET
    uptime_s: float | UnsetType = UNSET
    draining: bool | UnsetType = UNSET
    rings: list[RingShown] | UnsetType = UNSET
    collector: CollectorShown | UnsetType = UNSET
    writer: WriterShown | UnsetType = UNSET
    storage: StoreShown | UnsetType = UNSET
    retention: RetentionShown | UnsetType = UNSET
    configuration: dict[str, Any] | UnsetType = UNSET
    """The settings in force, secrets left out."""
