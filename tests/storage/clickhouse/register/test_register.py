"""Entries change one after the other, each change wholly, whoever makes them, and whatever breaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from storage.clickhouse.address import Address
from storage.clickhouse.link import Link
from storage.clickhouse.register.register import Changes, Entries, Register
from storage.errors import StorageRejected, StorageUnavailable
from tests.storage.clickhouse.links import DroppingLink
from tests.support.clickhouse import Server, own_server


class WaywardLink(Link):
    """A link on which a statement goes wrong: its answer is lost, it comes late, or does not come at all."""

    is_lossy = False
    is_late = False
    is_cut_at = ""
    """Beginning of the statement that fails unsent."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.late: list[tuple[str, Sequence[Any]]] = []

    async def execute(
        self, sql: str, parameters: Sequence[Any] = (), *, limit_s: float, settings: dict[str, str] | None = None
    ) -> None:
        """See `Link.execute`."""
        if not sql.startswith("CREATE VIEW") or not (self.is_late or self.is_lossy):
            await super().execute(sql, parameters, limit_s=limit_s, settings=settings)
            return
        if self.is_late:
            self.late.append((sql, parameters))
        else:
            await super().execute(sql, parameters, limit_s=limit_s, settings=settings)
        raise StorageUnavailable("no answer")

    async def insert(self, table: str, *arguments: Any, **options: Any) -> None:
        """See `Link.insert`."""
        if self.is_cut_at == table:
            raise StorageUnavailable("cut")
        await super().insert(table, *arguments, **options)


@contextlib.asynccontextmanager
async def wayward(link: Link) -> AsyncIterator[tuple[WaywardLink, Register]]:
    """Another program at the database of a link, with such a link."""
    own = WaywardLink(link.address)
    try:
        yield own, Register(own)
    finally:
        await own.close()


def put(**changes: str | None) -> Any:
    """Decide to make some changes, whatever there is."""
    return lambda entries: (changes, None)


def add_one(entries: Entries) -> tuple[Changes, int]:
    """Raise a counter."""
    count = int(entries.get("count", 0)) + 1
    return {"count": str(count)}, count


async def changes_of(link: Link) -> list[str]:
    """The changes that are kept as views."""
    rows = await link.fetch("SELECT name FROM system.tables WHERE database = currentDatabase()", limit_s=30)
    return sorted(name for (name,) in rows if name.startswith("change_"))


async def test_entries_are_changed_together(register: Register) -> None:
    """A change may hold several names; those of another owner or kind are apart."""
    await register.change("k", "o", put(a="1", b="2"))
    await register.change("k", "other", put(a="9"))
    await register.change("k", "o", put(a=None, c="3"))
    assert await register.entries("k", "o") == {"b": "2", "c": "3"}
    assert await register.entries("k", "other") == {"a": "9"}
    assert await register.entries("k") == await register.entries("l", "o") == {}
    assert (await register.version("k"), await register.version("l")) == (3, 0)


@pytest.mark.parametrize(
    "text", ["", "\0", "a'b\"c`d", "\\", "\\'\\x41\\n", "\n\r\t", "$1 {} %s --", "Zürich ☃ 🦊", "NULL"]
)
async def test_any_text_comes_back(register: Register, text: str) -> None:
    """As an owner, a name and a content."""
    await register.change("k", text, lambda entries: ({text: text}, None))
    assert await register.entries("k", text) == {text: text}


async def test_text_that_is_not_unicode_is_refused(register: Register) -> None:
    """Nothing is left behind by it."""
    with pytest.raises(StorageRejected):
        await register.change("k", "", put(a="\udc80"))
    assert await register.version("k") == 0
    await register.change("k", "", put(a="1"))
    assert await register.entries("k") == {"a": "1"}


async def test_many_change_the_same(register: Register, link: Link) -> None:
    """No change is lost, none is made twice, and one view is left of them."""
    async with contextlib.AsyncExitStack() as links:
        others = [(await links.enter_async_context(wayward(link)))[1] for _ in range(3)]

        async def count(own: Register) -> list[int]:
            return [await own.change("k", "", add_one) for _ in range(6)]

        async with asyncio.TaskGroup() as tasks:
            counting = [tasks.create_task(count(own), name="count") for own in (register, *others)]
    assert sorted(number for task in counting for number in task.result()) == list(range(1, 25))
    assert await register.entries("k") == {"count": "24"}
    assert (await changes_of(link))[-1:] == ["change_24"]
    assert await register.version("k") == 24


async def test_a_change_while_tables_are_dropped(register: Register, link: Link) -> None:
    """It was made, and its author is told so, though the server refused to name older changes at first."""
    async with contextlib.AsyncExitStack() as links:
        own = DroppingLink(link.address)
        links.push_async_callback(own.close)
        assert await Register(own).change("k", "", add_one) == 1
        own.refused.clear()
        assert await Register(own).change("k", "", add_one) == 2
    assert await changes_of(link) == ["change_2"]


