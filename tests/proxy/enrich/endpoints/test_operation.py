"""The names of GraphQL operations."""

import pytest

from proxy.enrich.endpoints.operation import is_graphql, operation_of


@pytest.mark.parametrize(
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


def test_only_posts_to_graphql_are_looked_at() -> None:
    """Told by method and path."""
    assert is_graphql("POST", "/api/graphql")
    assert is_graphql("POST", "/v1/GraphQL/")
    assert not is_graphql("GET", "/graphql")
    assert not is_graphql("POST", "/mysql")
