"""The spool and retention as the settings ask for them."""

from pathlib import Path

import pytest

from proxy.collector.retention import describe_retention, load_spool, make_retention
from proxy.settings.model import RetentionSettings, Settings, SpoolSettings, StorageSettings
from storage.ledger import SOURCE_SPOOL
from storage.memory import MemoryStorage
from storage.record import Batch, Entry, Position, now_us
from storage.writer.spool import Spool
from tests.storage.samples import make_record

DAY_US = 86_400_000_000


class Events:
    """Takes the events that a drain would write."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, object]]] = []

    def add_event(self, name: str, data: dict[str, object]) -> None:
        """Note an event."""
        self.seen.append((name, data))


def settings(**storage: str) -> Settings:
    """Make settings with a small spool."""
    return Settings(storage=StorageSettings(**storage), spool=SpoolSettings(max_bytes=8 << 20))  # type: ignore[arg-type]


def test_safe_has_a_spool_and_fast_has_none(tmp_path: Path) -> None:
    """With `fast` there is no spool, except to store what an earlier `safe` left in it."""
    spool = load_spool(settings(durability="safe"), tmp_path, {})
    assert spool is not None
    assert spool.segment_bytes == 2 << 20
    assert load_spool(settings(durability="fast"), tmp_path, {}) is None
    batch = Batch("sidecar-1", [Entry(make_record())])
    spool.admit(spool.write(batch, opened_at_us=1, is_doubtful=False))
    spool.close()
    left = load_spool(settings(durability="fast"), tmp_path, {})
    assert left is not None
    assert left.pending_records == 1


def test_what_the_store_has_is_passed_over(tmp_path: Path) -> None:
    """The spool's position in the store tells what was replayed."""
    spool = Spool(tmp_path / "spool", 8 << 20)
    for _ in range(2):
        batch = Batch("sidecar-1", [Entry(make_record())])
        spool.admit(spool.write(batch, opened_at_us=1, is_doubtful=False))
    spool.close()
    again = load_spool(settings(), tmp_path, {SOURCE_SPOOL: Position(offset=1, taken=1)})
    assert again is not None
    assert again.pending_records == 1


@pytest.mark.parametrize(("max_age_days", "left"), [(2.0, 1), (0.0, 2)])
async def test_retention_is_told_as_an_event(max_age_days: float, left: int) -> None:
    """What is older than the setting goes, and the log says how much and until when; 0 keeps everything."""
    events = Events()
    configured = Settings(retention=RetentionSettings(max_age_days=max_age_days, body_max_age_days=0, max_bytes=0))
    async with MemoryStorage() as store:
        old, new = make_record(started_at_us=now_us() - 3 * DAY_US), make_record(started_at_us=now_us())
        await store.commit(Batch("sidecar-1", [Entry(old), Entry(new)]))
        retention = make_retention(configured, store, events)  # type: ignore[arg-type]
        assert describe_retention(retention)["looked_at_ms"] is None
        await retention.tidy()
        shown = describe_retention(retention)
        assert shown["oldest_ms"] == (new if left == 1 else old).started_at_us // 1000
        assert (shown["rows_purged"], shown["lag_s"], shown["used_bytes"]) == (2 - left, 0.0, 0)
        assert (await store.info()).rows == left
    if left == 2:
        assert events.seen == []
    else:
        ((name, data),) = events.seen
        assert (name, data["rows"]) == ("retention", 1)
        assert isinstance(data["purgedBeforeMs"], int)
        assert data["purgedBeforeMs"] % 3_600_000 == 0
