"""Views in every store: what `storage/base.py` says about them."""

from pathlib import Path

from storage.base import Storage
from storage.search.view import MAX_VIEWS, View
from tests.contract.backends import Backend

FULL = View(
    name="Zürich \N{SNOWMAN} \\u0000", query='status:5xx "a\\b"', columns=("status", "body.a"), since="24h",
    until="2026-01-02T00:00:00Z", order="asc", group_by="header.x", changed_at_us=7,
)  # fmt: skip


async def test_a_view_comes_back_as_it_was_saved(store: Storage) -> None:
    """All its members, in the order of the names, and saved again it is replaced."""
    plain = View(name="a")
    assert await store.put_view("", FULL) == await store.put_view("", plain) == "stored"
    assert await store.views("") == [FULL, plain]
    changed = View(name="a", query="status:404")
    assert await store.put_view("", changed) == "stored"
    assert await store.views("") == [FULL, changed]


async def test_a_scope_sees_its_own_only(store: Storage) -> None:
    """Names are unique within a scope; what one does with its own changes nobody else's."""
    await store.put_view("one", View(name="a", query="x"))
    await store.put_view("other", View(name="a", query="y"))
    assert not await store.delete_view("third", "a")
    assert await store.delete_view("other", "a")
    assert not await store.delete_view("other", "a")
    assert [view.query for view in await store.views("one")] == ["x"]
    assert await store.views("other") == await store.views("third") == []


async def test_a_view_can_have_another_name(store: Storage) -> None:
    """One that is free; where it is another's, or there is nothing to be named, nothing changes."""
    await store.put_view("", View(name="a", query="x"))
    await store.put_view("", View(name="b"))
    assert await store.put_view("", View(name="b", query="x"), "a") == "taken"
    assert await store.put_view("", View(name="c"), "nobody") == "missing"
    assert [view.name for view in await store.views("")] == ["a", "b"]
    assert await store.put_view("", View(name="c", query="x"), "a") == "stored"
    assert await store.put_view("", View(name="b", query="z"), "b") == "stored"
    assert [(view.name, view.query) for view in await store.views("")] == [("b", "z"), ("c", "x")]


async def test_a_scope_has_so_many(store: Storage) -> None:
    """One more is refused; replacing and naming anew go on, and other scopes have room."""
    for number in range(MAX_VIEWS):
        assert await store.put_view("", View(name=f"{number:03}")) == "stored"
    assert await store.put_view("", View(name="more")) == "full"
    assert await store.put_view("", View(name="000", query="x")) == "stored"
    assert await store.put_view("", View(name="more"), "001") == "stored"
    assert await store.put_view("other", View(name="more")) == "stored"
    assert len(await store.views("")) == MAX_VIEWS


async def test_views_are_there_after_opening_again(backend: Backend, tmp_path: Path) -> None:
    """They last as long as the records do."""
    async with await backend.open(tmp_path) as store:
        await store.put_view("", FULL)
    async with await backend.open(tmp_path) as store:
        assert await store.views("") == ([FULL] if backend.is_durable else [])
