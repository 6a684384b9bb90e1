"""Which endpoint each request is one of."""

import random
from collections import Counter

import msgspec
import pytest

from proxy.enrich.endpoints import endpoints as module
from proxy.enrich.endpoints.endpoints import OTHER, UNKNOWN, Endpoints
from proxy.enrich.endpoints.tree import MAX_ENDPOINTS
from storage.record import Record
from tests.proxy.enrich.endpoints.test_tree import word
from tests.proxy.enrich.endpoints.traffic import Asked, ask, traffic
from tests.support.cases import each_of


def name(
    endpoints: Endpoints, path: str | None, status: int | None = 200, project: str | None = None
) -> str | None:
    record = Record(
        0, b"", "i", "exchange", 0, 0, path=path, method="GET", status=status, project=project
    )
    return endpoints.name(record)


def test_only_answers_teach() -> None:
    """Paths that nobody answers make no endpoints; failures below a known one are counted there."""
    endpoints = Endpoints()
    assert name(endpoints, "/wp-login", 404) == UNKNOWN
    assert name(endpoints, "/users/1") == "/users/{id}"
    assert name(endpoints, "/users/99", 404) == "/users/{id}"
    assert name(endpoints, "/users/99/x", 502) == UNKNOWN
    assert name(endpoints, "/users/2", None) == "/users/{id}"
    assert name(endpoints, "/orders", 500) == "/orders"
    assert name(endpoints, "/") == "/"
    assert name(endpoints, None) is None


@each_of(
    ("method", "status"),
    [("SEARCH", 500), ("PROPFIND", 200), ("MOVE", 200), ("LOCK", 200), ("REPORT", None)],
)
def test_no_client_makes_a_share_of_an_api(method: str, status: int | None) -> None:
    """Any server may fail at a method of WebDAV, or say 200 to it: that is no tree of files."""
    endpoints = Endpoints()
    assert name(endpoints, "/api/users") == "/api/users"
    for number in range(30):
        endpoints.name(ask("/api", "", method=method, status=status).record)  # type: ignore[arg-type]
        endpoints.name(ask(f"/{'x' * number}", "", method=method, status=status).record)  # type: ignore[arg-type]
    assert name(endpoints, "/api/users") == "/api/users"
    assert name(endpoints, "/api/pay") == "/api/pay"


def test_what_is_written_down_comes_first() -> None:
    """Templates of a route name its endpoints, whatever the status; other routes learn."""
    endpoints = Endpoints({"shop": ["/people/{person}", "/files/*"]})
    record = ask("/people/ann", "", status=404).record
    record.route_id = "shop"
    assert endpoints.name(record) == "/people/{person}"
    record.path = "/other"
    assert endpoints.name(record) == UNKNOWN
    assert endpoints.name(ask("/people/ann", "").record) == "/people/ann"


def test_projects_learn_apart() -> None:
    """What one project's paths teach changes nothing for another."""
    endpoints = Endpoints()
    for number in range(100):
        name(endpoints, f"/people/{word(number)}", project="a")
        name(endpoints, "/people/zoe", project="b")

    assert name(endpoints, "/people/ann", project="a") == "/people/{name}"
    assert name(endpoints, "/people/ann", project="b") == "/people/ann"


def test_projects_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of projects nothing is learned."""
    monkeypatch.setattr(module, "MAX_TREES", 2)
    endpoints = Endpoints()
    assert [name(endpoints, "/a", project=project) for project in "abc"] == ["/a", "/a", OTHER]


def test_the_memo_is_bounded_and_follows_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is never named by an endpoint that is none any more, however often it was asked for
    before.
    """
    monkeypatch.setattr(module, "MAX_MEMO_PATHS", 10)
    monkeypatch.setattr(module, "MAX_MEMO_TOTAL", 15)
    endpoints = Endpoints()

    for number in range(300):
        for project in ("a", "b"):
            name(endpoints, f"/people/{word(number)}", project=project)
            if number % 10 == 0:
                name(endpoints, "/people/a", project=project)

    assert name(endpoints, "/people/a", project="a") == "/people/{name}"


def call(host: str | None, path: str, status: int | None = 200) -> Record:
    return Record(
        0, b"", "i", "exchange", 0, 0, path=path, method="GET", status=status, host=host,
        route_id="egress", direction="out",
    )  # fmt: skip


