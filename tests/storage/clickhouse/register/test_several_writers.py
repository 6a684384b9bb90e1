"""What the contract says of keys, views and values holds for sidecars that change them at the same moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from storage.clickhouse.link import Link
from storage.clickhouse.register import keys, meta, views
from storage.clickhouse.register.register import Register
from storage.errors import StorageRejected
from storage.keys import ApiKey, KeyChanges
from storage.search.view import View

T = TypeVar("T")
_WRITERS = 3


@pytest.fixture
async def writers(register: Register, link: Link) -> AsyncIterator[list[Register]]:
    """Sidecars at one store, each with connections of its own."""
    async with contextlib.AsyncExitStack() as stack:
        links = [Link(link.address) for _ in range(_WRITERS)]
        for each in links:
            stack.push_async_callback(each.close)
        yield [Register(each) for each in links]


def key(key_id: str, secret: bytes = b"s") -> ApiKey:
    """Make a key."""
    return ApiKey(id=key_id, name=key_id, last4="abcd", secret_sha256=secret * 32, created_at_us=1)


async def at_once(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all at the same time."""
    async with asyncio.TaskGroup() as tasks:
        doing = [tasks.create_task(work, name=f"writer {place}") for place, work in enumerate(works)]
    return [task.result() for task in doing]


async def is_stored(work: Coroutine[Any, Any, None]) -> bool:
    """Whether something is not refused."""
    try:
        await work
    except StorageRejected:
        return False
    return True


async def test_one_of_many_keys_of_a_secret_is_stored(writers: list[Register]) -> None:
    """Those who come second are refused."""
    creations = [is_stored(keys.create_key(own, key(f"k{place}"))) for place, own in enumerate(writers)]
    assert sorted(await at_once(creations)) == [False] * (_WRITERS - 1) + [True]
    assert len(await keys.read_keys(writers[0])) == 1


async def test_a_key_keeps_what_each_has_changed(writers: list[Register]) -> None:
    """Members that different sidecars change at once have all changed."""
    await keys.create_key(writers[0], key("k"))
    changes = (KeyChanges(name="n"), KeyChanges(project="p"), KeyChanges(user_id="u"))
    await at_once([keys.update_key(own, "k", change) for own, change in zip(writers, changes, strict=True)])
    (kept,) = await keys.read_keys(writers[0])
    assert (kept.name, kept.project, kept.user_id) == ("n", "p", "u")
    assert await keys.key_version(writers[1]) == 4


async def test_a_key_is_deleted_once(writers: list[Register]) -> None:
    """One sidecar is told that it did; a use that is noted meanwhile stays."""
    await keys.create_key(writers[0], key("k"))
    await keys.touch_keys(writers[1], {"k": 7})
    results = await at_once([keys.delete_key(own, "k", 9) for own in writers])
    assert [result is not None for result in results].count(True) == 1
    (kept,) = await keys.read_keys(writers[0])
    assert (kept.deleted_at_us, kept.last_used_at_us, kept.secret_sha256) == (9, 7, None)


async def test_all_have_the_value_of_the_first(writers: list[Register]) -> None:
    """Without `replace` whoever is late is told what is kept."""
    results = await at_once(
        [meta.put_meta(own, "secret", f"{place}", replace=False) for place, own in enumerate(writers)]
    )
    assert results == [await meta.read_meta(writers[0], "secret")] * _WRITERS


async def test_one_has_a_new_name(writers: list[Register]) -> None:
    """Of those who give their view the same new name at once; the others keep theirs."""
    for place, own in enumerate(writers):
        assert await views.put_view(own, "", View(name=f"v{place}"), None) == "stored"
    results = await at_once(
        [views.put_view(own, "", View(name="new"), f"v{place}") for place, own in enumerate(writers)]
    )
    assert sorted(map(str, results)) == ["stored", *["taken"] * (_WRITERS - 1)]
    assert len(await views.read_views(writers[0], "")) == _WRITERS
