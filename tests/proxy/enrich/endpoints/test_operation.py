"""The names of GraphQL operations."""

from proxy.enrich.endpoints.operation import is_graphql, operation_in_query, operation_of
from tests.support.cases import each_of


@each_of(
    ("body", "name"),
    [
        (b'{"operationName": "GetUser", "query": "query Other {a}"}', "GetUser"),
        (b'{"query":"\\n  mutation Save($id: ID!) {a}"}', "Save"),
        (b'{"query":"{a}"}', None),
        (b'{"operationName":null,"query":"query Q{a}"}', "Q"),
        (b'{"operationName":"../x"}', None),
        (b"no JSON", None),
        (b"", None),
    ],
)
def test_operations_are_read(body: bytes, name: str | None) -> None:
    """By their stated name, else by the one in the document."""
    assert operation_of(body) == name


@each_of(
    ("query", "name"),
    [
        ("query=query+Z%7Bfast%7D&operationName=Other", "Other"),
        ("a=1&query=%0A%20query%20Z%7Bfast%7D", "Z"),
        ("query=%7Bfast%7D", None),
        ("operationName=..%2Fx", None),
        ("", None),
        (None, None),
    ],
)
def test_operations_of_a_query_are_read(query: str | None, name: str | None) -> None:
    """As of a body."""
    assert operation_in_query(query) == name


def test_only_requests_to_graphql_are_looked_at() -> None:
    """Told by method and path."""
    assert is_graphql("POST", "/api/graphql")
    assert is_graphql("POST", "/v1/GraphQL/")
    assert is_graphql("GET", "/graphql")
    assert not is_graphql("PUT", "/graphql")
    assert not is_graphql("POST", "/mysql")