@each_of(
    ("host", "path", "status", "name"),
    [
        ("api.a.test", "/v1/items/1", 200, "api.a.test/v1/items/{id}"),
        ("api.b.test", "/v1/items/1", 200, "api.b.test/v1/items/{id}"),
        ("API.A.test", "/v1/items/1", 200, "api.a.test/v1/items/{id}"),
        ("api.a.test:8443", "/", 200, "api.a.test:8443/"),
        ("api.a.test", "/never", 404, "api.a.test/{unknown}"),
        ("api.a.test:443", "api.a.test:443", None, "api.a.test:443"),
        (None, "/x", 200, "/x"),
    ],
)
def test_an_outgoing_call_is_one_of_its_host(
    host: str | None, path: str, status: int | None, name: str
) -> None:
    """The same path of two hosts is two endpoints; a tunnel has its host and port."""
    assert Endpoints().name(call(host, path, status)) == name


def test_hosts_learn_apart() -> None:
    """What one host answers teaches nothing of another, nor of a service that is named like it."""
    endpoints = Endpoints()
    for number in range(100):
        endpoints.name(call("a.test", f"/people/{word(number)}"))
    assert endpoints.name(call("a.test", "/people/zoe")) == "a.test/people/{name}"
    assert endpoints.name(call("b.test", "/people/zoe")) == "b.test/people/zoe"
    incoming = msgspec.structs.replace(call("a.test", "/people/zoe"), direction="in")
    assert endpoints.name(incoming) == "/people/zoe"


def test_what_was_learned_is_kept() -> None:
    """What another process learned is known after reading it, and is no change of our own."""
    endpoints = Endpoints()
    again = Endpoints()
    name(endpoints, "/users/1", project="a")
    assert endpoints.is_changed
    kept = msgspec.json.decode(msgspec.json.encode(endpoints.take_changes()), type=module.Learned)
    assert not endpoints.is_changed
    again.merge(kept)
    assert name(again, "/users/77", 404, project="a") == "/users/{id}"


def check(asked: list[Asked]) -> set[str | None]:
    """Learn from requests in their order; returns the endpoints."""
    endpoints = Endpoints()
    given = [endpoints.name(each.record, each.operation) for each in asked]
    now = [endpoints.name(each.record, each.operation) for each in asked]
    wrong = Counter(
        (each.endpoint, name)
        for each, name in zip(asked, now, strict=True)
        if each.endpoint != name
    )
    assert wrong.total() <= len(asked) / 100, wrong.most_common(5)
    at_once = sum(each.endpoint == name for each, name in zip(asked, given, strict=True))
    assert at_once >= len(asked) * 0.99
    assert len(set(given)) <= MAX_ENDPOINTS
    return set(now)


@pytest.mark.parametrize(
    "count", [30_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_endpoints_are_those_that_a_person_would_write(count: int) -> None:
    """REST, GraphQL, static files, WebDAV and a scanner: 99 of 100 requests, few endpoints, the
    same in any order.
    """
    asked = list(traffic(count))
    found = check(asked)
    random.Random(2).shuffle(asked)
    assert check(asked) == found
    asked.sort(key=lambda each: each.record.path or "")
    assert check(asked) == found


def test_what_no_record_has_any_more_is_forgotten() -> None:
    """Names and places of values go; what is left is found as before, and again what is new."""
    endpoints = Endpoints()
    for number in range(100):
        name(endpoints, f"/people/{word(number)}")
        name(endpoints, f"/patients/smith/files-{number}x")
    for path in ("/", "/orders/1", "/patients/smith", "/people/zoe/address"):
        name(endpoints, path, project=None)
        name(endpoints, path, project="other")
    endpoints.keep({(None, None): {"/", "/people/b", "/people/{name}", "/orders/{id}"}})
    [(_, project, learned)] = endpoints.take_changes()
    assert project is None
    assert set(learned.endpoints) == {"", "/people/{name}", "/orders/{id}"}
    assert learned.values == {"/people": 2}
    assert "smith" not in repr(endpoints.take_changes())
    assert name(endpoints, "/people/yan") == "/people/{name}"
    assert name(endpoints, "/patients/smith") == "/patients/smith"
