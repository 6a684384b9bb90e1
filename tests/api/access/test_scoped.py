"""The store through the eyes of one caller."""

import pytest

from api.access.principal import ADMIN, Principal
from api.access.query_gate import QueryGate
from api.access.scoped import ScopedStorage
from api.http.errors import Refused
from storage.keys import ApiKey
from storage.query import CountQuery, Filter, RecordQuery, Scope, StatsQuery
from tests.api.samples import make_batch, make_body, make_payload, make_record
from tests.support.filters import make_filter
from tests.support.memory_store import MemoryStorage

READER = Principal("reader", "reader", Scope(projects=("proj_a",)))


async def filled() -> MemoryStorage:
    """Make a store with a record of proj_a and one of proj_b, both with payloads."""
    storage = MemoryStorage()
    payload = make_payload(make_body(b"secret"))
    await storage.commit(
        make_batch((make_record(1), payload), (make_record(2, project="proj_b"), payload))
    )
    return storage


async def test_payloads_are_those_of_records_that_were_shown() -> None:
    """A restricted caller cannot guess a `seq`."""
    storage = await filled()
    view = ScopedStorage(storage, READER, QueryGate())
    assert await view.payloads([1, 2]) == {}
    await view.read(RecordQuery())
    assert list(await view.payloads([1, 2])) == [1]
    assert list(await ScopedStorage(storage, ADMIN, QueryGate()).payloads([1, 2])) == [1, 2]


async def test_keys_are_those_that_made_records_in_scope() -> None:
    """All of them, of whichever project, and none that only made others."""
    storage = MemoryStorage()
    ids = [f"k{number:03}" for number in range(210)]
    for id in (*ids, "foreign"):
        await storage.create_key(
            ApiKey(id=id, name=id, last4="wxyz", secret_sha256=id.encode().ljust(32))
        )

    records = [make_record(number, key_id=id) for number, id in enumerate(ids)]
    await storage.commit(make_batch(*records, make_record(300, key_id="foreign", project="proj_b")))
    assert [key.id for key in await ScopedStorage(storage, READER, QueryGate()).keys()] == ids


async def test_a_foreign_record_is_not_there() -> None:
    """Its id finds nothing, and nothing of it is counted."""
    view = ScopedStorage(await filled(), READER, QueryGate())
    assert await view.get(make_record(2).id) is None
    assert await view.get(make_record(1).id) is not None
    assert (await view.read(CountQuery(Filter()))).exchanges == 1
    assert (await view.read(StatsQuery())).total == 2
    with pytest.raises(Refused, match="not permitted"):
        await view.read(RecordQuery(filter=make_filter(projects=("proj_b",))))


@pytest.mark.parametrize("principal", [READER, Principal("all", "reader")])
async def test_other_methods_are_for_unrestricted_admins(principal: Principal) -> None:
    """What the view does not know, also what is added later, is refused to everybody else."""
    storage = await filled()
    with pytest.raises(Refused):
        _ = ScopedStorage(storage, principal, QueryGate()).commit
    assert await ScopedStorage(storage, ADMIN, QueryGate()).info()
