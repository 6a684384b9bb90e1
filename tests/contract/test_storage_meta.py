"""Values of the store as a whole (`storage/base.py`, `meta` and `put_meta`), over every backend."""

from pathlib import Path

from storage.base import Storage
from tests.contract.backends import Backend
from tests.storage.samples import make_batch, make_record


async def test_the_first_value_stays_unless_it_is_replaced(store: Storage) -> None:
    """Whoever is late without `replace` is told the value that is kept."""
    assert await store.meta("secret") is None
    assert await store.put_meta("secret", "a", replace=False) == "a"
    assert await store.put_meta("secret", "b", replace=False) == "a"
    assert await store.meta("secret") == "a"
    assert await store.put_meta("secret", "c", replace=True) == "c"
    assert await store.meta("secret") == "c"


async def test_a_value_cannot_be_taken_for_a_counter(store: Storage) -> None:
    """A value named as the store names its own counters changes none of them."""
    await store.put_meta("last_seq", "77", replace=True)
    assert (await store.info()).last_seq == 0
    record = make_record()
    assert await store.commit(make_batch(record)) == record.seq < 1 << 52
    assert await store.meta("last_seq") == "77"


async def test_values_are_there_after_opening_again(backend: Backend, tmp_path: Path) -> None:
    """They last as long as the records do."""
    async with await backend.open(tmp_path) as store:
        await store.put_meta("tail_offset", "12", replace=True)
    async with await backend.open(tmp_path) as store:
        assert await store.meta("tail_offset") == ("12" if backend.is_durable else None)
