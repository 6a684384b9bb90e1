"""Which status classes a range of statuses is made of."""

from storage.relational.search.condition import classes_of
from storage.search.expression import Between
from tests.support.cases import each_of


@each_of(
    ("least", "most", "classes"),
    [
        (400, 599, [4, 5]),
        (200, 299, [2]),
        (400, 450, []),
        (401, 499, []),
        (None, 499, []),
        (400, None, []),
        (0, 99, []),
    ],
)
def test_a_range_is_made_of_whole_classes(
    least: int | None, most: int | None, classes: list[int]
) -> None:
    """It has none where it begins or ends within one, or has no end."""
    assert classes_of(Between("status", least, most)) == classes
    assert classes_of(Between("duration", least, most)) == []
