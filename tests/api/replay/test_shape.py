"""The learned shape of JSON: what differs freely, and what is a difference."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api.compare.json_changes import Changes
from api.replay.judge import Shape
from tests.support.cases import each_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.just("[REDACTED]"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["a", "b", "*", "7", "2024-01-01", "state", "x y"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


def shape_of(*values: Any) -> Shape:
    shape = Shape()
    for value in values:
        shape.learn(value)
    return shape


def changes(shape: Shape, value: Any) -> list[tuple[str, tuple[str | int, ...]]]:
    found = Changes()
    shape.judge(value, (), found)
    return [(change.kind, change.path) for change in found.kept]


@given(st.lists(JSON, min_size=1, max_size=12))
def test_what_was_learned_fits(values: list[Any]) -> None:
    """In whatever order, and after it was judged."""
    shape = shape_of(*values)
    assert [found for value in values + values[::-1] if (found := changes(shape, value))] == []


@given(st.lists(JSON, min_size=1, max_size=6), st.lists(JSON, min_size=1, max_size=6))
def test_what_two_have_learned_fits_both_together(ones: list[Any], others: list[Any]) -> None:
    """Shapes are joined where an object turns out to be keyed by data."""
    shape = shape_of(*ones)
    shape.merge(shape_of(*others))
    assert [found for value in ones + others if (found := changes(shape, value))] == []


USERS = [
    {
        "id": n,
        "name": f"user {n}",
        "at": f"2024-06-{n:02}",
        "state": ["active", "closed"][n % 2],
        "tags": [],
        "ref": None,
    }
    | ({"note": "x"} if n % 3 else {})
    for n in range(1, 31)
]


@each_of(
    ("change", "found"),
    [
        ({"id": 99, "name": "another", "at": "2025-01-01"}, []),
        ({"tags": ["x"], "ref": {"any": 1}}, []),  # what was always empty or null may be anything
        ({"state": "closed", "name": "[REDACTED]", "id": "[REDACTED]"}, []),
        ({"id": "99"}, [("type", ("id",))]),
        ({"name": None}, [("type", ("name",))]),
        ({"state": "gone"}, [("changed", ("state",))]),
        ({"more": 1}, [("added", ("more",))]),
    ],
)
def test_ids_and_dates_differ_freely_and_types_and_enums_do_not(
    change: dict[str, Any], found: list[Any]
) -> None:
    """The shape is what thirty users have in common."""
    assert changes(shape_of(*USERS), USERS[0] | change) == found


def test_a_member_is_missed_where_all_had_it() -> None:
    """One that only some had may be missing, with all below it."""
    shape = shape_of(*USERS)
    without = [
        {name: value for name, value in USERS[0].items() if name != left} for left in ("id", "note")
    ]
    assert [changes(shape, value) for value in without] == [[("removed", ("id",))], []]


def test_objects_keyed_by_data_have_values_of_one_shape() -> None:
    """By ids and dates at once, by names once there are many."""
    by_id = shape_of({"7": {"n": 1}}, {"8": {"n": 2}, "9": {"n": 3}})
    assert changes(by_id, {"123": {"n": 1}}) == []
    assert changes(by_id, {"123": {"n": "1"}}) == [("type", ("123", "n"))]
    by_name = shape_of(*({f"{'abcdefghij'[n]}-queue": n} for n in range(10)))
    assert changes(by_name, {"another": 1}) == []
    assert changes(by_name, {"another": "x"}) == [("type", ("another",))]


def test_few_answers_make_no_enum() -> None:
    """What was seen once or twice is a text like another."""
    assert changes(shape_of({"state": "active"}, {"state": "active"}), {"state": "closed"}) == []


def test_names_with_digits_are_data_where_each_object_has_others() -> None:
    """Three objects are enough; names that all of them have are members."""
    by_id = shape_of({"u1": {"n": 1}}, {"u2": {"n": 1}}, {"u3": {"n": 1}, "u1": {"n": 2}})
    assert changes(by_id, {"u9": {"n": 1}}) == []
    assert changes(by_id, {"u9": {"n": "1"}}) == [("type", ("u9", "n"))]
    lines = shape_of(
        *({"line1": "a", "line2": "b"} | ({"line3": "c"} if n else {}) for n in range(3))
    )
    assert changes(lines, {"line2": "b"}) == [("removed", ("line1",))]


def test_a_list_that_was_never_empty_is_missed() -> None:
    """Where many were seen; among few, one may be."""
    assert changes(shape_of(*[{"items": [1]}] * 10), {"items": []}) == [("changed", ("items",))]
    assert changes(shape_of(*[{"items": [1]}] * 9), {"items": []}) == []
    assert changes(shape_of(*[{"items": [1]}] * 10, {"items": []}), {"items": []}) == []
