"""Arguments of tools by their JSON Schema: what is taken, and what is named when it is not."""

from typing import Any

import pytest

from api.dialects.mcp_arguments import read_arguments
from api.http.errors import BadParameter
from tests.support.cases import each_of

TAKES: dict[str, dict[str, Any]] = {
    "query": {"type": "string"},
    "order": {"type": "string", "enum": ["desc", "asc"], "default": "desc"},
    "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20},
    "id": {"type": "string"},
}


@each_of(
    ("given", "limit"),
    [
        ({"limit": 5}, "5"),
        ({"limit": 5.0}, "5"),
        ({"limit": "5"}, "5"),
        ({"limit": 1}, "1"),
        ({"limit": 50}, "50"),
        ({"limit": None}, "20"),
        ({}, "20"),
    ],
)
def test_whole_numbers_are_read(given: dict[str, Any], limit: str) -> None:
    """5.0 is one (JSON Schema 2020-12), null is absent, and what is absent has its default."""
    assert read_arguments(TAKES, (), given) == {"order": "desc", "limit": limit}


@each_of(
    ("given", "said"),
    [
        ({"limit": 51}, "limit is '51', expected a whole number from 1 to 50"),
        ({"limit": 0}, "from 1 to 50"),
        ({"limit": -1}, "from 1 to 50"),
        ({"limit": "9" * 400}, "from 1 to 50"),
        ({"limit": 1.5}, "from 1 to 50"),
        ({"limit": float("nan")}, "from 1 to 50"),
        ({"limit": float("inf")}, "from 1 to 50"),
        ({"limit": True}, "from 1 to 50"),
        ({"limit": [5]}, "from 1 to 50"),
        ({"order": "up"}, "one of desc, asc"),
        ({"query": 5}, "a string"),
        ({"query": ["status:500"]}, "a string"),
        ({"page": 1}, "no such argument: there are query, order, limit, id"),
        ({"id": ""}, "id is '', expected a value"),
    ],
)
def test_what_is_not_of_the_schema_is_named(given: dict[str, Any], said: str) -> None:
    """With the value, and what is expected."""
    with pytest.raises(BadParameter) as caught:
        read_arguments(TAKES, ("id",), {"id": "a"} | given)
    assert said in caught.value.detail