async def test_a_change_whose_author_is_gone(register: Register, link: Link) -> None:
    """One that was made and not appended is appended by whoever comes next, a reader of the version included."""
    async with wayward(link) as (own, theirs):
        own.is_cut_at = "register"
        with pytest.raises(StorageUnavailable):
            await theirs.change("k", "", add_one)
    assert await register.entries("k") == {}
    assert await register.version("k") == 1
    assert await register.entries("k") == {"count": "1"}
    assert await register.change("k", "", add_one) == 2


async def test_an_answer_that_was_lost(register: Register, link: Link) -> None:
    """Such a change is there, once."""
    async with wayward(link) as (own, theirs):
        own.is_lossy = True
        with pytest.raises(StorageUnavailable):
            await theirs.change("k", "", add_one)
        own.is_lossy = False
        assert await theirs.change("k", "", add_one) == 2
    assert await register.entries("k") == {"count": "2"}


async def test_a_change_that_comes_late_is_void(register: Register, link: Link) -> None:
    """Its number was another's, and is gone: it counts for nobody, and does not stay."""
    async with wayward(link) as (own, theirs):
        own.is_late = True
        with pytest.raises(StorageUnavailable):
            await theirs.change("k", "", put(a="late"))
        for number in range(3):
            await register.change("k", "", put(a=str(number)))
        for sql, parameters in own.late:
            await link.execute(sql, parameters, limit_s=30)
    assert await changes_of(link) == ["change_1", "change_3"]
    assert await register.entries("k") == {"a": "2"}
    await register.change("k", "", put(b="x"))
    assert await register.entries("k") == {"a": "2", "b": "x"}
    assert await changes_of(link) == ["change_4"]


async def test_who_is_slow_decides_anew(register: Register) -> None:
    """What was made of entries that others have changed since is not kept, though its number is free again."""
    append, is_overtaken = register._append, False

    async def late_append(version: int, change: Any) -> bool:
        nonlocal is_overtaken
        if not is_overtaken:
            is_overtaken = True
            for _ in range(3):
                await register.change("k", "", add_one)
        return await append(version, change)

    register._append = late_append  # type: ignore[method-assign]
    assert await register.change("k", "", add_one) == 4
    assert await register.entries("k") == {"count": "4"}


async def test_what_is_superseded_goes(register: Register, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old rows of a name that has newer ones are deleted; entries, and the number of changes, stay."""
    monkeypatch.setattr("storage.clickhouse.register.register._THIN_EVERY", 10)
    monkeypatch.setattr("storage.clickhouse.register.register._KEPT_CHANGES", 5)
    await register.change("k", "", put(a="kept", b="gone"))
    await register.change("k", "", put(b=None))
    for _ in range(8):
        await register.change("k", "", add_one)
    # The second name is still said to be gone, by one row; the next time not even that.
    await rows_left(link, 1 + 1 + 6)
    for _ in range(10):
        await register.change("k", "", add_one)
    await rows_left(link, 1 + 6)
    assert await register.entries("k") == {"a": "kept", "count": "18"}
    assert await register.version("k") == 20


async def rows_left(link: Link, wanted: int) -> None:
    """Wait until the server has deleted what it was told to."""
    async with asyncio.timeout(30):
        while await link.fetch("SELECT count() FROM register", limit_s=30) != [(wanted,)]:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.02)


async def test_the_greatest_mark_counts(register: Register) -> None:
    """In whatever order they come; a kind's are its own."""
    for value in (5, 3, 7, 6):
        await register.mark("k", {"a": value, "b": -value})
    await register.mark("l", {"a": 99})
    await register.mark("k", {})
    assert await register.marks("k") == {"a": 7, "b": -3}


async def test_a_server_that_is_killed_again_and_again(engine: Server) -> None:
    """Every change that was answered is there; one that was not is there wholly, or not at all."""
    with own_server(engine.engine) as own:
        async with contextlib.AsyncExitStack() as stack:
            link = Link(own.address(own.database()))
            stack.push_async_callback(link.close)
            register = Register(link)
            await register.create()
            async with asyncio.TaskGroup() as tasks:
                counting = tasks.create_task(_count_up(register, 40), name="count")
                for kills in range(4):
                    await asyncio.wait([counting], timeout=0.1 + 0.1 * kills)
                    own.kill()
                    own.start()
            answered, tried = counting.result()
            entries = await _at_last(lambda: register.change("k", "", lambda entries: ({"end": "1"}, dict(entries))))
            assert answered <= int(entries["count"]) <= tried
            assert entries["count"] == entries["same"]


async def _count_up(register: Register, answers: int) -> tuple[int, int]:
    """Raise two counters until so many answers came; returns them, and how often it was tried."""
    answered = tried = 0
    async with asyncio.timeout(60):
        while answered < answers:
            tried += 1
            try:
                await register.change("k", "", _add_to_both)
                answered += 1
            except StorageUnavailable:
                await asyncio.sleep(0.01)
    return answered, tried


def _add_to_both(entries: Entries) -> tuple[Changes, None]:
    changes, _ = add_one(entries)
    return {**changes, "same": changes["count"]}, None


async def _at_last(work: Any) -> Any:
    async with asyncio.timeout(60):
        while True:
            try:
                return await work()
            except StorageUnavailable:
                await asyncio.sleep(0.05)
