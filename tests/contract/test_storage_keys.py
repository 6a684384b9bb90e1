"""API keys in every store: what `storage/base.py` says about them."""

from pathlib import Path
from typing import Any

import pytest

from storage.base import Storage
from storage.errors import StorageRejected
from storage.keys import ApiKey, KeyChanges, new_secret, secret_digest
from storage.query import Count, CountQuery, Filter, RecordQuery, StatsQuery
from tests.contract.backends import Backend
from tests.storage.samples import make_batch, make_record
from tests.support.filters import make_filter


def make_key(key_id: str = "k1", **members: Any) -> ApiKey:
    """Make a key that opens everything, unless changed."""
    secret = new_secret()
    plain: dict[str, Any] = {
        "id": key_id, "name": "Production Key", "last4": secret[-4:], "secret_sha256": secret_digest(secret.encode()),
        "created_at_us": 1000 + len(key_id),
    }  # fmt: skip
    return ApiKey(**(plain | members))


async def test_a_key_comes_back_as_it_was_created(store: Storage) -> None:
    """Every member keeps its value; null and empty lists stay apart."""
    full = make_key(
        "full", scopes=("agent", "voice agent"), agents=(), expires_at_us=99, disabled=True, project="Zürich",
        user_id="u\N{SNOWMAN}", last_used_at_us=5,
    )  # fmt: skip
    plain = make_key("k")
    await store.create_key(plain)
    await store.create_key(full)
    assert await store.keys() == [plain, full]


async def test_an_id_or_a_hash_is_stored_once(store: Storage) -> None:
    """A second key with either is refused, and nothing changes."""
    key = make_key()
    await store.create_key(key)
    version = await store.key_version()
    with pytest.raises(StorageRejected):
        await store.create_key(make_key())
    with pytest.raises(StorageRejected):
        await store.create_key(make_key("k2", secret_sha256=key.secret_sha256))
    assert await store.keys() == [key]
    assert await store.key_version() == version


async def test_text_that_is_not_unicode_is_refused(store: Storage) -> None:
    """A lone surrogate cannot be written, neither at creation nor later."""
    with pytest.raises(StorageRejected):
        await store.create_key(make_key(name="\udc80"))
    await store.create_key(make_key())
    with pytest.raises(StorageRejected):
        await store.update_key("k1", KeyChanges(scopes=("\udc80",)))
    assert (await store.keys())[0].scopes is None


async def test_a_change_touches_what_it_names(store: Storage) -> None:
    """Members that are not given stay; null is a value, not an absence."""
    key = make_key(scopes=("agent",), expires_at_us=7, project="p")
    await store.create_key(key)
    update = await store.update_key(
        "k1", KeyChanges(name="renamed", expires_at_us=None, disabled=True)
    )
    assert update is not None
    assert update.before == key
    assert await store.keys() == [update.after]
    assert (update.after.name, update.after.expires_at_us, update.after.disabled) == (
        "renamed",
        None,
        True,
    )
    assert (update.after.scopes, update.after.project) == (("agent",), "p")


async def test_a_deleted_key_keeps_its_name_and_loses_its_hash(store: Storage) -> None:
    """It stays in the list for the rows it made; it cannot be changed or deleted again."""
    key = make_key()
    await store.create_key(key)
    update = await store.delete_key("k1", 77)
    assert update is not None
    assert update.before == key
    (left,) = await store.keys()
    assert left == update.after
    assert (left.name, left.last4, left.secret_sha256, left.deleted_at_us) == (
        key.name,
        key.last4,
        None,
        77,
    )
    assert left.disabled
    assert await store.delete_key("k1", 78) is None
    assert await store.update_key("k1", KeyChanges(disabled=False)) is None


async def test_several_keys_may_be_deleted(store: Storage) -> None:
    """The absence of a hash is not a hash that is stored already."""
    for key_id in ("k1", "k2"):
        await store.create_key(make_key(key_id))
        assert await store.delete_key(key_id, 1) is not None
    await store.create_key(make_key("k3"))
    assert [key.deleted_at_us for key in await store.keys()] == [1, 1, None]


async def test_an_unknown_key_is_none(store: Storage) -> None:
    """Neither a change nor a deletion of it leaves a trace."""
    version = await store.key_version()
    assert await store.update_key("nobody", KeyChanges(disabled=True)) is None
    assert await store.delete_key("nobody", 1) is None
    assert await store.key_version() == version


async def test_the_version_rises_with_every_change_but_not_with_uses(store: Storage) -> None:
    """Whoever polls it reads the keys anew only when they differ."""
    versions = [await store.key_version()]
    await store.create_key(make_key())
    versions.append(await store.key_version())
    await store.update_key("k1", KeyChanges(disabled=True))
    versions.append(await store.key_version())
    await store.delete_key("k1", 1)
    versions.append(await store.key_version())
    assert versions == sorted(set(versions))
    await store.touch_keys({"k1": 9})
    assert await store.key_version() == versions[-1]


async def test_the_newest_use_is_kept(store: Storage) -> None:
    """Uses may arrive late and out of order; unknown keys are no error."""
    await store.create_key(make_key())
    for at_us in (50, 40, 60):
        await store.touch_keys({"k1": at_us, "nobody": 1})
    assert (await store.keys())[0].last_used_at_us == 60
    await store.touch_keys({})


async def test_keys_survive_a_reopening(backend: Backend, tmp_path: Path) -> None:
    """Keys and their version are as lasting as records."""
    if not backend.is_durable:
        return
    async with await backend.open(tmp_path) as first:
        await first.create_key(make_key())
        keys = await first.keys()
        version = await first.key_version()

    async with await backend.open(tmp_path) as second:
        assert await second.keys() == keys
        assert await second.key_version() == version


async def test_calls_of_keyed_routes_are_found(store: Storage) -> None:
    """With and without a key, together with other conditions; the flag comes back."""
    records = [
        make_record(),
        make_record(keyed=True, status=401, level="warn", auth_code="missing_token", path="/A"),
        make_record(keyed=True, key_id="k1", key_name="n", key_last4="a1b2", path="/b"),
        make_record(keyed=True),
    ]
    await store.commit(make_batch(*records))
    for filter, wanted in (
        (make_filter(keyed=True), records[1:]),
        (Filter(), records),
        (make_filter(keyed=True, keys=("k1",)), [records[2]]),
        (make_filter(keyed=True, status_classes=(4,)), [records[1]]),
        (make_filter(keyed=True, path_contains="/a"), [records[1]]),
    ):
        page = await store.read(RecordQuery(filter=filter, order="asc"))
        assert page.records == wanted
        assert await store.read(CountQuery(filter)) == Count(len(page.records), 0)

    assert (await store.read(StatsQuery())).total == 8
