"""What was learned of endpoints outlives the process that learned it."""

from typing import Any

import msgspec
import pytest

from proxy.collector.learned_endpoints import META, LearnedEndpoints
from proxy.settings.model import RouteSettings, Settings, StorageSettings
from storage.aggregates import Top
from storage.errors import StorageUnavailable
from storage.query import Filter
from storage.record import Batch, Entry, Record
from tests.support.filters import make_filter
from tests.support.memory_store import MemoryStorage

SETTINGS = Settings(
    routes=(
        RouteSettings(
            id="shop", upstream="http://127.0.0.1:1", container="a", endpoints=("/carts/{cart}",)
        ),
        RouteSettings(id="blog", upstream="http://127.0.0.1:1", container="b"),
    )
)


def record(path: str, number: int = 0, **more: Any) -> Record:
    made = Record(
        0, bytes([number]) * 16, "i", "exchange", 0, 0, path=path, status=200, route_id="shop"
    )
    return msgspec.structs.replace(made, **more)


async def store(storage: MemoryStorage, learned: LearnedEndpoints, *records: Record) -> None:
    """Name the endpoints of records, and store them."""
    for each in records:
        each.endpoint = learned.endpoints.name(each)
    await storage.commit(Batch("i", [Entry(each, None) for each in records], {}))


def ask(learned: LearnedEndpoints, path: str, route: str = "shop") -> str | None:
    return learned.endpoints.name(record(path, route_id=route))


def ask_many(learned: LearnedEndpoints, route: str = "shop") -> None:
    for number in range(100):
        ask(learned, "/people/" + "".join(chr(97 + int(digit)) for digit in str(number)), route)


async def test_what_was_learned_is_kept_in_the_store() -> None:
    """The next process, and another sidecar of the store, begin with it; nothing is written when
    nothing is new.
    """
    storage = MemoryStorage()
    first = LearnedEndpoints(storage, SETTINGS)
    second = LearnedEndpoints(storage, SETTINGS)
    assert await first.save()
    assert await storage.meta(META) is None
    ask_many(first)
    assert await first.save()
    assert await second.save()
    assert ask(second, "/people/zoe") == "/people/{name}"
    assert ask(second, "/carts/7") == "/carts/{cart}"
    ask(second, "/orders/1")
    assert await second.save()
    ask(first, "/shops")
    assert await first.save()
    kept = await storage.meta(META)
    assert kept is not None
    assert {"/people/{name}", "/orders/{id}", "/shops"} == set(
        msgspec.json.decode(kept)["learned"][0][2]["endpoints"]
    )


@pytest.mark.parametrize("kept", ["{damaged", '{"more":' + "[" * 60_000])
async def test_damage_is_learned_anew(kept: str) -> None:
    """What cannot be read is replaced by what is learned from then on."""
    storage = MemoryStorage()
    await storage.put_meta(META, kept, replace=True)
    learned = LearnedEndpoints(storage, SETTINGS)
    ask(learned, "/orders/1")
    assert await learned.save()
    assert "/orders/{id}" in (await storage.meta(META) or "")


async def test_a_store_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost meanwhile."""
    storage = MemoryStorage()
    learned = LearnedEndpoints(storage, SETTINGS)
    ask(learned, "/orders/1")

    async def fail(name: str) -> str | None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "meta", fail)
        assert not await learned.save()
    assert await learned.save()
    assert await storage.meta(META) is not None


async def test_names_of_outgoing_calls_outlive_an_erasure_of_others() -> None:
    """They begin with a host, by which they are found again."""
    storage = MemoryStorage()
    learned = LearnedEndpoints(storage, SETTINGS)
    away: dict[str, Any] = {"host": "a.test", "route_id": "egress", "direction": "out"}
    await store(storage, learned, record("/patients/smith", **away), record("/orders/1", 1, **away))
    assert await learned.save()
    await storage.erase(make_filter(path_contains="smith"))
    await learned.forget()
    [(key, _, kept)] = learned.endpoints.take_changes()
    assert (key, set(kept.endpoints)) == ("//a.test", {"/orders/{id}"})


async def test_names_of_erased_records_are_forgotten() -> None:
    """Here, in the store, and in another sidecar, which does not write back what it still knows."""
    storage = MemoryStorage()
    first = LearnedEndpoints(storage, SETTINGS)
    second = LearnedEndpoints(storage, SETTINGS)
    await store(storage, first, record("/patients/smith"), record("/orders/1", 1))
    assert await first.save()
    assert await second.save()
    assert "/patients/smith" in (await storage.meta(META) or "")
    await storage.erase(make_filter(path_contains="smith"))
    await first.forget()
    kept = await storage.meta(META) or ""
    assert "smith" not in kept
    assert "/orders/{id}" in kept

    # Of what is not stored yet it may forget the name, which the next request teaches again.
    for _ in range(2):
        ask(second, "/shops")
        assert await second.save()
        kept = await storage.meta(META) or ""
        assert "smith" not in kept

    assert "/shops" in kept


async def test_who_shows_names_hears_of_erasures_by_any_sidecar() -> None:
    """Of those here at once, of another one's at the next look, though nothing was learned
    meanwhile.
    """
    storage = MemoryStorage()
    shared = msgspec.structs.replace(
        SETTINGS, storage=StorageSettings(url="postgresql://db/sidelog")
    )
    heard: list[str] = []
    first = LearnedEndpoints(storage, shared, lambda: heard.append("first"))
    second = LearnedEndpoints(storage, shared, lambda: heard.append("second"))
    await store(storage, first, record("/orders/1"))
    assert await first.save()
    assert await second.save()
    assert heard == []
    await first.forget()
    assert heard == ["first"]
    assert await second.save()
    assert heard == ["first", "second"]
    assert await second.save()
    assert len(heard) == 2


async def test_what_could_not_be_forgotten_is_forgotten_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that is away for a moment after an erasure is asked again."""
    storage = MemoryStorage()
    learned = LearnedEndpoints(storage, SETTINGS)
    ask(learned, "/patients/smith")
    assert await learned.save()

    async def fail(filter: Filter, by: str) -> Top:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(storage, "top", fail)
        await learned.forget()
        assert "smith" in (await storage.meta(META) or "")

    assert await learned.save()
    assert "smith" not in (await storage.meta(META) or "")
