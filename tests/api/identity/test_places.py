"""Places that are left out: how they are written, and what they leave."""

from typing import Any

import pytest

from api.identity.places import RequestPlaces, read_request_places, without_places
from tests.support.cases import each_of


@each_of(
    ("text", "path"),
    [
        ("body.a.b", ("body", "a", "b")),
        (".body.a", ("body", "a")),
        (".a", ("body", "a")),
        ("items[*].id", ("body", "items", "*", "id")),
        ("items[3]", ("body", "items", 3)),
        ("items.3", ("body", "items", "3")),
        ("items[]", ("body", "items", "*")),
        ('."odd name".x', ("body", "odd name", "x")),
        ("query.t", ("query", "t")),
        ("query.tag[0]", ("query", "tag", 0)),
        ("path[1]", ("path", 1)),
        ("header x-b", ("body", "header x-b")),
        ("body", ("body",)),
        ("", None),
        ("a[", None),
        ("a..b", None),
    ],
)
def test_a_place_is_written_as_it_is_shown(text: str, path: tuple[str, ...] | None) -> None:
    """What is none is refused by its name."""
    if path is None:
        with pytest.raises(ValueError, match="is not a place"):
            read_request_places([text])
    else:
        assert read_request_places([text]) == RequestPlaces((path,))


def test_headers_are_named_in_any_case() -> None:
    """With or without a space."""
    assert read_request_places(["header:X-A", "header: x-b"]) == RequestPlaces(
        (), frozenset(("x-a", "x-b"))
    )


@each_of(
    ("place", "left"),
    [
        ("a", {"body": {"b": [{"c": 1, "d": 2}, {"c": 3}]}}),
        ("b[*].c", {"body": {"a": 0, "b": [{"d": 2}, {}]}}),
        ("b.c", {"body": {"a": 0, "b": [{"d": 2}, {}]}}),
        ("b[1].c", {"body": {"a": 0, "b": [{"c": 1, "d": 2}, {}]}}),
        ("b[0]", {"body": {"a": 0, "b": [None, {"c": 3}]}}),
        ("b.0", {"body": {"a": 0, "b": [{"c": 1, "d": 2}, {"c": 3}]}}),
        ("b[].*", {"body": {"a": 0, "b": [{}, {}]}}),
        ("none.at.all", {"body": {"a": 0, "b": [{"c": 1, "d": 2}, {"c": 3}]}}),
        ("a.b", {"body": {"a": 0, "b": [{"c": 1, "d": 2}, {"c": 3}]}}),
        ("body", {}),
    ],
)
def test_what_is_there_is_left_out(place: str, left: dict[str, Any]) -> None:
    """The document itself stays as it was."""
    document = {"body": {"a": 0, "b": [{"c": 1, "d": 2}, {"c": 3}]}}
    assert without_places(document, read_request_places([place])) == left
    assert document["body"]["a"] == 0
