"""Changes between JSON values: none for equal ones, else such that they make the second value of
the first.
"""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.compare import json_changes as module
from api.compare.json_changes import Change, json_changes, parse
from tests.support.cases import each_of

NAMES = st.sampled_from(["a", "b", "id", "name", "odd name", "ü"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "y", "1", "true", "e\u0301", "\u00e9", "\ud800"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=25,
)
NAMED = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 8), "v": st.integers(0, 1) | st.lists(st.integers(0, 2), max_size=3)}
    ),
    unique_by=lambda each: str(each["id"]),
    max_size=8,
)


def normal(value: Any) -> Any:
    """Return a value as it is read from its text."""
    return parse(json.dumps(value))


def exactly(value: Any) -> str:
    """Write a value so that two texts are the same exactly for equal values."""
    return json.dumps(value, sort_keys=True)


def patched(value: Any, changes: list[Change]) -> Any:
    """Apply changes to a value: plainly, one container after the other, outermost first."""
    value = copy.deepcopy(value)
    for change in changes:
        if not change.path:
            return change.new
    ordered = [
        change.path for change in changes if change.kind == "moved" and isinstance(change.new, list)
    ]
    changes = [
        change for change in changes if not any(is_below(change.path, path) for path in ordered)
    ]
    return rebuilt(value, changes, 0) if changes else value


