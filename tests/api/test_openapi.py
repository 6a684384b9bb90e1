"""The description of the API against what is served: every route, every answer, whatever is asked."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import routes
from api.openapi import describe
from api.operations import OPERATIONS
from storage.keys import ApiKey
from storage.record import format_id
from tests.api.conftest import BEARER, Client, World
from tests.api.samples import make_batch, make_body, make_event, make_in_flight, make_payload, make_record
from tests.support.schema import violations

DOCUMENT: dict[str, Any] = json.loads(json.dumps(describe(routes(), "1.2.3")))
CALLS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if not path.endswith("/stream")
]


def test_every_route_is_described() -> None:
    """A route that is missing in the document, or described and not served, fails here."""
    served = {(route.method, route.path) for route in routes()}
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == served
    pages = {("GET", path) for _, path in served - OPERATIONS.keys()}
    assert served - OPERATIONS.keys() == pages
    assert all(route.is_open for route in routes() if (route.method, route.path) in pages)
    assert OPERATIONS.keys() <= served


def test_the_document_is_one() -> None:
    """Version, unique ids, no dangling reference, every path parameter declared, every summary a sentence."""
    assert DOCUMENT["openapi"] == "3.1.0"
    ids = [operation["operationId"] for _, _, operation in CALLS]
    assert len(ids) == len(set(ids))
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))
    assert names <= DOCUMENT["components"]["schemas"].keys()
    for path, _, operation in CALLS:
        declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))
        assert operation["summary"].endswith((".", ":", path)), (path, operation["summary"])


async def test_it_is_served_with_a_page_that_reads_it(client: Client) -> None:
    """Both are open; the page loads only our own files."""
    response = await client.get("/openapi.json")
    assert (response.status, response.content_type) == (200, "application/json")
    assert (await response.json())["paths"] == DOCUMENT["paths"]
    page = await (await client.get("/docs")).text()
    for name in re.findall(r'(?:src|href)="(/ui/[^"]+)"', page):
        assert (await client.get(name)).status == 200, name


async def fill(world: World) -> None:
    """Store something of everything."""
    if await world.storage.last_seq():
        return
    payload = make_payload(make_body(b'{"a": 1}'), make_body(b"\xff\x00"))
    records = [make_record(n, keyed=n % 2 == 0, key_id="k1", status=200 + n * 40) for n in range(1, 8)]
    await world.storage.commit(make_batch(make_event(20), *((record, payload) for record in records)))
    world.in_flight = [make_in_flight(30)]
    digest = hashlib.sha256(b"k1").digest()
    await world.storage.create_key(ApiKey(id="k1", name="one", last4="abcd", secret_sha256=digest))


EDGES = [
    "0", "1", "-1", "+5", "1_000", "\u0663", "9223372036854775807", "9223372036854775808", "1e3", "NaN", "true",
    "' OR 1=1 --", "%", "_", "\x00", "2024-06-12T14:07:14Z", "15m", "2024-06-12 14:07:14 02:00", "99999-01-01",
    "AQAAAAAAAAAAAQ", "null", "[]", "a,b,,c", "\U0001f600", "9" * 400,
]  # fmt: skip


def values_for(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    """Values a client may send for a parameter: fitting ones, edges, and anything."""
    anything = st.text(max_size=20) | st.sampled_from(EDGES)
    fitting = st.sampled_from(schema["enum"]) if "enum" in schema else st.integers(0, 50).map(str)
    return (fitting | anything).map(lambda text: text.encode("utf-8", "ignore").decode())


IDS = st.sampled_from([format_id(make_record(n).id) for n in (1, 2, 30, 99)]) | st.text(min_size=1, max_size=12)


@pytest.mark.parametrize(("path", "method", "operation"), CALLS, ids=[f"{method} {path}" for path, method, _ in CALLS])
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_whatever_is_asked_the_answer_is_as_described(
    world: World, client: Client, path: str, method: str, operation: dict[str, Any], data: st.DataObject
) -> None:
    """No 5xx, no status or media type that is not described, every JSON body valid for its schema."""
    await fill(world)
    url, query = path, {}
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            known = {"clientId": "acme", "proxyId": "default"}.get(parameter["name"])
            text = data.draw(st.just(known) if known and data.draw(st.booleans()) else IDS)
            url = url.replace("{" + parameter["name"] + "}", quote(text.encode("utf-8", "ignore"), safe="") or "x")
        elif data.draw(st.integers(0, 3)) == 0:
            query[parameter["name"]] = data.draw(values_for(parameter["schema"]))
    headers = {} if data.draw(st.integers(0, 9)) == 0 else dict(BEARER)
    body = None
    if "requestBody" in operation:
        body = data.draw(st.dictionaries(st.sampled_from(["name", "token", "scopes"]), st.text(max_size=5), max_size=2))
    response = await client.request(method, url, params=query, headers=headers, json=body)
    client.session.cookie_jar.clear()
    raw = await response.read()
    if response.status == 404 and "404" not in operation["responses"]:
        assert url != path  # the parameter made another path of it
        return
    assert response.status < 500, raw
    described = operation["responses"].get(str(response.status))
    assert described is not None, (response.status, raw)
    content = described.get("content", {})
    if response.status == 204:
        assert raw == b""
        return
    if content and path not in ("/ui/{name}",):
        assert response.content_type in content, (response.content_type, raw[:200])
        if response.content_type.endswith("json") and "ndjson" not in response.content_type:
            schema = content[response.content_type]["schema"]
            assert violations(json.loads(raw), schema, DOCUMENT) == []


@pytest.mark.parametrize(
    ("value", "schema", "is_valid"),
    [
        ({"a": 1}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, True),
        ({}, {"type": "object", "required": ["a"]}, False),
        ({"b": 1}, {"type": "object", "additionalProperties": False}, False),
        ({"b": "x"}, {"type": "object", "additionalProperties": {"type": "integer"}}, False),
        (True, {"type": "integer"}, False),
        (None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, True),
        ("x", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, False),
        ("c", {"enum": ["a", "b"]}, False),
        ([1, "x"], {"type": "array", "items": {"type": "integer"}}, False),
        (5, {"type": "integer", "maximum": 4}, False),
        ({"id": 3}, {"$ref": "#/components/schemas/LogError"}, False),
    ],
)
def test_the_validator_notices(value: object, schema: dict[str, Any], is_valid: bool) -> None:
    """The judge of the answers is judged."""
    assert (violations(value, schema, DOCUMENT) == []) is is_valid
