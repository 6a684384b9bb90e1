"""Endpoints are found and shown by their names of today."""

from api.access.principal import Principal
from api.access.query_gate import QueryGate
from api.access.scoped import EndpointNames, ScopedStorage
from storage.conversations import ConversationQuery
from storage.query import Count, CountQuery, Filter, FormerEndpoints, RecordQuery, Scope, TopQuery
from storage.search.expression import And, Is, Not, Or
from tests.storage.samples import make_batch, make_record
from tests.support.filters import make_filter
from tests.support.memory_store import MemoryStorage

ADMIN = Principal("admin", "admin")
NAMES = EndpointNames(
    lambda route, project, name: (
        "/people/{name}" if name == "/people/ann" and project == "a" else name
    ),
    lambda name, scope: (
        [FormerEndpoints("shop", "a", ("/people/ann",))] if name == "/people/{name}" else []
    ),
)


async def test_rows_are_found_under_all_names() -> None:
    """A name of today finds rows that were stored under those of before, and they are shown by it."""
    storage = MemoryStorage()
    records = [
        make_record(endpoint=name, route_id="shop", project="a")
        for name in ("/people/ann", "/people/{name}", "/x")
    ]
    await storage.commit(make_batch(*records))
    view = ScopedStorage(storage, ADMIN, QueryGate(), NAMES)
    page = await view.read(RecordQuery(filter=make_filter(endpoints=("/people/{name}",))))
    assert [record.endpoint for record in page.records] == ["/people/{name}"] * 2
    assert (await view.read(CountQuery(make_filter(endpoints=("/people/{name}",))))).exchanges == 2
    assert (
        await view.read(CountQuery(make_filter(endpoints=("/people/ann", "/x"))))
    ).exchanges == 2


async def test_searches_know_all_names() -> None:
    """Also what must not be, and one of several: what is shown by a name of today is found, and
    left out, by it.
    """
    storage = MemoryStorage()
    records = [
        make_record(endpoint=name, route_id="shop", project="a")
        for name in ("/people/ann", "/people/{name}", "/x", None)
    ]
    await storage.commit(make_batch(*records))
    view = ScopedStorage(storage, ADMIN, QueryGate(), NAMES)

    people = Is("endpoint", ("/people/{name}",))
    for where, number in (
        (Not(people), 2),
        (Or((people, Is("method", ("BREW",)))), 2),
        (And((Not(Not(people)),)), 2),
    ):
        assert (await view.read(CountQuery(Filter(where=where)))).exchanges == number, where

    assert (
        await view.read(CountQuery(Filter(where=Or((people, Is("endpoint", ("/x",)))))))
    ).exchanges == 3


async def test_names_of_before_are_those_of_their_route_and_project() -> None:
    """What another route or project has under such a name is an endpoint of its own: not found, and
    not erased.
    """
    storage = MemoryStorage()
    others = [("shop", "b"), ("shop", None), ("blog", "a"), (None, "a")]
    places = [("shop", "a"), *others]
    records = [
        make_record(endpoint="/people/ann", route_id=route, project=project)
        for route, project in places
    ]
    await storage.commit(make_batch(*records))
    view = ScopedStorage(storage, ADMIN, QueryGate(), NAMES)
    filter = make_filter(endpoints=("/people/{name}",))
    people = Is("endpoint", ("/people/{name}",))
    assert [
        record.endpoint for record in (await view.read(RecordQuery(filter=filter))).records
    ] == ["/people/{name}"]
    assert (await view.read(CountQuery(filter))).exchanges == 1
    assert (await view.read(CountQuery(Filter(where=people)))).exchanges == 1
    assert (await view.read(CountQuery(Filter(where=Not(people))))).exchanges == len(others)
    assert (await view.read(TopQuery(filter, "endpoint"))).seen == 1
    assert (await view.erase(filter)).exchanges == 1
    left = (await storage.read(RecordQuery())).records
    assert {(record.route_id, record.project) for record in left} == {*others}


async def test_names_of_before_without_a_route_and_project_are_of_records_without() -> None:
    """Traffic of no project learns for itself."""
    storage = MemoryStorage()
    places = [(None, None), ("shop", None), (None, "a")]
    records = [
        make_record(endpoint="/b", route_id=route, project=project) for route, project in places
    ]
    await storage.commit(make_batch(*records))
    names = EndpointNames(former=lambda name, scope: [FormerEndpoints(None, None, ("/b",))])
    view = ScopedStorage(storage, ADMIN, QueryGate(), names)
    for filter in (make_filter(endpoints=("/{name}",)), Filter(where=Is("endpoint", ("/{name}",)))):
        found = (await view.read(RecordQuery(filter=filter))).records
        assert [(record.route_id, record.project) for record in found] == [(None, None)]


async def test_conversations_are_found_under_all_names() -> None:
    """As their calls are."""
    storage = MemoryStorage()
    call = make_record(
        endpoint="/people/ann",
        route_id="shop",
        project="a",
        provider="openai",
        conversation=bytes(15) + b"1",
    )
    await storage.commit(make_batch(call))
    view = ScopedStorage(storage, ADMIN, QueryGate(), NAMES)
    page = await view.read(ConversationQuery(filter=make_filter(endpoints=("/people/{name}",))))
    assert [found.turns for found in page.conversations] == [1]


async def test_nothing_is_learned_at_first() -> None:
    """Without names of before each is its own."""
    names = EndpointNames()
    assert names.current("r", "p", "/x") == "/x"
    assert [*names.former("/x", Scope())] == []


async def test_many_names_are_one_alternative_of_a_place() -> None:
    """However many endpoints are asked for, a store is given each route and project once."""
    asked: list[Filter] = []

    class Store(MemoryStorage):
        async def count(self, filter: Filter) -> Count:
            """See `storage.base.Storage.count`."""
            asked.append(filter)
            return await super().count(filter)

    names = EndpointNames(
        former=lambda name, scope: [
            FormerEndpoints("shop", place, (name + "/x",)) for place in "ab"
        ]
    )
    await ScopedStorage(Store(), ADMIN, QueryGate(), names).read(
        CountQuery(make_filter(endpoints=("/p", "/q")))
    )
    known = ("/p/x", "/q/x")
    places = [
        And((Is("endpoint", known), Is("route_id", ("shop",)), Is("project", (place,))))
        for place in "ab"
    ]
    assert asked[0].where == Or((Is("endpoint", ("/p", "/q")), *places))
