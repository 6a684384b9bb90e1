"""Searches for the requests that alerts are about, and their pages. test_figures.py shows that they
find these.
"""

import pytest

from proxy.collector.watch.alerts.searches import joined, page_of, page_of_record, search_of
from proxy.settings.model import AlertSettings
from storage.search.language.parser import parse_search

HOSTILE = '"x" not *\\ (y), a..b <1 ,'


@pytest.mark.parametrize(
    ("searches", "expected"),
    [
        (("", " "), ""),
        (("status:5xx", ""), "status:5xx"),
        (("a or b", "status:5xx"), "(a or b) status:5xx"),
        (("a\tOR b", "c d"), "(a\tOR b) c d"),
    ],
)
def test_searches_are_joined_so_that_both_hold(searches: tuple[str, str], expected: str) -> None:
    """An `or` of one does not reach into the other."""
    assert joined(*searches) == expected


@pytest.mark.parametrize(
    "value", ["*", ">5", "a..b", "!OK", "-x", "", HOSTILE, "…", "a" * 201, "cut…"]
)
def test_a_value_is_searched_as_it_is(value: str) -> None:
    """Nothing in it is read as a pattern, comparison or word. A cut or long value is left out."""
    alert = AlertSettings(
        name="a", url="http://x/", above=1, query="status:5xx", by="header.x-tenant"
    )
    search = search_of(alert, (value,))
    if not value or value.endswith("…") or len(value) > 200:
        assert search == "status:5xx"
        return

    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert search == f'status:5xx header.x-tenant:="{quoted}"'
    assert parse_search(search, 0) is not None


def test_a_page_is_below_the_address_of_the_ui() -> None:
    """With the period of the message."""
    page = page_of("https://logs.example/sidelog/", "path:/a b&c", 0, 1_000_000)
    assert page == (
        "https://logs.example/sidelog/requests?filter=path%3A%2Fa%20b%26c"
        "&since=1970-01-01T00%3A00%3A00.000Z&until=1970-01-01T00%3A00%3A01.000Z"
    )
    assert page_of("", "a", 0, 1) == page_of_record("", "id") == ""
    assert page_of_record("https://logs.example", "id") == "https://logs.example/requests?record=id"
