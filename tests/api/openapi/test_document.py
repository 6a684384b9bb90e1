"""The description of the API against the route table; `test_schemathesis.py` holds it against the
answers.
"""

import json
import re
from typing import Any

from api.app import routes
from api.openapi.document import describe
from api.openapi.operations import OPERATIONS
from tests.api.conftest import Client

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
    described = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert described == served
    pages = {("GET", path) for _, path in served - OPERATIONS.keys()}
    assert served - OPERATIONS.keys() == pages
    assert all(route.is_open for route in routes() if (route.method, route.path) in pages)
    assert OPERATIONS.keys() <= served


def test_the_document_is_one() -> None:
    """Version, unique ids, no dangling reference, every path parameter declared, every summary a
    sentence.
    """
    assert DOCUMENT["openapi"] == "3.1.0"
    ids = [operation["operationId"] for _, _, operation in CALLS]
    assert len(ids) == len(set(ids))
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT)))
    assert names <= DOCUMENT["components"]["schemas"].keys()

    for path, _, operation in CALLS:
        declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))
        assert operation["summary"].endswith((".", ":", path)), (path, operation["summary"])


def test_an_item_of_a_list_is_any_text() -> None:
    """Commas separate the values of a parameter, so a rule about one value is broken by a list that
    is accepted.
    """
    shown = [
        parameter["schema"] for _, _, operation in CALLS for parameter in operation["parameters"]
    ]
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
