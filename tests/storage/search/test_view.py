"""When a view can be stored among those of its scope."""

from storage.search.view import MAX_VIEWS, PutView, put_result
from tests.support.cases import each_of

FULL = tuple(map(str, range(MAX_VIEWS)))


@each_of(
    ("names", "name", "replaced", "expected"),
    [
        ((), "a", None, "stored"),
        (("a",), "a", None, "stored"),
        (("a",), "a", "a", "stored"),
        (("a",), "b", "a", "stored"),
        (("a",), "a", "b", "missing"),
        (("a", "b"), "a", "b", "taken"),
        (FULL, "a", None, "full"),
        (FULL, "0", None, "stored"),
        (FULL, "a", "0", "stored"),
        (FULL, "1", "0", "taken"),
    ],
)
def test_views_are_refused_by_their_names(
    names: tuple[str, ...], name: str, replaced: str | None, expected: PutView
) -> None:
    """A view takes the place of another, or of one with its own name; a scope has only so many."""
    assert put_result(names, name, replaced) == expected
