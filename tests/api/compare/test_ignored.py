"""Places that are ignored: how they are written, and which changes they take."""

import pytest

from api.compare.ignored import MAX_PLACES, Ignored, Place, read_place, read_places
from api.compare.json_changes import json_changes
from tests.support.cases import each_of


def taken(ignored: Ignored, old: object, new: object, part: str = "response_body") -> list[str]:
    """Return the ignored places of all that differ, as paths with dots."""
    changes = json_changes(old, new)
    found = ignored.take(part, changes)
    assert not {*map(id, found)} & {*map(id, changes.kept)}
    return [".".join(map(str, change.path)) for change in found]


@each_of(
    ("text", "place"),
    [
        (".a.b", Place(False, ("a", "b"))),
        ("a.b", Place(False, ("a", "b"))),
        ("items[*].id", Place(False, ("items", "*", "id"))),
        (".items[].id", Place(False, ("items", "*", "id"))),
        (".[0].data", Place(False, (0, "data"))),
        ("users.*.at", Place(False, ("users", "*", "at"))),
        ('."odd \\"name".x', Place(False, ('odd "name', "x"))),
        ("header:X-Runtime", Place(True, ("x-runtime",))),
        ("header: x", Place(True, ("x",))),
        ("header x", Place(False, ("header x",))),
        ("items.3", Place(False, ("items", "3"))),
        (".header:x", Place(False, ("header:x",))),
    ],
)
def test_a_place_is_written_as_changes_are_shown(text: str, place: Place) -> None:
    """In the notation of jq, with or without the first dot."""
    assert read_places([text]) == {place}


@each_of("text", ["", ".", "a..b", "a[x]", "a[1", "header:", "header:a b", '."a', '."\\x"', "a]"])
def test_what_is_no_place_is_refused(text: str) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match="is not a place; expected"):
        read_place(text)


def test_an_empty_text_is_none_of_several_places() -> None:
    """As every empty parameter is."""
    assert read_places(["", ".a"]) == read_places([".a"])


def test_there_are_not_too_many() -> None:
    """The limit is named."""
    with pytest.raises(ValueError, match="at most 1,000"):
        read_places([f".a{number}" for number in range(MAX_PLACES + 1)])
    with pytest.raises(ValueError, match="at most 1,000"):
        read_places([""] * (MAX_PLACES + 1))


def test_a_named_place_is_ignored_with_all_below_it() -> None:
    """Whatever the change; not what is above it, and not another one."""
    ignored = Ignored(read_places(["meta", "items[*].id", "x.*"]))
    assert taken(ignored, {"meta": {"a": 1}, "b": 1}, {"meta": {"a": 2}, "b": 2}) == ["meta.a"]
    assert taken(ignored, {"meta": 1}, {}) == ["meta"]
    assert taken(ignored, {"items": [{"id": 1}]}, {"items": 1}) == []
    assert taken(ignored, {"items": [{"id": 1, "n": 1}]}, {"items": [{"id": 2, "n": 2}]}) == [
        "items.0.id"
    ]
    assert taken(ignored, {"x": {"u1": 1}}, {"x": {"u1": 2, "u2": 1}}) == ["x.u1", "x.u2"]


def test_a_header_is_no_member() -> None:
    """Its name has no case, and may be numbered."""
    ignored = Ignored(read_places(["header:X-A", "b"]))
    old = {"x-a[1]": "1", "b": "1"}
    new = {"x-a[1]": "2", "b": "2"}
    assert taken(ignored, old, new, "response_headers") == ["x-a[1]"]
    assert taken(ignored, old, new) == ["b"]


def test_a_volatile_place_is_ignored_while_its_type_stays() -> None:
    """A place that is gone, or has another type, is a difference."""
    ignored = Ignored(volatile=read_places([".items[*].at"]))
    old = {"items": [{"at": "1", "n": 1}]}
    assert taken(ignored, old, {"items": [{"at": "2", "n": 1}]}) == ["items.0.at"]
    assert taken(ignored, old, {"items": [{"at": 2, "n": 1}]}) == []
    assert taken(ignored, old, {"items": [{"n": 1}]}) == []