def is_below(path: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def rebuilt(value: Any, changes: list[Change], depth: int) -> Any:
    """Return a container with the changes at and below it applied; paths agree up to `depth`."""
    here = [change for change in changes if len(change.path) == depth + 1]
    below = [change for change in changes if len(change.path) > depth + 1]
    if isinstance(value, dict):
        made = {
            name: each for name, each in value.items() if ("removed", name) not in kinds_at(here)
        }
        made |= {change.path[depth]: change.new for change in here if change.kind != "removed"}
    else:
        made = dict(enumerate(rearranged(value, here, depth)))

    for step in dict.fromkeys(change.path[depth] for change in below):
        made[step] = rebuilt(
            made[step], [change for change in below if change.path[depth] == step], depth + 1
        )

    if isinstance(value, dict):
        return made

    return [made[index] for index in sorted(made)]


def rearranged(value: list[Any], here: list[Change], depth: int) -> list[Any]:
    """Return an array with elements removed, moved, added and replaced; the others keep their
    order.
    """
    whole = {int(change.path[depth]): change.new for change in here if isinstance(change.new, list)}
    here = [
        change for change in here if not (change.kind == "moved" and isinstance(change.new, list))
    ]
    gone = {change.old_path[depth] for change in here if change.kind in ("removed", "moved")}
    placed = {change.path[depth]: change.new for change in here if change.kind == "added"}
    placed |= {
        change.path[depth]: value[int(change.old_path[depth])]
        for change in here
        if change.kind == "moved"
    }
    rest = iter([each for index, each in enumerate(value) if index not in gone])
    count = len(value) - len(gone) + len(placed)
    made = [placed[index] if index in placed else next(rest) for index in range(count)]
    for change in here:
        if change.kind in ("changed", "type"):
            made[int(change.path[depth])] = change.new
    for index, each in whole.items():
        made[index] = each
    return made


def kinds_at(changes: list[Change]) -> set[tuple[str, str | int]]:
    return {(change.kind, change.path[-1]) for change in changes}


def similar(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw a value and what a few edits made of it."""
    old = draw(VALUES)
    new = copy.deepcopy(old)
    for _ in range(draw(st.integers(0, 4))):
        place = new
        while isinstance(place, dict | list) and place and draw(st.booleans()):
            step = draw(
                st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place))))
            )
            if not isinstance(place[step], dict | list):
                place[step] = draw(SCALARS)
                break

            place = place[step]

        if isinstance(place, list):
            place.insert(draw(st.integers(0, len(place))), draw(VALUES))

    return old, new


@given(
    pair=st.one_of(st.tuples(VALUES, VALUES), st.composite(similar)(), st.tuples(NAMED, NAMED)).map(
        lambda pair: tuple(map(normal, pair))
    )
)
def test_changes_are_none_for_equal_values_and_make_the_second_of_the_first(
    pair: tuple[Any, Any],
) -> None:
    """Whatever the values are, and however alike."""
    old, new = pair
    changes = json_changes(old, new)
    assert changes.more == 0
    assert (not changes.kept) == (exactly(old) == exactly(new))
    assert exactly(patched(old, changes.kept)) == exactly(new)


@given(value=VALUES.map(normal))
def test_a_value_is_equal_to_itself_with_its_names_in_another_order(value: Any) -> None:
    """Objects have no order (RFC 8259, 4)."""

    def turned(each: Any) -> Any:
        if isinstance(each, dict):
            return {name: turned(each[name]) for name in reversed(each)}
        if isinstance(each, list):
            return [turned(one) for one in each]
        return each

    assert json_changes(value, turned(value)).kept == []


@each_of(
    ("old", "new", "expected"),
    [
        ('{"a": 1}', '{"a": 1.0}', []),
        ("100", "1e2", []),
        ("0.1", "0.10", []),
        ("[1]", "[true]", ["type [0] 1 True"]),
        ('{"a": 1}', '{"a": true}', ["type a 1 True"]),
        ('{"a": 0}', '{"a": null}', ["type a 0 None"]),
        ('{"a": 1}', '{"a": 1.5}', ["changed a 1 1.5"]),
        ("9007199254740993", "9007199254740992", ["changed  9007199254740993 9007199254740992"]),
        ('{"a": 1, "a": 2}', '{"a": 2}', []),
        ('"\\u00e9"', '"é"', []),
        ('"e\\u0301"', '"\\u00e9"', ["changed  e\u0301 \u00e9"]),
        ('{"a": null}', "{}", ["removed a None None"]),
        ("[[], {}]", "[[], {}]", []),
        ("[]", "{}", ["type  [] {}"]),
    ],
)
def test_what_is_the_same_and_what_is_not(old: str, new: str, expected: list[str]) -> None:
    """Numbers by their value, strings by code point, the last of a repeated name."""
    found = [
        f"{change.kind} {''.join(f'[{s}]' if isinstance(s, int) else s for s in change.path)} "
        f"{change.old} {change.new}"
        for change in json_changes(parse(old), parse(new)).kept
    ]
    assert found == expected


def test_elements_that_have_a_name_are_found_by_it() -> None:
    """Moved ones are said to be moved, and what differs in them by path on both sides."""
    old = [{"id": 1, "v": 1}, {"id": 2}, {"id": 3}]
    new = [{"id": 3}, {"id": 1, "v": 2}, {"id": 4}]
    found = [(change.kind, change.path, change.old_path) for change in json_changes(old, new).kept]
    assert found == [
        ("moved", (0,), (2,)),
        ("changed", (1, "v"), (0, "v")),
        ("added", (2,), (2,)),
        ("removed", (1,), (1,)),
    ]


@each_of(
    ("old", "new", "below"),
    [
        ("[1, 2, 3, 1]", "[1, 3, 2, 1]", []),
        ('[{"id": 1}, {"id": 2}, {"id": 3}]', '[{"id": 3}, {"id": 2}, {"id": 1}]', []),
        (
            '[{"id": 1}, {"id": 2}, {"id": 3}]',
            '[{"id": 3}, {"id": 2, "v": 1}, {"id": 1}]',
            [(1, "v")],
        ),
        ('[{"v": 1}, {"v": 2}]', '[{"v": 2}, {"v": 1}]', []),
    ],
)
def test_an_array_in_another_order_is_one_change(old: str, new: str, below: list[Any]) -> None:
    """Beside what differs in its elements."""
    first, *others = json_changes(parse(f'{{"a": {old}}}'), parse(f'{{"a": {new}}}')).kept
    assert (first.kind, first.path, first.old, first.new) == (
        "moved",
        ("a",),
        parse(old),
        parse(new),
    )
    assert [change.path[1:] for change in others] == below


@pytest.mark.parametrize("old", ['[{"id": 1, "v": 1}]', '[{"id": [1], "v": 1}]', '[{"v": 1}]'])
def test_names_that_no_element_of_the_other_side_has_name_nothing(old: str) -> None:
    """Ids that each response makes anew are a change of each id, not of each element."""
    new = parse(old.replace("1", "2"))
    assert {change.kind for change in json_changes(parse(old), new).kept} == {"changed"}


@each_of(
    "text",
    [
        "{",
        "nan",
        "[Infinite]",
        "1e999",
        "1" * 5000,
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "",
    ],
)
def test_what_is_no_json_is_refused_in_one_way(text: str) -> None:
    """However deep, large or lacking."""
    with pytest.raises(ValueError):  # noqa: PT011 - in whatever words
        parse(text)


def test_what_is_nested_deep_is_compared_as_a_whole() -> None:
    """The path ends at the limit."""
    deep = parse("[" * 300 + "1" + "]" * 300), parse("[" * 300 + "2" + "]" * 300)
    (change,) = json_changes(*deep).kept
    assert (change.kind, len(change.path)) == ("changed", module.MAX_DEPTH)


def test_changes_beyond_the_limit_are_counted() -> None:
    """They take no memory."""
    found = json_changes(list(range(30_000)), [*range(100_000, 130_000)])
    assert (len(found.kept), found.more) == (module.MAX_CHANGES, 20_000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([k * (2**61 - 1) for k in range(30_000)], [k * (2**61 - 1) for k in range(30_000)][::-1]),
        ([0] * 200_000, [1] * 200_000),
        ([{"id": k} for k in range(30_000)], [{"id": k} for k in range(30_000)][::-1]),
        ([str(k // 2) for k in range(60_000)], [str(k // 2 + k % 2) for k in range(60_000)][::-1]),
    ],
    ids=["hashes that collide", "nothing unique", "all moved", "a staircase of anchors"],
)
def test_what_was_made_to_take_long_does_not(old: list[Any], new: list[Any]) -> None:
    """The square of these lengths would take longer than the time that a test has."""
    assert json_changes(old, new).kept
