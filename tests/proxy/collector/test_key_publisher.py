"""Keys on their way from the store to workers and records, and their uses on the way back."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from proxy.collector import key_publisher
from proxy.collector.key_publisher import KeyPublisher
from proxy.collector.rings.sources import Sources
from proxy.enrich.attribution import KeyIndex
from proxy.ring.key_snapshot import SNAPSHOT_FILE, read_snapshot
from proxy.ring.segment_layout import KEYS_GENERATION
from storage.errors import StorageUnavailable
from storage.keys import ApiKey, KeyChanges
from tests.support.memory_store import MemoryStorage
from tests.support.rings import RingWorker

KEY = ApiKey(
    id="01920000-0000-7000-8000-000000000001", name="n", last4="aaaa", secret_sha256=bytes(32)
)


class Store(MemoryStorage):
    """A store that can be away, and counts how often its keys are read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.reads = 0

    async def key_version(self) -> int:
        """Answer, or be away."""
        if self.is_away:
            raise StorageUnavailable("away")
        return await super().key_version()

    async def keys(self) -> list[ApiKey]:
        """Count."""
        self.reads += 1
        return await super().keys()

    async def touch_keys(self, uses: Mapping[str, int]) -> None:
        """Take uses, or be away."""
        if self.is_away:
            raise StorageUnavailable("away")
        await super().touch_keys(uses)


class World:
    """A publisher over a store, with one worker's ring attached."""

    def __init__(self, directory: Path) -> None:
        (directory / "rings").mkdir()
        self.worker = RingWorker(directory / "rings")
        self.sources = Sources(directory / "rings", {})
        self.store, self.book, self.directory = Store(), KeyIndex(), directory
        self.publisher = KeyPublisher(self.store, directory, self.sources.attached, self.book)
        self.sources.subscribe(on_found=self.publisher.announce)
        self.sources.find()

    @property
    def generation(self) -> int:
        """What the worker sees."""
        return self.worker.segment.cells[KEYS_GENERATION]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world whose mappings are closed at the end."""
    made = World(tmp_path)
    yield made
    made.sources.close()
    made.worker.die()


async def changed(world: World, before: int) -> int:
    """Wait until a worker sees another number, and return it."""
    while world.generation == before:  # noqa: ASYNC110 -- shared memory sends no event
        await asyncio.sleep(0.01)
    return world.generation


async def test_a_change_is_published_once(tmp_path: Path, world: World) -> None:
    """File first, then the number; without a change nothing is read or written again."""
    assert world.generation == 0
    await world.publisher.refresh()
    first = world.generation
    assert first > 0
    assert read_snapshot(tmp_path) == {}
    await world.publisher.refresh()
    assert (world.generation, world.store.reads) == (first, 1)
    await world.store.create_key(KEY)
    await world.publisher.refresh()
    assert world.generation > first
    assert list(read_snapshot(tmp_path)) == [bytes(32)]
    assert world.book.get(bytes.fromhex(KEY.id.replace("-", ""))) == KEY


async def test_a_worker_that_comes_later_is_told(tmp_path: Path, world: World) -> None:
    """Its ring is new and knows no number yet."""
    await world.publisher.refresh()
    later = RingWorker(tmp_path / "rings")
    world.sources.find()
    assert later.segment.cells[KEYS_GENERATION] == world.generation
    later.die()


async def test_a_number_is_never_given_twice(tmp_path: Path, world: World) -> None:
    """A collector that follows another is above it, so workers see its snapshot as new."""
    await world.publisher.refresh()
    first = world.generation
    follower = KeyPublisher(world.store, tmp_path, world.sources.attached, KeyIndex())
    await follower.refresh()
    assert world.generation > first


async def test_a_store_that_is_away_changes_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The keys that are known stay in force; it is said once, and made good later."""
    await world.publisher.refresh()
    before = world.generation
    world.store.is_away = True
    for _ in range(3):
        await world.publisher.refresh()
    assert world.generation == before
    assert sum("cannot be published" in message for message in caplog.messages) == 1
    world.store.is_away = False
    await world.store.create_key(KEY)
    await world.publisher.refresh()
    assert world.generation > before


async def test_a_store_that_is_being_opened_is_no_error(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start does not wait for it; that there are no keys yet is known, and not complained of."""
    monkeypatch.setattr(key_publisher, "OPENING_S", 60.0)
    world.store.is_away = True
    await world.publisher.refresh()
    assert (world.publisher.reason, caplog.messages) == ("away", [])
    world.store.is_away = False
    await world.publisher.refresh()
    assert (world.publisher.reason, caplog.messages) == ("", [])


async def test_a_store_that_does_not_come_is_an_error(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, although nothing was published before."""
    monkeypatch.setattr(key_publisher, "OPENING_S", 0.0)
    world.store.is_away = True
    for _ in range(3):
        await world.publisher.refresh()
    assert caplog.messages == ["the keys cannot be published, workers keep the current ones: away"]


async def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path, world: World) -> None:
    """Workers are not told of a snapshot that is not there."""
    (tmp_path / SNAPSHOT_FILE).mkdir()
    await world.publisher.refresh()
    assert world.generation == 0
    (tmp_path / SNAPSHOT_FILE).rmdir()
    await world.publisher.refresh()
    assert world.generation > 0


async def test_uses_are_stored_together_and_kept_when_the_store_is_away(world: World) -> None:
    """No write per call; newer uses that come meanwhile win."""
    await world.store.create_key(KEY)
    await world.publisher.flush_uses()
    world.book.note_use(KEY.id, 5)
    world.book.note_use(KEY.id, 8)
    world.store.is_away = True
    await world.publisher.flush_uses()
    world.book.note_use(KEY.id, 7)
    world.store.is_away = False
    await world.publisher.flush_uses()
    assert (await world.store.keys())[0].last_used_at_us == 8


async def test_it_follows_changes_that_others_make(tmp_path: Path, world: World) -> None:
    """Another sidecar of the same store says nothing; the version does."""
    await world.store.create_key(KEY)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(world.publisher.run(), name="keys")
        async with asyncio.timeout(60):
            before = await changed(world, 0)
            await world.store.update_key(KEY.id, KeyChanges(disabled=True))
            await changed(world, before)
        running.cancel()

    assert read_snapshot(tmp_path)[bytes(32)].disabled
