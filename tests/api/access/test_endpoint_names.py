"""Endpoints are found and shown by their names of today."""

from api.access.endpoint_names import EndpointNames
from api.access.principal import Principal
from api.access.scoped import QueryGate, ScopedStorage
from storage.conversations import ConversationQuery
from storage.query import Filter, RecordQuery, Scope
from storage.search.expression import And, Is, Not, Or
from tests.storage.samples import make_batch, make_record
from tests.support.memory_store import MemoryStorage

ADMIN = Principal("admin", "admin")
NAMES = EndpointNames(
    lambda route, project, name: "/people/{name}" if name == "/people/ann" and project == "a" else name,
    lambda name, scope: (name, "/people/ann") if name == "/people/{name}" else (name,),
)


async def test_rows_are_found_under_all_names() -> None:
    """A name of today finds rows that were stored under those of before, and they are shown by it."""
    storage = MemoryStorage()
    records = [make_record(endpoint=name, project="a") for name in ("/people/ann", "/people/{name}", "/x")]
    await storage.commit(make_batch(*records))
    view = ScopedStorage(storage, ADMIN, QueryGate(), NAMES)
    page = await view.select(RecordQuery(filter=Filter(endpoints=("/people/{name}",))))
    assert [record.endpoint for record in page.records] == ["/people/{name}"] * 2
    assert (await view.count(Filter(endpoints=("/people/{name}",)))).exchanges == 2
    assert (await view.count(Filter(endpoints=("/people/ann", "/x")))).exchanges == 2


async def test_searches_know_all_names() -> None:
    """Also what must not be, and one of several: what is shown by a name of today is found, and left out, by it."""
    storage = MemoryStorage()
    records = [make_record(endpoint=name, project="a") for name in ("/people/ann", "/people/{name}", "/x", None)]
    await storage.commit(make_batch(*records))
    view = ScopedStorage(storage, ADMIN, QueryGate(), NAMES)
    people = Is("endpoint", ("/people/{name}",))
    for where, number in ((Not(people), 2), (Or((people, Is("method", ("BREW",)))), 2), (And((Not(Not(people)),)), 2)):
        assert (await view.count(Filter(where=where))).exchanges == number, where
    assert (await view.count(Filter(where=Or((people, Is("endpoint", ("/x",))))))).exchanges == 3


async def test_conversations_are_found_under_all_names() -> None:
    """As their calls are."""
    storage = MemoryStorage()
    call = make_record(endpoint="/people/ann", project="a", provider="openai", conversation=bytes(15) + b"1")
    await storage.commit(make_batch(call))
    view = ScopedStorage(storage, ADMIN, QueryGate(), NAMES)
    page = await view.conversations(ConversationQuery(filter=Filter(endpoints=("/people/{name}",))))
    assert [found.turns for found in page.conversations] == [1]


async def test_nothing_is_learned_at_first() -> None:
    """Without names of before each is its own."""
    names = EndpointNames()
    assert names.current("r", "p", "/x") == "/x"
    assert tuple(names.former("/x", Scope())) == ("/x",)
