"""The description of the API against the route table; `test_schemathesis.py` holds it against the
answers.
"""

import json
import re
from typing import Any

from api.assets import PAGES
from api.http.params import FILTER_PARAMETERS
from api.http.route import PAGE
from api.openapi.document import describe
from api.routes import routes
from tests.api.conftest import Client

DOCUMENT: dict[str, Any] = json.loads(json.dumps(describe(routes(), "1.2.3")))
CALLS = [
    (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if not path.endswith("/stream")
]


def own_of(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of an operation that it does not share."""
    return [each for each in operation["parameters"] if "$ref" not in each]


def test_every_route_is_described() -> None:
    """A route that is missing in the document, or described as a page without being one, fails here."""
    served = {(route.method, route.path) for route in routes()}
    described = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert described == served
    pages = {(route.method, route.path) for route in routes() if route.operation is PAGE}
    assert pages == {("GET", path) for path in (*PAGES, "/docs", "/login")}


def test_the_document_is_one() -> None:
    """Version, unique ids, no dangling reference, every path parameter declared, every summary a
    sentence.
    """
    assert DOCUMENT["openapi"] == "3.1.0"
    ids = [operation["operationId"] for _, _, operation in CALLS]
    assert len(ids) == len(set(ids))
    for kind in ("schemas", "parameters"):
        names = set(re.findall(rf'"#/components/{kind}/([^"]+)"', json.dumps(DOCUMENT)))
        assert names <= DOCUMENT["components"][kind].keys()

    for path, _, operation in CALLS:
        declared = {each["name"] for each in own_of(operation) if each["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))
        assert operation["summary"].endswith((".", ":", path)), (path, operation["summary"])


def test_filters_are_described_once() -> None:
    """Each operation that takes one takes all of them, by reference."""
    filters = {f"#/components/parameters/{name}" for name in FILTER_PARAMETERS}
    taken = [
        {each["$ref"] for each in operation["parameters"] if "$ref" in each}
        for _, _, operation in CALLS
    ]
    assert [each for each in taken if each] == [filters] * 10
    assert DOCUMENT["components"]["parameters"].keys() == FILTER_PARAMETERS


def test_an_item_of_a_list_is_any_text() -> None:
    """Commas separate the values of a parameter, so a rule about one value is broken by a list that
    is accepted.
    """
    described = [each for _, _, operation in CALLS for each in own_of(operation)]
    described += DOCUMENT["components"]["parameters"].values()
    shown = [each["schema"] for each in described]
    items = [schema["items"] for schema in shown if schema.get("type") == "array"]
    assert items
    assert all(item == {"type": "string"} for item in items)


async def test_it_is_served_with_a_page_that_reads_it(client: Client) -> None:
    """Both are open; the page loads only our own files."""
    response = await client.get("/openapi.json")
    assert (response.status, response.content_type) == (200, "application/json")
    assert (await response.json())["paths"] == DOCUMENT["paths"]
    page = await (await client.get("/docs")).text()
    names = re.findall(r'(?:src|href)="(ui/[^"]+)"', page)
    assert names
    for name in names:
        assert (await client.get("/" + name)).status == 200, name
