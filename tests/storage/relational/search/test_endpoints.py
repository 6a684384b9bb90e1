"""Conditions on the endpoint of a row name all names to the index, and what else a row must say for some of them."""

from collections.abc import Sequence

from storage.query import Filter, FormerEndpoints
from storage.relational.search.endpoints import endpoint_ids, endpoint_places, endpoint_texts
from storage.relational.sql import conditions, rollup_conditions, texts
from storage.sqlite.session import DIALECT

IDS = {"endpoint": {"/{name}": 1, "/a": 2, "/b": 3}, "route_id": {"shop": 7}, "project": {"p": 8}}
FORMER = FormerEndpoints("shop", "p", ("/a", "/never"))
FILTER = Filter(kind="all", endpoints=("/{name}",), former_endpoints=(FORMER, FormerEndpoints(None, "p", ("/b", "/a"))))


def places(filter: Filter) -> tuple[list[str], list[int]]:
    """Write alternatives with marks that are the values."""
    bound: list[int] = []

    def marks(numbers: Sequence[int]) -> str:
        bound.extend(numbers)
        return ", ".join(map(str, numbers))

    return [*endpoint_places(filter, IDS, marks, DIALECT)], bound


def test_names_are_looked_up_with_their_places() -> None:
    """All that must be found in the dictionary is named, nothing else."""
    assert [*endpoint_texts(Filter())] == [("endpoint", ())]
    assert texts(FILTER) == {
        "endpoint": ("/{name}", "/a", "/never", "/b", "/a"),
        "route_id": ("shop",),
        "project": ("p", "p"),
    }


def test_alternatives_ask_for_route_and_project() -> None:
    """A record without a route has none; parameters stand in the order of their marks."""
    assert places(FILTER) == (
        [
            "+endpoint IN (1)",
            "+endpoint IN (2) AND route_id = 7 AND project = 8",
            "+endpoint IN (3, 2) AND (route_id <> 0 IS NOT TRUE) AND project = 8",
        ],
        [1, 2, 7, 8, 3, 2, 8],
    )


def test_what_no_record_has_is_left_out() -> None:
    """Names, routes and projects that the store does not know."""
    unknown = (FormerEndpoints("moon", "p", ("/a",)), FormerEndpoints("shop", "p", ("/never",)))
    filter = Filter(endpoints=("/{name}",), former_endpoints=unknown)
    assert endpoint_ids(filter, IDS) == [1]
    assert places(filter) == (["+endpoint IN (1)"], [1])
    assert conditions(Filter(former_endpoints=unknown), IDS, DIALECT) is None


def test_rows_and_rollups_are_asked_the_same() -> None:
    """By the partial index first, then by the columns that both have."""
    found, counted = conditions(FILTER, IDS, DIALECT), rollup_conditions(FILTER, IDS, DIALECT)
    assert found is not None
    assert found == counted
    assert found.text.startswith("endpoint IN (?, ?, ?) AND endpoint <> 0 AND ((+endpoint IN (?)) OR (")
    assert found.parameters == (1, 2, 3, 1, 2, 7, 8, 3, 2, 8)
